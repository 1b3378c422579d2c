// `npm run attacks -- [--runtime bun|deno|node]... [--target serve|echo] [--calls N]`: the suite of test/attacks, floods over sockets with
// a caller beside them, and N calls of all kinds (default 10,000) that must leave nothing behind. Stands outside of `npm test`: it takes
// minutes, and a machine that does little else. `echo` attacks HTTP/2 alone.

import process from "node:process";
import { parseArgs } from "node:util";
import { runSuite } from "./run-files.ts";
import { runtimeNames } from "./runtimes.ts";

const { values } = parseArgs({
  options: {
    runtime: { type: "string", multiple: true, default: [...runtimeNames] },
    target: { type: "string", default: "serve" },
    calls: { type: "string", default: "10000" },
  },
});
process.env.ATTACK_RUNTIMES = values.runtime.join();
process.env.ATTACK_TARGET = values.target;
process.env.ATTACK_CALLS = values.calls;
process.exitCode = await runSuite("test/attacks", { parts: [], fileTimeoutMs: 600_000, jobs: 1 });
