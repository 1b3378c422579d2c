// `npm run bench:setup`: builds and fetches what the benchmark compares lictor with, into node_modules/.cache/bench; nice-grpc into
// bench/nice-grpc. Each part stands alone: what cannot be had here is named and left out, and the benchmark then says so too.
//
// Exit code 1 where a part could be tried and failed, 0 where all went well or lacks its tools.

import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, renameSync } from "node:fs";
import process from "node:process";
import { projectFolder } from "../test/tools/runtimes.ts";
import { isOnPath } from "./harness/cores.ts";
import { unpackProgram } from "./harness/debian-packages.ts";
import { cacheFolder } from "./harness/rows.ts";

interface Part {
  readonly name: string;
  readonly what: string;
  /** A program without which it cannot be had. */
  readonly needs?: string;
  run(): void;
}

const parts: readonly Part[] = [
  {
    name: "grpc-go",
    what: "client, server, load generator and TCP echo in Go",
    needs: "go",
    run() {
      // A checkout that belongs to somebody else stops -buildvcs.
      const args = ["build", "-buildvcs=false", "-o", `${cacheFolder}lictor-bench-go`, "."];
      execFileSync("go", args, { cwd: `${projectFolder}bench/go`, stdio: ["ignore", 2, 2] });
    },
  },
  {
    name: "nice-grpc",
    what: "the npm package, in a folder of its own",
    needs: "npm",
    run() {
      const args = ["ci", "--prefix", `${projectFolder}bench/nice-grpc`, "--no-audit", "--no-fund", "--ignore-scripts"];
      execFileSync("npm", args, { stdio: ["ignore", 2, 2] });
    },
  },
  {
    name: "h2load",
    what: "nghttp2's load generator, from Debian",
    run() {
      if (!isOnPath("h2load")) unpackProgram("nghttp2-client", "h2load", cacheFolder);
    },
  },
  {
    name: "tonic",
    what: "client and server in Rust, with Debian's protoc",
    needs: "cargo",
    run() {
      const protoc = isOnPath("protoc") ? {} : { PROTOC: unpackProgram("protobuf-compiler", "protoc", cacheFolder) };
      const target = `${cacheFolder}rust`;
      execFileSync("cargo", ["build", "--release", "--locked"], {
        cwd: `${projectFolder}bench/rust`,
        stdio: ["ignore", 2, 2],
        env: { ...process.env, ...protoc, CARGO_TARGET_DIR: target },
      });
      // In one step: a program that runs may be replaced, not written to.
      copyFileSync(`${target}/release/lictor-bench-tonic`, `${cacheFolder}lictor-bench-tonic.new`);
      renameSync(`${cacheFolder}lictor-bench-tonic.new`, `${cacheFolder}lictor-bench-tonic`);
    },
  },
];

process.exitCode = main(process.argv.slice(2));

/** Sets up the parts of these names, all without one. */
function main(names: readonly string[]): number {
  mkdirSync(cacheFolder, { recursive: true });
  const outcomes = parts.filter(({ name }) => names.length === 0 || names.includes(name)).map(setUp);
  console.log(outcomes.map(({ text }) => text).join("\n"));
  return outcomes.some(({ hasFailed }) => hasFailed) ? 1 : 0;
}

function setUp({ name, what, needs, run }: Part): { readonly text: string; readonly hasFailed: boolean } {
  if (needs !== undefined && !isOnPath(needs)) {
    return { text: `skipped  ${name} (${what}): no ${needs} on this machine`, hasFailed: false };
  }
  try {
    console.error(`== ${name}: ${what}`);
    run();
    return { text: `ready    ${name} (${what})`, hasFailed: false };
  } catch (error) {
    return { text: `FAILED   ${name} (${what}): ${error instanceof Error ? error.message : error}`, hasFailed: true };
  }
}
