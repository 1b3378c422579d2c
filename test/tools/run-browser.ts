// `npm run browser`: the suites of test/browser, whose pages run in Chromium. Stands outside of `npm test`: without a Chromium it
// is skipped, loudly, and fails where CI=true.

import process from "node:process";
import { findChromium, noChromium } from "../browser/chromium.ts";
import { runSuite } from "./run-files.ts";

if (findChromium() === undefined) console.error(`!!! ${noChromium}`);
process.exitCode = await runSuite("test/browser", { parts: process.argv.slice(2), jobs: 2 });
