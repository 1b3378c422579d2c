// `npm run matrix`: proves README's table of what works where. Stands outside of `npm test`: it needs Chromium, workerd and curl.
// Without a Chromium its cells are skipped, loudly, and without a Consul those of the real agent; where CI=true both fail. Exit
// code 1 on any failure.

import process from "node:process";
import { findChromium } from "../browser/chromium.ts";
import { findConsul } from "../support/consul-agent.ts";
import { printSummary, runFiles, tally } from "./run-files.ts";
import { findRuntime } from "./runtimes.ts";

if (findChromium() === undefined) {
  console.error("!!! No Chromium on this machine: install Debian's package chromium, or set CHROMIUM_BIN.");
}
if (findConsul() === undefined)
  console.error("!!! No Consul binary: registering and finding is proved on the embedded agent only.");
// One runtime holds the strings; it starts the others.
const runtimes = [findRuntime("node")];
const results = await runFiles(runtimes, ["test/matrix/matrix.test.ts"], { fileTimeoutMs: 300_000, jobs: 1 });
printSummary(runtimes, results);
process.exitCode = tally(results).failed === 0 ? 0 : 1;
