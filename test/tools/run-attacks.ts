// `npm run attacks -- [--runtime bun|deno|node]... [--server SCRIPT] [--paths JSON]`: the suite of test/attacks, floods over sockets with a
// caller beside them. Stands outside of `npm test`: it takes minutes, and a machine that does little else. `--server` names a script that
// prints `ready HOST:PORT`, `--paths` what it does where (see test/attacks/target.ts).

import process from "node:process";
import { parseArgs } from "node:util";
import { runSuite } from "./run-files.ts";
import { runtimeNames } from "./runtimes.ts";

const { values } = parseArgs({
  options: {
    runtime: { type: "string", multiple: true, default: [...runtimeNames] },
    server: { type: "string" },
    paths: { type: "string" },
  },
});
process.env.ATTACK_RUNTIMES = values.runtime.join();
if (values.server !== undefined) process.env.ATTACK_SERVER = values.server;
if (values.paths !== undefined) process.env.ATTACK_PATHS = values.paths;
process.exitCode = await runSuite("test/attacks", { parts: [], fileTimeoutMs: 600_000, jobs: 1 });
