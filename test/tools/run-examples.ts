// `npm run examples`: packs lictor, installs it into a copy of every example, as a stranger would, and does there what the
// example's own scripts say. Stands outside of `npm test`: it installs packages. Leaves nothing in the checkout.

import { cpSync, existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, delimiter, dirname, join } from "node:path";
import process from "node:process";
import { exampleManifest, exampleNames, manifestComplaints, projectManifest } from "../examples/manifest.ts";
import { packProject } from "../support/pack-project.ts";
import { type RunProgramOptions, runProgram } from "../support/run-program.ts";
import { findRuntime, projectFolder, runtimeNames } from "./runtimes.ts";

const stopping = new AbortController();

/** A step may take three minutes, and leaves nothing running. */
const runOptions: RunProgramOptions = { timeoutMs: 180_000, isGroup: true, signal: stopping.signal };

/** Examples at a time: their tests mostly wait. */
const jobs = 2;

/** Runs the examples whose name holds one of the given parts, all without one. */
async function main(parts: readonly string[]): Promise<number> {
  const queue = exampleNames().filter((name) => parts.length === 0 || parts.some((part) => name.includes(part)));
  const folder = mkdtempSync(join(tmpdir(), "lictor-examples-"));
  const stop = (signal: NodeJS.Signals) => {
    stopping.abort();
    rmSync(folder, { recursive: true, force: true });
    process.exit(signal === "SIGINT" ? 130 : 143);
  };
  process.on("SIGINT", stop).on("SIGTERM", stop);
  const report = new Report();
  try {
    if (!(await report.step("lictor", "is packed", () => packProject(folder, runOptions)))) return report.end();
    // All of them before any runs: one may look at another's files.
    for (const name of exampleNames()) copyExample(name, folder);
    const work = async () => {
      for (let name = queue.shift(); name !== undefined; name = queue.shift()) await runExample(name, folder, report);
    };
    await Promise.all(Array.from({ length: jobs }, work));
  } finally {
    process.off("SIGINT", stop).off("SIGTERM", stop);
    rmSync(folder, { recursive: true, force: true });
  }
  return report.end();
}

/** What passed and what failed. */
class Report {
  #passed = 0;
  readonly #failed: string[] = [];

  /** Does one thing, tells how it went, and resolves to whether it passed. */
  async step(name: string, what: string, run: () => unknown): Promise<boolean> {
    const startedMs = performance.now();
    const took = () => `(${((performance.now() - startedMs) / 1000).toFixed(1)} s)`;
    try {
      await run();
      this.#passed++;
      console.log(`ok      ${name}: ${what} ${took()}`);
      return true;
    } catch (error) {
      this.#failed.push(`${name}: ${what}`);
      console.log(`FAILED  ${name}: ${what} ${took()}`);
      console.log(String(error instanceof Error ? error.message : error).replaceAll(/^/gm, "  | "));
      return false;
    }
  }

  end(): number {
    console.log();
    for (const line of this.#failed) console.log(`FAILED ${line}`);
    console.log(`${this.#passed} passed, ${this.#failed.length} failed`);
    return this.#failed.length === 0 && this.#passed > 1 ? 0 : 1;
  }
}

function copyExample(name: string, folder: string): void {
  const from = join(projectFolder, "examples", name);
  const filter = (path: string) => basename(path) !== "node_modules";
  mkdirSync(join(folder, "examples"), { recursive: true });
  cpSync(from, join(folder, "examples", name), { recursive: true, filter });
}

async function runExample(name: string, folder: string, report: Report): Promise<void> {
  const cwd = join(folder, "examples", name);
  const { scripts = {} } = exampleManifest(name);
  await report.step(name, "has the project's versions", () => {
    const complaints = manifestComplaints(exampleManifest(name), projectManifest());
    if (complaints.length > 0) throw new Error(complaints.join("\n"));
  });
  const install = ["install", "--prefer-offline", "--no-audit", "--no-fund"];
  if (!(await report.step(name, "is installed", () => run("npm", install, cwd)))) return;
  await report.step(name, "has no type errors", () => run("npm", ["run", "--silent", "types"], cwd));
  if (existsSync(join(cwd, "buf.gen.yaml"))) {
    await report.step(name, "has the generated code of its proto", () => regenerate(cwd));
  }
  await report.step(name, "is tested on node", () => run("npm", ["test", "--silent"], cwd));
  for (const script of ["test:bun", "test:deno"]) {
    if (script in scripts) {
      const runtime = script.slice("test:".length);
      await report.step(name, `is tested on ${runtime}`, () => run("npm", ["run", "--silent", script], cwd));
    }
  }
  rmSync(join(cwd, "node_modules"), { recursive: true, force: true });
}

/** Generates anew, and throws where that changes anything. */
async function regenerate(cwd: string): Promise<void> {
  const read = () =>
    new Map(globSync("gen/**/*.ts", { cwd }).map((file) => [file, readFileSync(join(cwd, file), "utf8")]));
  const committed = read();
  await run("buf", ["lint"], cwd);
  await run("buf", ["generate"], cwd);
  const generated = read();
  const changed = [...new Set([...committed.keys(), ...generated.keys()])].filter(
    (file) => committed.get(file) !== generated.get(file),
  );
  if (generated.size === 0) throw new Error("buf generate wrote nothing");
  if (changed.length > 0) throw new Error(`buf generate changes ${changed.join(", ")}`);
}

/** Runs a program of an example to its end. */
async function run(program: string, args: readonly string[], cwd: string): Promise<void> {
  // The example's own tools first, then the project's runtimes and tools.
  const path = [
    join(cwd, "node_modules/.bin"),
    ...new Set(runtimeNames.map((name) => dirname(findRuntime(name).path))),
    join(projectFolder, "node_modules/.bin"),
    // `bun run` puts itself there under the name of node.
    ...(process.env.PATH ?? "").split(delimiter).filter((folder) => !folder.includes("bun-node")),
  ];
  // What the examples' programs read is for their tests to set.
  const env = { HOST: undefined, REDIS_URL: undefined, PATH: path.join(delimiter) };
  await runProgram(program, args, cwd, { ...runOptions, env });
}

process.exitCode = await main(process.argv.slice(2));
