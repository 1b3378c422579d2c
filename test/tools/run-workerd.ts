// `npm run workerd`: lictor/edge in workerd, through miniflare. Run by Node, as miniflare is a Node program; stands outside of
// `npm test`. Without a Consul binary the cases over a real agent are skipped, and fail where CI=true.

import { globSync } from "node:fs";
import process from "node:process";
import { printSummary, runFiles, tally } from "./run-files.ts";
import { findRuntime, projectFolder } from "./runtimes.ts";

const parts = process.argv.slice(2);
const files = globSync("test/workerd/*.test.ts", { cwd: projectFolder })
  .filter((file) => parts.length === 0 || parts.some((part) => file.includes(part)))
  .sort();
const runtimes = [findRuntime("node")];
const results = await runFiles(runtimes, files, { fileTimeoutMs: 120_000, jobs: 2 });
printSummary(runtimes, results);
process.exitCode = tally(results).failed === 0 && results.length > 0 ? 0 : 1;
