// `npm run workerd`: lictor/edge in workerd, through miniflare. Stands outside of `npm test`, as miniflare is a Node program.
// Without a Consul binary the cases over a real agent are skipped, and fail where CI=true.

import process from "node:process";
import { runSuite } from "./run-files.ts";

process.exitCode = await runSuite("test/workerd", { parts: process.argv.slice(2), jobs: 2 });
