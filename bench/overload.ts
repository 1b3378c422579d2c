// What is left of a server's answers when five times as many calls come as it can answer.
//
//   npm run bench:overload -- [--runtime bun|deno|node] [--client bun|deno|node] [--seconds N] [--rounds N] [--http2 lictor|node] [--waits] [--json]
//
// A server whose handler computes for about two milliseconds, and a load generator, each a process of its own. Each round measures what the
// server answers when 32 calls are always under way (1x: it is saturated), then offers five times as many in an open loop, every call with a
// deadline of 1 s, and counts the answers that came in time (goodput). Rounds with and without `overload` take turns. With `--waits` the handler
// waits 5 ms before it computes, so that calls overlap. Besides answers a second it gives answers for each second of the server's CPU: on a
// machine that does other things too, that is the fairer one. Exit code 1 where less than 80 % is left with `overload`.

import { readFileSync } from "node:fs";
import process from "node:process";
import { parseArgs } from "node:util";
import type { SpawnedCommand } from "../test/support/spawn-command.ts";
import { spawnOn } from "../test/support/spawn-on.ts";
import { type RuntimeName, runtimeNames } from "../test/tools/runtimes.ts";
import type { LoadResult } from "./overload/load.ts";

const least = 0.8;
const factor = 5;
const saturatedInFlight = 32;
const saturateSeconds = 5;
/** Ticks in a second of /proc/PID/stat on Linux. */
const ticksPerSecond = 100;

interface Options {
  readonly server: RuntimeName;
  readonly client: RuntimeName;
  readonly seconds: number;
  readonly http2: "lictor" | "node";
  readonly waits: boolean;
}

/** One server's round. */
interface Round {
  readonly overload: boolean;
  readonly saturatedPerSecond: number;
  readonly goodPerSecond: number;
  /** Goodput at 5x, as a part of what was answered at 1x. */
  readonly left: number;
  /** The same of answers for each second of CPU; null where the system does not tell. */
  readonly leftByCpu: number | null;
  readonly p99Ms: number;
  readonly failed: Readonly<Record<string, number>>;
}

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      runtime: { type: "string", default: "node" },
      client: { type: "string" },
      seconds: { type: "string", default: "20" },
      rounds: { type: "string", default: "1" },
      http2: { type: "string", default: "lictor" },
      waits: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
    },
  });
  const server = runtimeNames.find((name) => name === values.runtime);
  const client = runtimeNames.find((name) => name === (values.client ?? values.runtime));
  const [seconds, rounds] = [Number(values.seconds), Number(values.rounds)];
  const { http2, waits } = values;
  const isKind = http2 === "lictor" || http2 === "node";
  if (
    server === undefined ||
    client === undefined ||
    !isKind ||
    !(seconds > 0) ||
    !(Number.isInteger(rounds) && rounds > 0)
  ) {
    console.error(
      "usage: overload.ts [--runtime RUNTIME] [--client RUNTIME] [--seconds N] [--rounds N] [--http2 KIND] [--waits] [--json]",
    );
    return 2;
  }
  const options: Options = { server, client, seconds, http2, waits };
  const work = await measureWork(server);
  const results: Round[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const overload of [true, false]) {
      const result = await runRound(options, work, overload);
      results.push(result);
      if (!values.json) console.error(describe(result));
    }
  }
  const [shedding, taking] = [true, false].map((overload) =>
    median(results.filter((one) => one.overload === overload)),
  );
  if (values.json) {
    console.log(JSON.stringify({ runtime: server, client, seconds, http2, waits, shedding, taking }));
  } else {
    console.table({ "with overload": row(shedding), without: row(taking) });
  }
  return Math.max(shedding?.left ?? 0, shedding?.leftByCpu ?? 0) >= least ? 0 : 1;
}

