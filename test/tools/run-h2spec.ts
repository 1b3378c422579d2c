// `npm run h2spec -- [--runtime bun|deno|node]... [--rounds N] [--server SCRIPT] [--path PATH]`: builds h2spec out of test/h2spec/go, and
// runs it, strictly, against a server on each runtime: 146 cases, none skipped. Stands outside of `npm test`: it needs Go.

import { spawnSync } from "node:child_process";
import process from "node:process";
import { parseArgs } from "node:util";
import { spawnOn } from "../support/spawn-on.ts";
import { projectFolder, type RuntimeName, runtimeNames } from "./runtimes.ts";

const program = `${projectFolder}node_modules/.cache/h2spec/h2spec`;

/** What `h2spec --strict` of test/h2spec/go/go.mod has. */
const expectedCases = 146;

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      runtime: { type: "string", multiple: true, default: [...runtimeNames] },
      rounds: { type: "string", default: "1" },
      server: { type: "string", default: "test/h2spec/server.ts" },
      path: { type: "string", default: "/healthz" },
    },
  });
  if (spawnSync("go", ["version"]).status !== 0) {
    console.error("!!! No Go on this machine: h2spec cannot be built.");
    return process.env.CI === "true" ? 1 : 0;
  }
  if (!build()) return 1;
  let passed = 0;
  let failed = 0;
  for (const runtime of runtimeNames.filter((name) => values.runtime.includes(name))) {
    for (let round = 1; round <= Number(values.rounds); round++) {
      const result = await runOnce(runtime, values.server, values.path);
      console.log(`${runtime}, round ${round}: ${result.passed} of ${expectedCases} passed`);
      if (result.passed !== expectedCases) console.log(result.output);
      passed += result.passed;
      failed += expectedCases - result.passed;
    }
  }
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 && passed > 0 ? 0 : 1;
}

function build(): boolean {
  const args = ["build", "-buildvcs=false", "-o", program, "github.com/summerwind/h2spec/cmd/h2spec"];
  const { status } = spawnSync("go", args, { cwd: `${projectFolder}test/h2spec/go`, stdio: "inherit" });
  if (status !== 0) console.error("!!! Cannot build test/h2spec/go");
  return status === 0;
}

async function runOnce(
  runtime: RuntimeName,
  script: string,
  path: string,
): Promise<{ readonly passed: number; readonly output: string }> {
  await using server = spawnOn(runtime, script, [], { stdin: "pipe" });
  const [address = ""] = await server.ready(1);
  const [host = "", port = ""] = address.split(":");
  const args = ["--strict", "--host", host, "--port", port, "--path", path, "--timeout", "2"];
  const { stdout, stderr } = spawnSync(program, args, { encoding: "utf8", timeout: 120_000 });
  // `146 tests, 146 passed, 0 skipped, 0 failed`
  const counts = /(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed/.exec(stdout);
  return { passed: Number(counts?.[2] ?? 0), output: `${stdout.slice(-6000)}${stderr}` };
}
