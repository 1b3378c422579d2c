// Where a run takes place and what versions it measures, for whoever reads the figures.

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { cpus, release, totalmem, type } from "node:os";
import { projectFolder } from "../../test/tools/runtimes.ts";
import type { Cores } from "./cores.ts";
import type { Machine } from "./results.ts";

/** Names no host and no user. */
export function describeMachine(cores: Cores): Machine {
  const all = cpus();
  return {
    cpu: all[0]?.model.trim() ?? "unknown",
    cores: all.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${release().split("-")[0]}`,
    isPinned: cores !== undefined,
  };
}

/** Versions of the rows' libraries, as they are installed here; what is not installed is left out. */
export function listVersions(): Record<string, string> {
  const versions: Record<string, string | undefined> = {
    lictor: packageVersion("package.json"),
    commit: firstMatch(
      spawnSync("git", ["rev-parse", "--short", "HEAD"], { cwd: projectFolder, encoding: "utf8" }).stdout,
    ),
    "@connectrpc/connect": packageVersion("node_modules/@connectrpc/connect/package.json"),
    "@connectrpc/connect-node": packageVersion("node_modules/@connectrpc/connect-node/package.json"),
    "@bufbuild/protobuf": packageVersion("node_modules/@bufbuild/protobuf/package.json"),
    "@grpc/grpc-js": packageVersion("node_modules/@grpc/grpc-js/package.json"),
    "nice-grpc": packageVersion("bench/nice-grpc/node_modules/nice-grpc/package.json"),
    "grpc-go": firstMatch(readProject("bench/go/go.mod"), /google\.golang\.org\/grpc v(\S+)/),
    tonic: firstMatch(readProject("bench/rust/Cargo.lock"), /name = "tonic"\nversion = "([^"]+)"/),
  };
  return Object.fromEntries(
    Object.entries(versions).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

function packageVersion(path: string): string | undefined {
  const text = readProject(path);
  return text === undefined ? undefined : JSON.parse(text).version;
}

function readProject(path: string): string | undefined {
  return existsSync(projectFolder + path) ? readFileSync(projectFolder + path, "utf8") : undefined;
}

function firstMatch(text: string | undefined | null, pattern: RegExp = /(\S+)/): string | undefined {
  return text === undefined || text === null ? undefined : pattern.exec(text)?.[1];
}
