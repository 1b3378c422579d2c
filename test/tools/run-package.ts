// `npm run package`: packs lictor, installs it into empty projects with npm, Bun and Deno, and tries there what README promises.
// Stands outside of `npm test`: it asks the npm registry for Node 22, TypeScript 5.9 and lictor's dependencies.

import { globSync } from "node:fs";
import process from "node:process";
import { makeWorkbench, workbenchVariable } from "../package/workbench.ts";
import { printSummary, runFiles, tally } from "./run-files.ts";
import { findRuntime, projectFolder } from "./runtimes.ts";

process.exitCode = await main(process.argv.slice(2));

async function main(parts: readonly string[]): Promise<number> {
  const files = globSync("test/package/*.test.ts", { cwd: projectFolder })
    .filter((file) => parts.length === 0 || parts.some((part) => file.includes(part)))
    .sort();
  // One runtime holds the strings; what is installed runs on all.
  const runtimes = [findRuntime("node")];
  await using bench = await makeWorkbench();
  process.env[workbenchVariable] = bench.folder;
  const results = await runFiles(runtimes, files, { fileTimeoutMs: 240_000, jobs: 2 });
  printSummary(runtimes, results);
  return tally(results).failed === 0 && results.length > 0 ? 0 : 1;
}
