// What lictor publishes, on npm and on JSR: the files, and what the registries' own checkers say of them. Run by
// `npm run package`; also by itself, on Node 24.

import assert from "node:assert/strict";
import { existsSync, globSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { runProgram } from "../support/run-program.ts";
import { findRuntime, projectFolder } from "../tools/runtimes.ts";
import { megabytesOf } from "./installed.ts";
import { openWorkbench, type Workbench } from "./workbench.ts";

const timeout = 120_000;
const node = findRuntime("node").path;
const toolOf = (name: string): string => join(projectFolder, "node_modules/.bin", name);

describe("what lictor publishes", () => {
  let bench: Workbench;
  let folder: string;
  const filesIn = (pattern: string): readonly string[] => globSync(pattern, { cwd: folder }).sort();

  before(
    async () => {
      bench = await openWorkbench();
      folder = join(bench.folder, "unpacked");
      mkdirSync(folder);
      await runProgram("tar", ["-xzf", bench.tarball, "--strip-components=1"], folder);
    },
    { timeout },
  );
  after(async () => {
    await bench[Symbol.asyncDispose]();
  });

  test("is what was built, the protos and the papers, and nothing else", () => {
    const others = filesIn("**/*.*").filter((path) => !/^(dist\/(src|gen)|proto)\//.test(path));
    assert.deepEqual(others, ["CHANGELOG.md", "README.md", "package.json"]);
    assert.ok(existsSync(join(folder, "LICENSE")));
    for (const path of filesIn("dist/**/*.*")) assert.match(path, /\.(js|js\.map|d\.ts)$/);
    // Three fifths are source maps, which hold the sources.
    const megabytes = megabytesOf(folder);
    assert.ok(megabytes < 6, `${megabytes} MB unpacked`);
  });

  test("has a source for every built file, and every source's built file", () => {
    const built = filesIn("dist/**/*.js").map((path) => path.slice("dist/".length, -".js".length));
    const sources = globSync("{src,gen}/**/*.ts", { cwd: projectFolder }).map((path) => path.slice(0, -".ts".length));
    assert.deepEqual([...built].sort(), sources.sort());
  });

  test("imports no file that it lacks", () => {
    const missing: string[] = [];
    for (const path of filesIn("dist/**/*.{js,d.ts}")) {
      const text = readFileSync(join(folder, path), "utf8");
      for (const [, target = ""] of text.matchAll(/(?:from|import|import\() ?"(\.{1,2}\/[^"]+)"/g)) {
        // Declarations name the sources; TypeScript takes the declarations beside them.
        const wanted = path.endsWith(".d.ts") ? target.replace(/\.ts$/, ".d.ts") : target;
        if (!existsSync(join(folder, dirname(path), wanted))) missing.push(`${path} -> ${target}`);
      }
    }
    assert.deepEqual(missing, []);
  });

  test("holds its sources in its source maps", () => {
    for (const path of filesIn("dist/**/*.js.map")) {
      const { sources, sourcesContent } = JSON.parse(readFileSync(join(folder, path), "utf8"));
      const source = path.slice("dist/".length).replace(/\.js\.map$/, ".ts");
      assert.equal(join(dirname(path), sources[0]), source);
      assert.deepEqual(sourcesContent, [readFileSync(join(projectFolder, source), "utf8")]);
    }
  });

  test("publint finds nothing to say", { timeout }, async () => {
    const { stdout } = await runProgram(node, [toolOf("publint"), bench.tarball, "--strict"], projectFolder);
    assert.match(stdout, /All good!/);
  });

  test("attw finds the types right for ES modules and bundlers", { timeout }, async () => {
    // esm-only: there is no CommonJS to have types, and no resolution of before `exports`.
    const args = [toolOf("attw"), bench.tarball, "--profile", "esm-only", "--format", "json"];
    const { stdout } = await runProgram(node, args, projectFolder);
    const { analysis, problems } = JSON.parse(stdout);
    assert.deepEqual(Object.keys(analysis.entrypoints), [".", "./edge", "./edge/tcp", "./testing", "./package.json"]);
    assert.deepEqual(
      Object.keys(problems ?? {}).filter((kind) => !/^(NoResolution|CJSResolvesToESM)$/.test(kind)),
      [],
    );
  });

  test("deno publish has no objection", { timeout }, async () => {
    const args = ["publish", "--dry-run", "--allow-dirty"];
    const { stderr } = await runProgram(findRuntime("deno").path, args, projectFolder);
    assert.match(stderr, /Success Dry run complete/);
    assert.doesNotMatch(stderr, /^\S*warning\b/im);
    const published = [...stderr.matchAll(/file:\/\/(\S+) \(/g)].map(([, path = ""]) =>
      path.slice(projectFolder.length),
    );
    const others = published.filter((path) => !/^(src|gen|proto)\//.test(path)).sort();
    assert.deepEqual(others, ["CHANGELOG.md", "LICENSE", "README.md", "deno.json"]);
    // The command line comes from npm: it loads modules by name, which JSR cannot follow.
    assert.deepEqual(
      published.filter((path) => path.startsWith("src/cli/")),
      [],
    );
    assert.equal(existsSync(join(projectFolder, "deno.lock")), false, "leaves no lock file");
  });

  test("package.json and deno.json say the same", { timeout }, async () => {
    await runProgram(node, ["test/tools/check-manifests.ts"], projectFolder);
  });
});
