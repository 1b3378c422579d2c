// Reads who imports whom in the project, and finds cycles in it. The imports come from `deno info --json`: Deno's parser sees
// type-only imports, import types and dynamic imports too. Has no opinion on them.

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { findRuntime, projectFolder } from "./runtimes.ts";

/** One import. A file that imports another twice counts once. */
export interface Import {
  /** Path from the project's folder. */
  readonly from: string;
  /** A path from the project's folder (`../x` outside of it), or for a package or a runtime's module what was written. */
  readonly to: string;
  readonly isFile: boolean;
}

/** The imports of the given files (paths from the project's folder) and of all files that they reach. */
export function readImports(files: readonly string[]): Import[] {
  const root = pathToFileURL(projectFolder).href;
  const folder = mkdtempSync(join(tmpdir(), "lictor-imports-"));
  // deno info takes one file: one that imports them all.
  const entry = join(folder, "all.ts");
  writeFileSync(entry, files.map((file) => `import ${JSON.stringify(root + file)};\n`).join(""));
  let graph: DenoGraph;
  try {
    const args = ["info", "--json", entry];
    const text = execFileSync(findRuntime("deno").path, args, { cwd: projectFolder, maxBuffer: 2 ** 28 });
    graph = JSON.parse(text.toString());
  } finally {
    rmSync(folder, { recursive: true });
  }
  const imports = new Map<string, Import>();
  for (const { specifier: module, dependencies = [] } of graph.modules) {
    if (!module.startsWith(root) || module.includes("/node_modules/")) continue;
    const from = module.slice(root.length);
    for (const { specifier, code, type } of dependencies) {
      // `/// <reference types="node" />` names declarations: it imports nothing.
      if (code === undefined && type?.resolutionMode === undefined) continue;
      const isFile = /^\.{0,2}\/|^file:/.test(specifier);
      const url = new URL(specifier, module).href;
      const to = !isFile ? specifier : url.startsWith(root) ? url.slice(root.length) : `../${url}`;
      imports.set(`${from} ${to}`, { from, to, isFile });
    }
  }
  return [...imports.values()];
}

/** Finds one cycle for each import that closes one, as the files on its way round. */
export function findCycles(imports: readonly Import[]): string[][] {
  const targets = Map.groupBy(
    imports.filter(({ isFile }) => isFile),
    ({ from }) => from,
  );
  const cycles: string[][] = [];
  const done = new Set<string>();
  const visit = (file: string, way: readonly string[]) => {
    const start = way.indexOf(file);
    if (start >= 0) cycles.push([...way.slice(start), file]);
    if (start >= 0 || done.has(file)) return;
    for (const { to } of targets.get(file) ?? []) visit(to, [...way, file]);
    done.add(file);
  };
  for (const file of targets.keys()) visit(file, []);
  return cycles;
}

/** The part that is read of what `deno info --json` prints. */
interface DenoGraph {
  readonly modules: readonly {
    /** URL of the file. */
    readonly specifier: string;
    /** What it imports, as written. */
    readonly dependencies?: readonly {
      readonly specifier: string;
      readonly code?: unknown;
      readonly type?: { readonly resolutionMode?: string };
    }[];
  }[];
}
