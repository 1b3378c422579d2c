// `npm run bench`: measures lictor beside other gRPC libraries. See README.md beside this file.
//
//   npm run bench -- [--runtime bun|deno|node|all] [--peers RUNTIME] [--rounds N] [--only PART,...] [--connector NAME] [--http2 NAME]
//   npm run bench -- --quick [--json] [--runtime bun|deno|node]
//
// Exit code 0 whatever the figures say, 1 where a figure that needs nothing to be built could not be taken, 2 for a bad argument.

import { mkdirSync, writeFileSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type RuntimeName, runtimeNames } from "../test/tools/runtimes.ts";
import { drawChart } from "./harness/chart.ts";
import { chooseCores } from "./harness/cores.ts";
import { type PartName, partNames, runFull } from "./harness/full.ts";
import { killAll } from "./harness/program.ts";
import { runQuick } from "./harness/quick.ts";
import { formatNumber, formatResults, formatTable } from "./harness/report.ts";
import { listRows, type RowOptions } from "./harness/rows.ts";
import type { Stage } from "./harness/side.ts";

const resultsFolder = fileURLToPath(new URL("results/", import.meta.url));
const usage = `usage: npm run bench -- [--quick [--json]] [--runtime ${runtimeNames.join("|")}|all] [--peers RUNTIME] [--rounds N] [--only ${partNames.join(",")}] [--connector NAME] [--http2 NAME]`;

for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const) {
  process.on(signal, () => {
    killAll();
    process.exit(code);
  });
}

process.exit(await main(process.argv.slice(2)));

async function main(args: readonly string[]): Promise<number> {
  const given = readArguments(args);
  if (given === undefined) {
    console.error(usage);
    return 2;
  }
  const { runtimes, rounds, parts, isQuick, isJson, ...options } = given;
  let failures = 0;
  for (const runtime of runtimes) {
    const stage = createStage({ runtime, ...options }, () => failures++);
    if (isQuick) {
      const { client, server } = await runQuick(stage);
      const rows = Object.keys(client) as (keyof typeof client)[];
      const figures = rows.map((row) => [row, formatNumber(client[row]), formatNumber(server[row])]);
      const table = `${runtime}, CPU µs per call, 64 in flight\n\n${formatTable(["row", "client", "server"], figures)}`;
      if (isJson) console.error(table);
      console.log(isJson ? JSON.stringify({ runtime, client, server }) : table);
      continue;
    }
    const results = await runFull(stage, { runtime, ...options }, rounds, parts);
    console.log(`${formatResults(results)}\n`);
    if (parts.length < partNames.length) {
      console.error("only parts were run: no files are written");
      continue;
    }
    mkdirSync(resultsFolder, { recursive: true });
    writeFileSync(`${resultsFolder}${runtime}.json`, `${JSON.stringify(results, undefined, 2)}\n`);
    writeFileSync(`${resultsFolder}${runtime}.svg`, drawChart(results));
    writeFileSync(`${resultsFolder}${runtime}.md`, `${formatResults(results)}\n`);
    console.error(`written: bench/results/${runtime}.json, .svg and .md`);
  }
  return failures === 0 ? 0 : 1;
}

interface Arguments extends Omit<RowOptions, "runtime"> {
  readonly runtimes: readonly RuntimeName[];
  readonly rounds: number;
  readonly parts: readonly PartName[];
  readonly isQuick: boolean;
  readonly isJson: boolean;
}

/** undefined where something is not as the usage says. */
function readArguments(args: readonly string[]): Arguments | undefined {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        quick: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        runtime: { type: "string", default: "bun" },
        peers: { type: "string" },
        rounds: { type: "string", default: "5" },
        only: { type: "string" },
        connector: { type: "string" },
        http2: { type: "string" },
      },
    });
    const { connector, http2, quick: isQuick, json: isJson } = values;
    const runtimes = values.runtime === "all" ? runtimeNames : runtimeNames.filter((name) => name === values.runtime);
    const peers = runtimeNames.find((name) => name === values.peers);
    const wanted = values.only?.split(",") ?? [...partNames];
    const parts = partNames.filter((name) => wanted.includes(name));
    const rounds = Number(values.rounds);
    const isGood =
      runtimes.length > 0 &&
      peers === values.peers &&
      parts.length === wanted.length &&
      Number.isInteger(rounds) &&
      rounds > 0 &&
      (isQuick || !isJson);
    // One line of JSON is for one runtime.
    if (!isGood || (isQuick && runtimes.length > 1)) return undefined;
    return { runtimes, rounds, parts, isQuick, isJson, peers, connector, http2 };
  } catch {
    return undefined;
  }
}

function createStage(options: RowOptions, onFailure: () => void): Stage {
  const startMs = performance.now();
  const note = (text: string) => console.error(`${((performance.now() - startMs) / 1000).toFixed(1)} s  ${text}`);
  const rows = listRows(options);
  return {
    rows,
    cores: chooseCores(note),
    note,
    lose(what, reason) {
      if (!reason.includes("bench:setup")) onFailure();
      note(`not measured: ${what}: ${reason}`);
    },
  };
}