async function measureWork(runtime: RuntimeName): Promise<number> {
  await using program = spawnOn(runtime, "bench/overload/server.ts", [JSON.stringify({ work: 0 })]);
  await program.exitCode;
  const work = Number(/^work (\d+)$/m.exec(program.stdout)?.[1]);
  if (!(work > 0)) throw new Error(`cannot measure the handler: ${program.stderr}`);
  return work;
}

async function runRound(options: Options, work: number, overload: boolean): Promise<Round> {
  const { http2, waits } = options;
  const settings = { work, http2, waits, ...(overload && { overload: {} }) };
  await using server = spawnOn(options.server, "bench/overload/server.ts", [JSON.stringify(settings)]);
  const [address] = await server.ready(1);
  const url = `http://${address}`;
  // Once for the compiler.
  await load(options, { url, seconds: 2, inFlight: saturatedInFlight });
  const saturated = await measured(
    server,
    load(options, { url, seconds: saturateSeconds, inFlight: saturatedInFlight }),
  );
  const rate = factor * saturated.result.goodPerSecond;
  const offered = await measured(server, load(options, { url, seconds: options.seconds, rate }));
  const byCpu = (one: Measured): number | undefined => one.cpuSeconds && one.result.good / one.cpuSeconds;
  const [before, after] = [byCpu(saturated), byCpu(offered)];
  return {
    overload,
    saturatedPerSecond: saturated.result.goodPerSecond,
    goodPerSecond: offered.result.goodPerSecond,
    left: round2(offered.result.goodPerSecond / saturated.result.goodPerSecond),
    leftByCpu: before === undefined || after === undefined ? null : round2(after / before),
    p99Ms: offered.result.p99Ms,
    failed: offered.result.failed,
  };
}

interface Measured {
  readonly result: LoadResult;
  readonly cpuSeconds: number | undefined;
}

async function measured(server: SpawnedCommand, loading: Promise<LoadResult>): Promise<Measured> {
  const before = cpuSeconds(server);
  const result = await loading;
  const after = cpuSeconds(server);
  return { result, cpuSeconds: before === undefined || after === undefined ? undefined : after - before };
}

function cpuSeconds({ process: { pid } }: SpawnedCommand): number | undefined {
  try {
    // The second field may hold spaces; user and system time are the 14th and 15th.
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
      .replace(/^.*\) /, "")
      .split(" ");
    return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
  } catch {
    return undefined;
  }
}

async function load({ client }: Options, settings: Readonly<Record<string, unknown>>): Promise<LoadResult> {
  await using program = spawnOn(client, "bench/overload/load.ts", [JSON.stringify(settings)]);
  await program.exitCode;
  const result = /^result (.*)$/m.exec(program.stdout)?.[1];
  if (result === undefined) throw new Error(`the load generator failed: ${program.stderr}`);
  return JSON.parse(result) as LoadResult;
}

/** The round whose part left is in the middle. */
function median(rounds: readonly Round[]): Round | undefined {
  return rounds.toSorted((a, b) => a.left - b.left)[Math.floor(rounds.length / 2)];
}

function row(round: Round | undefined): Readonly<Record<string, unknown>> {
  return {
    "answers/s at 1x": round?.saturatedPerSecond,
    "in time at 5x": round?.goodPerSecond,
    left: percent(round?.left),
    "left by CPU": percent(round?.leftByCpu),
    "p99 ms": round?.p99Ms,
  };
}

function describe(round: Round): string {
  const how = round.overload ? "with" : "without";
  const { saturatedPerSecond, goodPerSecond } = round;
  return `${how} overload: ${saturatedPerSecond}/s at 1x, ${goodPerSecond}/s in time at 5x: ${percent(round.left)}, ${percent(round.leftByCpu)} by CPU; ${JSON.stringify(round.failed)}`;
}

function percent(part: number | null | undefined): string {
  return part === null || part === undefined ? "" : `${Math.round(part * 100)} %`;
}

function round2(value: number): number {
  return Math.round(value * 100) / 100;
}
