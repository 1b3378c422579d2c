// `npm run examples`: packs lictor, installs it into a copy of every example, as a stranger would, and does there what the
// example's own scripts say. Stands outside of `npm test`: it installs packages. Leaves nothing in the checkout.

import { type ChildProcess, spawn } from "node:child_process";
import { cpSync, existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, delimiter, dirname, join } from "node:path";
import process from "node:process";
import { exampleManifest, exampleNames, manifestComplaints, projectManifest } from "../examples/manifest.ts";
import { findRuntime, projectFolder, runtimeNames } from "./runtimes.ts";

/** Longest that one step may take, in milliseconds. */
const stepTimeoutMs = 180_000;

/** Examples at a time: their tests mostly wait. */
const jobs = 2;

/** Runs the examples whose name holds one of the given parts, all without one. */
async function main(parts: readonly string[]): Promise<number> {
  const queue = exampleNames().filter((name) => parts.length === 0 || parts.some((part) => name.includes(part)));
  const folder = mkdtempSync(join(tmpdir(), "lictor-examples-"));
  const stop = (signal: NodeJS.Signals) => {
    for (const child of running) killGroup(child);
    rmSync(folder, { recursive: true, force: true });
    process.exit(signal === "SIGINT" ? 130 : 143);
  };
  process.on("SIGINT", stop).on("SIGTERM", stop);
  const report = new Report();
  try {
    if (!(await report.step("lictor", "is packed", () => pack(folder)))) return report.end();
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
  async step(name: string, what: string, run: () => void | Promise<void>): Promise<boolean> {
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

/** Builds and packs a copy of the project, so that neither dist/ nor an archive is left in the checkout. */
async function pack(folder: string): Promise<void> {
  const source = join(folder, "source");
  const leftOut = ["node_modules", ".git", "dist", "examples"].map((name) => join(projectFolder, name));
  cpSync(projectFolder, source, { recursive: true, filter: (path) => !leftOut.includes(path.replace(/\/$/, "")) });
  symlinkSync(join(projectFolder, "node_modules"), join(source, "node_modules"), "junction");
  await run("npm", ["pack", "--pack-destination", folder], source);
  rmSync(source, { recursive: true });
  const archive = `lictor-${projectManifest().version}.tgz`;
  if (!existsSync(join(folder, archive))) throw new Error(`npm pack made no ${archive}`);
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

const running = new Set<ChildProcess>();

/** Runs a program to its end; rejects with all that it printed where it fails or takes too long. */
function run(program: string, args: readonly string[], cwd: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd,
      env: environment(cwd),
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    running.add(child);
    let output = "";
    let ending = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        output += text;
      });
    }
    const timer = setTimeout(() => {
      ending = `did not end within ${stepTimeoutMs / 1000} s`;
      killGroup(child);
    }, stepTimeoutMs);
    const end = (error?: Error) => {
      clearTimeout(timer);
      running.delete(child);
      if (error === undefined) resolve();
      else reject(error);
    };
    child.once("error", end);
    child.once("close", (code, signal) => {
      ending ||= code === 0 ? "" : `ended with ${code ?? signal}`;
      end(ending === "" ? undefined : new Error(`${program} ${args.join(" ")} ${ending}\n${output.trimEnd()}`));
    });
  });
}

/** What it has started goes too. */
function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // It is gone already.
  }
}

/** The example's own tools first, then the project's runtimes and tools; and no Consul but the one that a test names. */
function environment(cwd: string): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) =>
      !/^(CONSUL_HTTP_\w+|REDIS_URL|HOST|PORT|NODE_ENV|NODE_OPTIONS|NODE_TEST_CONTEXT|npm_config_local_prefix)$/.test(
        name,
      ),
  );
  const path = [
    join(cwd, "node_modules/.bin"),
    ...new Set(runtimeNames.map((name) => dirname(findRuntime(name).path))),
    join(projectFolder, "node_modules/.bin"),
    // `bun run` puts itself there under the name of node.
    ...(process.env.PATH ?? "").split(delimiter).filter((folder) => !folder.includes("bun-node")),
  ];
  return { ...Object.fromEntries(kept), PATH: path.join(delimiter), NO_COLOR: "1" };
}

process.exitCode = await main(process.argv.slice(2));
