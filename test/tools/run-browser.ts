// `npm run browser`: the suites of test/browser, whose pages run in Chromium. Stands outside of `npm test`: without a Chromium it is
// skipped, loudly, and fails where CI=true. Exit code 1 on any failure.

import { globSync } from "node:fs";
import process from "node:process";
import { findChromium } from "../browser/chromium.ts";
import { printSummary, runFiles, tally } from "./run-files.ts";
import { findRuntime, projectFolder } from "./runtimes.ts";

if (findChromium() === undefined) {
  console.error("!!! No Chromium on this machine: install Debian's package chromium, or set CHROMIUM_BIN.");
}
const parts = process.argv.slice(2);
const files = globSync("test/browser/*.test.ts", { cwd: projectFolder })
  .filter((file) => parts.length === 0 || parts.some((part) => file.includes(part)))
  .sort();
// Node holds the strings: the driver of the browser is its.
const runtimes = [findRuntime("node")];
const results = await runFiles(runtimes, files, { fileTimeoutMs: 120_000, jobs: 2 });
printSummary(runtimes, results);
process.exitCode = tally(results).failed === 0 && results.length > 0 ? 0 : 1;
