// Finds Bun, Deno and Node as the project's devDependencies give them, and says how each runs one test file. Takes
// no other version than the one that package.json names.

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
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
  const pinned = pinnedVersion(name);
  const candidates = [
    join(projectFolder, "node_modules/.bin", name),
    process.execPath,
    ...(process.env.PATH ?? "").split(delimiter).map((folder) => join(folder, name)),
  ];
  // No two of them share a version, so it also tells them apart.
  const path = candidates.find((candidate) => versionOf(candidate) === pinned) ?? fetchNode(name);
  if (path === undefined) {
    throw new Error(`Cannot find ${name} ${pinned}: run npm install (or bun install) first`);
  }
  return { name, path, version: pinned };
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

/** Exact version, as devDependencies name it. */
function pinnedVersion(name: RuntimeName): string {
  return JSON.parse(readFileSync(`${projectFolder}package.json`, "utf8")).devDependencies[name];
}

function versionOf(path: string): string | undefined {
  if (!existsSync(path)) return undefined;
  const { stdout } = spawnSync(path, ["--version"], { encoding: "utf8" });
  return /\d+\.\d+\.\d+/.exec(stdout ?? "")?.[0];
}

/**
 * The npm package "node" installs itself by calling npm, so `bun install` on a machine without npm leaves it empty. Bun
 * can run the package for this platform that holds the binary.
 */
function fetchNode(name: RuntimeName): string | undefined {
  if (name !== "node" || process.versions.bun === undefined) return undefined;
  const prefix = process.platform === "darwin" && process.arch === "arm64" ? "node-bin" : "node";
  const platform = process.platform === "win32" ? "win" : process.platform;
  const specifier = `${prefix}-${platform}-${process.arch}@${pinnedVersion(name)}`;
  // A script that `bun run` started finds Bun itself under the name of node: not that one.
  const path = (process.env.PATH ?? "").split(delimiter).filter((folder) => !folder.includes("bun-node"));
  const args = ["x", "--package", specifier, "node", "--print", "process.execPath"];
  const env = { ...process.env, PATH: path.join(delimiter) };
  const { stdout } = spawnSync(process.execPath, args, { encoding: "utf8", env });
  const fetched = stdout?.trim();
  return fetched && versionOf(fetched) === pinnedVersion(name) ? fetched : undefined;
}
