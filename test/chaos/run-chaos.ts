// `npm run chaos`: real servers, real clients and a real Consul, with faults; and a judge who has seen only their ledgers.
//
//   npm run chaos -- [--quick] [--json] [--scenario NAME]... [--runtime bun|deno|node]... [--client lictor|grpc-js|grpc-go]...
//                    [--seed N] [--pace RATIO] [--minutes N] [--keep] [--list] [--write]
//
// Everything goes to stderr, but for the table, or with --json one line of JSON. Exit code 1 where anything was missed, 2 for a bad
// argument. Runs on Bun and on Node.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { findConsul } from "../support/consul-agent.ts";
import { type RuntimeName, runtimeNames } from "../tools/runtimes.ts";
import { type ClientProgram, clientPrograms, prepareClient } from "./client-programs.ts";
import { judge, type Terms } from "./judge.ts";
import { jsonOf, printBreak, printResult, type Result, tableOf } from "./report.ts";
import { writeResult } from "./results.ts";
import type { Scenario } from "./scenario.ts";
import { scenarios } from "./scenarios/index.ts";
import { Stage } from "./stage.ts";

const usage = `npm run chaos -- [OPTION]...

  --quick           the short scenarios alone, side by side, within 50 s
  --json            one line of JSON on stdout instead of the table
  --scenario NAME   only these; may be repeated
  --runtime NAME    clients on these runtimes only: ${runtimeNames.join(", ")}; may be repeated
  --client NAME     whose client: ${clientPrograms.join(", ")}; may be repeated. Default lictor
  --seed N          for everything that is left to chance; printed with every run
  --pace RATIO      times of the long scenarios, 1 as in the table, 0.1 to try them
  --minutes N       length of the soak; default 30
  --keep            leaves ledgers behind, and says where
  --list            prints the scenarios
  --write           puts the results of a full run into test/chaos/results.json and docs/reliability.md`;

const open = new Set<Stage>();
const folders = new Set<string>();
for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const) {
  process.on(signal, () => {
    Promise.allSettled([...open].map((stage) => stage[Symbol.asyncDispose]())).then(() => {
      for (const folder of folders) rmSync(folder, { recursive: true, force: true });
      process.exit(code);
    });
  });
}

process.exit(await main(process.argv.slice(2)));

async function main(args: readonly string[]): Promise<number> {
  const options = readArguments(args);
  if (typeof options === "string") {
    console.error(options);
    return 2;
  }
  if (options.isList) {
    for (const { name, isQuick, must } of scenarios) console.log(`${name}${isQuick ? " (quick)" : ""}: ${must}`);
    return 0;
  }
  if (findConsul() === undefined) {
    console.error("!!! No Consul binary: npm run get-consul fetches one; CONSUL_BIN or PATH may name another.");
    return 1;
  }
  for (const client of options.clients) prepareClient(client);
  const guard = spawn(process.execPath, [`${import.meta.dirname}/guard.ts`, String(process.pid)], {
    stdio: ["pipe", "ignore", "inherit"],
    // The terminal's Ctrl-C is for the runner.
    detached: true,
  });
  guard.unref();
  console.error(`seed ${options.seed}`);
  const startedMs = performance.now();
  const folder = mkdtempSync(join(tmpdir(), "lictor-chaos-"));
  folders.add(folder);
  const results: Result[] = [];
  try {
    for (const client of options.clients) {
      const play = async (scenario: Scenario) => {
        const result = await playOne(scenario, client, options, folder);
        // At once: a run of hours may be broken off.
        if (options.isWritten) writeResult(result, options);
        return result;
      };
      // Quick ones all at once: they mostly wait.
      if (options.isQuick) results.push(...(await Promise.all(options.wanted.map(play))));
      else for (const scenario of options.wanted) results.push(await play(scenario));
    }
  } finally {
    if (options.isKept) console.error(`ledgers: ${folder}`);
    else rmSync(folder, { recursive: true, force: true });
  }
  const calls = results.reduce((sum, { verdict }) => sum + verdict.calls, 0);
  console.error(
    `${calls} calls in all, ${((performance.now() - startedMs) / 1000).toFixed(1)} s, seed ${options.seed}`,
  );
  console.log(options.isJson ? jsonOf(results) : tableOf(results));
  return results.every(({ verdict }) => verdict.misses.length === 0) ? 0 : 1;
}

