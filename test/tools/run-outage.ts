// `npm run outage`: the slow suite of test/outage. Needs a real agent: without one it is skipped, and where CI=true it fails.

import process from "node:process";
import { runSuite } from "./run-files.ts";

process.exitCode = await runSuite("test/outage", { parts: process.argv.slice(2), fileTimeoutMs: 300_000, jobs: 1 });
