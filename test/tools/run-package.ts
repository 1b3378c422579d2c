// `npm run package`: packs lictor, installs it into empty projects with npm, Bun and Deno, and tries there what README promises.
// Stands outside of `npm test`: it asks the npm registry for Node 22, TypeScript 5.9 and lictor's dependencies.

import process from "node:process";
import { makeWorkbench, workbenchVariable } from "../package/workbench.ts";
import { runSuite } from "./run-files.ts";

await using bench = await makeWorkbench();
process.env[workbenchVariable] = bench.folder;
process.exitCode = await runSuite("test/package", { parts: process.argv.slice(2), fileTimeoutMs: 240_000, jobs: 2 });
