// What the cases of test/package share: lictor packed as npm would publish it, tools that strangers have and this project has
// not, and empty folders to be strangers in. Everything lies under one temporary folder.

import { mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import process from "node:process";
import { packProject } from "../support/pack-project.ts";
import { runProgram } from "../support/run-program.ts";
import { findRuntime, projectFolder } from "../tools/runtimes.ts";

/** The oldest major version of Node that lictor runs on, and the older TypeScript that its types are for. */
const strangersTools = { node: "22.23.3", typescript: "5.9.3" };

/** The variable by which `npm run package` hands its workbench to the test files. */
export const workbenchVariable = "LICTOR_WORKBENCH";

/** lictor packed, and what it is tried with. */
export interface Workbench extends AsyncDisposable {
  /** Where everything lies; goes when the one who made it disposes of it. */
  readonly folder: string;
  /** The archive as npm would publish it. */
  readonly tarball: string;
  readonly node22: string;
  /** The scripts of the compilers; any Node runs them. */
  readonly typescript: Readonly<Record<"5.9" | "7", string>>;
}

/** Takes the workbench of `npm run package`, or makes one. */
export async function openWorkbench(): Promise<Workbench> {
  const given = process.env[workbenchVariable];
  return given === undefined ? await makeWorkbench() : describeWorkbench(given, false);
}

/** Packs lictor, which builds it, and fetches the tools from the npm registry. Removed when it is disposed of. */
export async function makeWorkbench(): Promise<Workbench> {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "lictor-package-")));
  // Also where packing fails, or a signal ends the run.
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  await packProject(folder);
  const { node, typescript } = strangersTools;
  // The npm package "node" only calls npm once more, for the one that holds this platform's binary.
  const prefix = process.platform === "darwin" && process.arch === "arm64" ? "node-bin" : "node";
  const binary = `${prefix}-${process.platform}-${process.arch}@${node}`;
  await installWithNpm(join(folder, "tools"), [binary, `typescript@${typescript}`]);
  return describeWorkbench(folder, true);
}

/** A new folder with a package.json, and with packages that npm installed from the registry or from archives. */
export async function installWithNpm(
  folder: string,
  packages: readonly string[],
  options: { readonly node?: string; readonly manifest?: object } = {},
): Promise<void> {
  const { node = findRuntime("node").path, manifest = {} } = options;
  mkdirSync(folder);
  const text = JSON.stringify({ name: "stranger", private: true, type: "module", ...manifest });
  writeFileSync(join(folder, "package.json"), text);
  // npm runs on the Node that comes first in PATH, and holds that one against `engines`.
  const path = [dirname(node), process.env.PATH].join(delimiter);
  const args = ["install", "--engine-strict", "--no-audit", "--no-fund", ...packages];
  await runProgram("npm", args, folder, { env: { PATH: path } });
}

function describeWorkbench(folder: string, isOwn: boolean): Workbench {
  const archive = readdirSync(folder).find((name) => name.endsWith(".tgz"));
  if (archive === undefined) throw new Error(`Cannot use ${folder} as a workbench as it holds no archive`);
  const tools = join(folder, "tools/node_modules");
  return {
    folder,
    tarball: join(folder, archive),
    node22: realpathSync(join(tools, ".bin/node")),
    typescript: {
      "5.9": join(tools, "typescript/bin/tsc"),
      "7": join(projectFolder, "node_modules/typescript/bin/tsc"),
    },
    async [Symbol.asyncDispose]() {
      if (isOwn) rmSync(folder, { recursive: true });
    },
  };
}
