// `npm run outage`: the slow suite of test/outage, on Node, which starts Bun and Deno by itself. Needs a real agent: without one it is
// skipped, and where CI=true it fails. Exit code 1 on any failure.

import { globSync } from "node:fs";
import process from "node:process";
import { printSummary, runFiles, tally } from "./run-files.ts";
import { findRuntime, projectFolder } from "./runtimes.ts";

const runtimes = [findRuntime("node")];
const files = globSync("test/outage/*.test.ts", { cwd: projectFolder }).sort();
const results = await runFiles(runtimes, files, { fileTimeoutMs: 300_000, jobs: 1 });
printSummary(runtimes, results);
process.exitCode = tally(results).failed === 0 ? 0 : 1;
