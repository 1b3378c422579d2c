// `npm run matrix`: proves README's table of what works where. Stands outside of `npm test`: it needs Chromium, workerd and curl.
// Without a Chromium its cells are skipped, loudly, and without a Consul those of the real agent; where CI=true both fail.

import process from "node:process";
import { findChromium, noChromium } from "../browser/chromium.ts";
import { findConsul } from "../support/consul-agent.ts";
import { runSuite } from "./run-files.ts";

if (findChromium() === undefined) console.error(`!!! ${noChromium}`);
if (findConsul() === undefined)
  console.error("!!! no Consul binary: registering and finding is proved on the embedded agent only");
process.exitCode = await runSuite("test/matrix", { parts: process.argv.slice(2), fileTimeoutMs: 300_000, jobs: 1 });
