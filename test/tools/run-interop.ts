// `npm run interop`: builds the Go programs of test/interop/go and lets them, grpc-js and ours meet. Stands outside of
// `npm test`: it needs Go, and fetches Go modules. Without Go those cases are skipped, and fail where CI=true.

import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";
import process from "node:process";
import { goFolder } from "../interop/programs.ts";
import { printSummary, runFiles, tally } from "./run-files.ts";
import { findRuntime, projectFolder } from "./runtimes.ts";

process.exitCode = await main(process.argv.slice(2));

async function main(parts: readonly string[]): Promise<number> {
  const hasGo = spawnSync("go", ["version"]).status === 0;
  if (!hasGo) {
    console.error("!!! No Go on this machine: the cases with grpc-go, grpcurl and the original programs cannot run.");
    if (process.env.CI === "true") return 1;
  } else if (!buildGo()) {
    return 1;
  }
  const files = globSync("test/interop/*.test.ts", { cwd: projectFolder })
    .filter((file) => parts.length === 0 || parts.some((part) => file.includes(part)))
    .sort();
  // One runtime holds the strings; the programs that meet run on all three.
  const runtimes = [findRuntime("node")];
  const results = await runFiles(runtimes, files, { fileTimeoutMs: 240_000, jobs: 2 });
  printSummary(runtimes, results);
  return tally(results).failed === 0 && results.length > 0 ? 0 : 1;
}

/** Builds what is out of date; Go's own cache knows. */
function buildGo(): boolean {
  const modules = [
    {
      folder: "test/interop/go",
      packages: ["./client-consul", "./server-consul", "github.com/fullstorydev/grpcurl/cmd/grpcurl"],
    },
    { folder: "test/interop/go/original", packages: ["./client-original", "./server-original"] },
  ];
  return modules.every(({ folder, packages }) => {
    // A checkout that belongs to somebody else stops -buildvcs.
    const args = ["build", "-buildvcs=false", "-o", goFolder, ...packages];
    const { status } = spawnSync("go", args, { cwd: projectFolder + folder, stdio: ["ignore", "inherit", "inherit"] });
    if (status !== 0) console.error(`!!! Cannot build ${folder}`);
    return status === 0;
  });
}