interface Options {
  readonly wanted: readonly Scenario[];
  readonly isQuick: boolean;
  readonly isJson: boolean;
  readonly isKept: boolean;
  readonly isList: boolean;
  readonly runtimes: readonly RuntimeName[];
  readonly isWritten: boolean;
  readonly clients: readonly ClientProgram[];
  readonly seed: number;
  readonly pace: number;
  readonly soakMinutes: number;
}

/** Plays one scenario and has it judged; says on stderr what became of it. */
async function playOne(scenario: Scenario, client: ClientProgram, options: Options, folder: string): Promise<Result> {
  const { name } = scenario;
  const stage = new Stage({ ...options, name, folder: join(folder, client), clientProgram: client });
  open.add(stage);
  const startedMs = performance.now();
  const judgeBy = (terms: Terms) => judge({ clients: stage.clientLedgers, servers: stage.serverLedgers }, terms);
  try {
    const result = { scenario, client, verdict: judgeBy(await scenario.play(stage)) };
    printResult(result, stage, performance.now() - startedMs);
    return result;
  } catch (error) {
    // A scenario that breaks has shown nothing, whatever its calls say.
    const result = { scenario, client, verdict: judgeBy({ misses: [`the scenario broke: ${error}`] }) };
    printResult(result, stage, performance.now() - startedMs);
    printBreak(error, stage);
    return result;
  } finally {
    await stage[Symbol.asyncDispose]();
    open.delete(stage);
  }
}

function readArguments(args: readonly string[]): Options | string {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        quick: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        keep: { type: "boolean", default: false },
        write: { type: "boolean", default: false },
        list: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
        scenario: { type: "string", multiple: true, default: [] },
        runtime: { type: "string", multiple: true, default: [] },
        client: { type: "string", multiple: true, default: ["lictor"] },
        seed: { type: "string" },
        pace: { type: "string", default: "1" },
        minutes: { type: "string", default: "30" },
      },
    });
    if (values.help) return usage;
    // The figures of the table are those of the long scenarios.
    if (values.write && values.quick) throw new RangeError("--write does not go with --quick");
    for (const name of values.scenario)
      oneOf(
        "scenario",
        name,
        scenarios.map((scenario) => scenario.name),
      );
    const runtimes = values.runtime.map((name) => oneOf("runtime", name, runtimeNames));
    const isNamed = ({ name }: Scenario) => values.scenario.length === 0 || values.scenario.includes(name);
    return {
      wanted: scenarios.filter((scenario) => isNamed(scenario) && (!values.quick || scenario.isQuick)),
      isQuick: values.quick,
      isJson: values.json,
      isKept: values.keep,
      isList: values.list,
      runtimes: runtimes.length === 0 ? runtimeNames : runtimes,
      isWritten: values.write,
      clients: values.client.map((name) => oneOf("client", name, clientPrograms)),
      seed: values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : positive("seed", values.seed),
      pace: positive("pace", values.pace),
      soakMinutes: positive("minutes", values.minutes),
    };
  } catch (error) {
    return `${error instanceof Error ? error.message : error}\n\n${usage}`;
  }
}

function oneOf<T extends string>(flag: string, value: string, known: readonly T[]): T {
  const found = known.find((one) => one === value);
  if (found === undefined) throw new RangeError(`--${flag} must be one of ${known.join(", ")}: received ${value}`);
  return found;
}

function positive(flag: string, text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new RangeError(`--${flag} must be a number above 0: received ${text}`);
  return value;
}
