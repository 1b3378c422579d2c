// Finds Bun, Deno and Node as the project's devDependencies give them, and says how each runs one test file. Never takes
// the machine's own: what is tested is the version that package.json names.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** The three that every source and test file runs on. */
export type RuntimeName = "bun" | "deno" | "node";

/** A runtime that can be started. */
export interface Runtime {
  readonly name: RuntimeName;
  /** Absolute path of its binary. */
  readonly path: string;
  /** As it tells it: `24.21.0`. */
  readonly version: string;
}

/** All three, in the order in which they are run. */
export const runtimeNames: readonly RuntimeName[] = ["bun", "deno", "node"];

/** Root folder of the project, with a slash at its end. */
export const projectFolder: string = fileURLToPath(new URL("../../", import.meta.url));

/** Finds a runtime. Throws an Error that says what to do where there is none. */
export function findRuntime(name: RuntimeName): Runtime {
  const path = installedPath(name) ?? ownPath(name) ?? (name === "node" ? nodeThroughBun() : undefined);
  if (path === undefined) {
    throw new Error(`Cannot run ${name} as node_modules has none: run npm install (or bun install) first`);
  }
  const version = /\d+\.\d+\.\d+/.exec(execFileSync(path, ["--version"], { encoding: "utf8" }))?.[0] ?? "unknown";
  return { name, path, version };
}

/**
 * Arguments that run one test file and write its JUnit report. Each file is a process of its own, so that one that hangs or
 * dies takes no other with it. Paths are relative to the project's folder.
 */
export function testArguments(name: RuntimeName, file: string, reportPath: string): string[] {
  switch (name) {
    case "bun":
      // Its 5 s for each test are short for tests that start processes; the limit of the file bounds the rest.
      return ["test", `./${file}`, "--timeout", "60000", "--reporter=junit", `--reporter-outfile=${reportPath}`];
    case "deno":
      return ["test", "-A", "--no-check", `--junit-path=${reportPath}`, file];
    case "node":
      // Without --test: Node then ends by itself or not at all, so a file that leaves something open shows.
      return [
        "--test-reporter=junit",
        `--test-reporter-destination=${reportPath}`,
        "--test-reporter=spec",
        "--test-reporter-destination=stdout",
        file,
      ];
  }
}

function installedPath(name: RuntimeName): string | undefined {
  const path = `${projectFolder}node_modules/.bin/${name}`;
  return existsSync(path) ? path : undefined;
}

/** The runtime that runs this, when it is the one asked for. */
function ownPath(name: RuntimeName): string | undefined {
  return name in process.versions ? process.execPath : undefined;
}

/**
 * The npm package "node" installs itself by calling npm, so `bun install` on a machine without npm leaves it empty. Bun
 * can run the package for this platform that holds the binary.
 */
function nodeThroughBun(): string | undefined {
  if (process.versions.bun === undefined) return undefined;
  const { devDependencies } = JSON.parse(readFileSync(`${projectFolder}package.json`, "utf8"));
  const prefix = process.platform === "darwin" && process.arch === "arm64" ? "node-bin" : "node";
  const platform = process.platform === "win32" ? "win" : process.platform;
  const specifier = `${prefix}-${platform}-${process.arch}@${devDependencies.node}`;
  try {
    const args = ["x", "--package", specifier, "node", "--print", "process.execPath"];
    return execFileSync(process.execPath, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return undefined;
  }
}
