// The README's small table out of bench/results/*.json, so that its numbers are the benchmark's own: bun bench/render-table.ts
// prints it. Takes no figures but those.

import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Side } from "./harness/cores.ts";
import { formatNumber, formatTable } from "./harness/report.ts";
import type { Results } from "./harness/results.ts";

/** Rows of the table, as they are called in it. */
const rowLabels: readonly (readonly [row: string, label: string])[] = [
  ["lictor", "lictor"],
  ["grpc-go", "grpc-go, GOMAXPROCS=1"],
  ["tonic", "tonic (Rust), one thread"],
  ["grpc-js", "@grpc/grpc-js"],
  ["nice-grpc", "nice-grpc"],
  ["connect-node", "@connectrpc/connect-node"],
  ["http2-raw", "gRPC by hand on node:http2"],
];

/** Reads the results that are there, of Bun, Deno and Node in this order. */
export function readResults(): readonly Results[] {
  return ["bun", "deno", "node"].flatMap((runtime) => {
    const path = fileURLToPath(new URL(`results/${runtime}.json`, import.meta.url));
    return existsSync(path) ? [JSON.parse(readFileSync(path, "utf8")) as Results] : [];
  });
}

/**
 * Renders CPU per unary call at 64 in flight as a Markdown table, a column for each runtime and side, and a sentence that says
 * where it was measured. Throws where there are no results.
 */
export function renderTable(all: readonly Results[]): string {
  const [first] = all;
  if (first === undefined) throw new Error("Cannot render the table as there are no results: run npm run bench first");
  const columns = (["client", "server"] as const).flatMap((side) =>
    all.map((results) => ({ head: `${side}, ${nameOf(results.runtime)}`, side, results })),
  );
  const cpuOf = (results: Results, side: Side, row: string) => results.sides[side][row]?.["unary-64"]?.cpuUs;
  const rows = rowLabels
    .filter(([row]) => columns.some(({ results, side }) => cpuOf(results, side, row) !== undefined))
    .map(([row, label]) => [label, ...columns.map(({ results, side }) => formatNumber(cpuOf(results, side, row)))]);
  const { machine, rounds, date } = first;
  const versions = all.map(({ runtime, runtimeVersion }) => `${nameOf(runtime)} ${runtimeVersion}`).join(", ");
  return [
    formatTable(["CPU µs per call", ...columns.map(({ head }) => head)], rows),
    "",
    `Small unary calls, 64 in flight over three connections, ${machine.isPinned ? "one core a side" : "cores shared"}, medians of ${rounds} rounds: ${machine.cpu}, ${machine.cores} cores, ${machine.system}, ${versions}, ${date.slice(0, 10)}.`,
  ].join("\n");
}

function nameOf(runtime: string): string {
  return runtime.charAt(0).toUpperCase() + runtime.slice(1);
}

if (import.meta.main) console.log(renderTable(readResults()));
