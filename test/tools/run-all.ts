// `npm test`: every test file but for those of suites with a command of their own, on Bun, Deno and Node; `npm run e2e`: those of test/e2e. Exit
// code 1 on any failure, and where a runtime ran no test at all. Runs on Bun, and on Node 24.

import process from "node:process";
import { parseArgs } from "node:util";
import { findConsul } from "../support/consul-agent.ts";
import { findTestFiles, printSummary, runFiles, tally } from "./run-files.ts";
import { findRuntime, type RuntimeName, runtimeNames } from "./runtimes.ts";

/** Suites with a command of their own: they need Go, a browser, workerd, npm, or minutes. */
const outsideSuites = [
  "test/attacks/",
  "test/browser/",
  "test/e2e/",
  "test/interop/",
  "test/matrix/",
  "test/outage/",
  "test/package/",
  "test/workerd/",
];

const help = `npm test -- [--runtime bun|deno|node]... [--jobs N] [--timeout SECONDS] [PART-OF-A-PATH]...

Runs the test files whose path holds one of the given parts (all without one) on the given runtimes (all three without). Suites with a command
of their own are left out where no part names their folder: test/e2e/.
  --jobs N           files at a time; default: three more than there are cores, as tests mostly wait
  --timeout SECONDS  longest that one file may take; default 120`;

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  const options = readArguments(args);
  if (typeof options === "string") {
    console.error(options);
    return options === help ? 0 : 2;
  }
  const files = findTestFiles("test", options.parts).filter((file) => {
    const suite = outsideSuites.find((folder) => file.startsWith(folder));
    return suite === undefined || options.parts.some((part) => part.startsWith(suite));
  });
  const runtimes = options.runtimes.map(findRuntime);
  const results = await runFiles(runtimes, files, options);
  if (findConsul() === undefined) {
    console.log(`
!!! ----------------------------------------------------------------------------
!!! No Consul binary was found: all tests against a real agent were SKIPPED.
!!! npm run get-consul fetches one; CONSUL_BIN or PATH may name another.
!!! ----------------------------------------------------------------------------`);
  }
  const idle = runtimes.filter(({ name }) => {
    const { passed, failed } = tally(results.filter((result) => result.runtime.name === name));
    return passed + failed === 0;
  });
  for (const { name } of idle) console.log(`!!! ${name} ran no test.`);
  printSummary(runtimes, results);
  return idle.length === 0 && tally(results).failed === 0 ? 0 : 1;
}

interface Options {
  readonly runtimes: readonly RuntimeName[];
  readonly parts: readonly string[];
  readonly fileTimeoutMs: number;
  readonly jobs?: number;
}

/** Returns a message instead where the arguments are no use. */
function readArguments(args: readonly string[]): Options | string {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        runtime: { type: "string", multiple: true },
        jobs: { type: "string" },
        timeout: { type: "string", default: "120" },
        help: { type: "boolean", short: "h" },
      },
    });
    if (values.help) return help;
    const wrong = values.runtime?.find((name) => !runtimeNames.some((known) => known === name));
    if (wrong !== undefined) return `Cannot run tests as --runtime must be bun, deno or node: received ${wrong}`;
    for (const [flag, value] of [
      ["--timeout", values.timeout],
      ["--jobs", values.jobs ?? "1"],
    ]) {
      if (!/^[1-9]\d*$/.test(value ?? ""))
        return `Cannot run tests as ${flag} must be a number above 0: received ${value}`;
    }
    return {
      runtimes: runtimeNames.filter((name) => values.runtime?.includes(name) ?? true),
      parts: positionals,
      fileTimeoutMs: Number(values.timeout) * 1000,
      ...(values.jobs === undefined ? {} : { jobs: Number(values.jobs) }),
    };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
