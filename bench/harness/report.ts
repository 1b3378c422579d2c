// Figures as tables of plain text, which are also Markdown. Formats; measures nothing.

import type { Side } from "./cores.ts";
import type { Sample } from "./measure.ts";
import type { PhaseName, Results } from "./results.ts";

/** A table with a head, its columns aligned. The first column is of words, the others of numbers. */
export function formatTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((_, column) => Math.max(3, ...[head, ...rows].map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))).join(" | ")} |`;
  const rule = widths.map((width, column) => (column === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`));
  return [line(head), line(rule), ...rows.map(line)].join("\n");
}

/** A number with about three digits; "-" for none. */
export function formatNumber(value: number | null | undefined): string {
  if (value === undefined || value === null || Number.isNaN(value)) return "-";
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString("en-US");
  return String(Number(value.toPrecision(3)));
}

/** The whole run, a table for each question. */
export function formatResults(results: Results): string {
  const { runtime, runtimeVersion, machine, peers, rounds } = results;
  const pinned = machine.isPinned ? "one pinned core a side" : "NOT PINNED";
  const sections = [
    `${runtime} ${runtimeVersion}, ${machine.cpu} (${machine.cores} cores), ${machine.system}, ${pinned}, medians of ${rounds} rounds`,
    ...(["client", "server"] as const).flatMap((side) => sideTables(results, side, peers[side])),
    section(
      "lictor's client in variants, 64 in flight",
      ["variant", "CPU µs/call", "p50 ms", "p99 ms"],
      Object.entries(results.variants).map(([name, { cpuUs, p50Ms, p99Ms }]) => [
        name,
        ...[cpuUs, p50Ms, p99Ms].map(formatNumber),
      ]),
    ),
    section(
      "Client CPU µs per call as endpoints grow, 1 in flight",
      ["row", "1", "3", "10", "100", "1000"],
      Object.entries(results.endpoints).map(([row, by]) => [
        row,
        ...["1", "3", "10", "100", "1000"].map((count) => formatNumber(by[count])),
      ]),
    ),
    ...(["client", "server"] as const).flatMap((side) => [
      section(
        `Bytes per idle connection, ${side}`,
        ["row", "heap", "resident"],
        Object.entries(results.idleConnections[side]).map(([row, { heapBytes, rssBytes }]) => [
          row,
          ...[heapBytes, rssBytes].map(formatNumber),
        ]),
      ),
      section(
        `10,000 open streams, ${side}: bytes for each`,
        ["row", "heap", "resident", "all open in ms"],
        Object.entries(results.openStreams[side]).map(([row, { heapBytes, rssBytes, wallMs }]) => [
          row,
          ...[heapBytes, rssBytes, wallMs].map(formatNumber),
        ]),
      ),
    ]),
    section(
      "Targets",
      ["figure", "side", "kind", "bound", "measured", ""],
      results.targets.map(({ figure, side, kind, bound, measured, isMet }) => [
        figure,
        side,
        kind,
        bound,
        formatNumber(measured),
        isMet === null ? "not measured" : isMet ? "met" : kind === "must" ? "MISSED" : "missed",
      ]),
    ),
  ];
  return sections.filter((text) => text !== "").join("\n\n");
}

function sideTables({ sides }: Results, side: Side, peer: string): string[] {
  const verb = side === "client" ? "calling" : "called by";
  const table = (
    title: string,
    phases: readonly PhaseName[],
    columns: readonly [string, (sample: Sample, phase: PhaseName) => number][],
  ) =>
    phases.map((phase) =>
      section(
        `${side}, ${verb} ${peer}: ${title} (${phase})`,
        ["row", ...columns.map(([name]) => name)],
        Object.entries(sides[side]).flatMap(([row, by]) => {
          const sample = by[phase];
          return sample === undefined ? [] : [[row, ...columns.map(([, value]) => formatNumber(value(sample, phase)))]];
        }),
      ),
    );
  const mibPerSecond = ({ perSecond }: Sample, phase: PhaseName) => (perSecond * Number(phase.split("-")[1])) / 2 ** 20;
  return [
    ...table(
      "unary, small message",
      ["unary-1", "unary-64", "unary-512"],
      [
        ["CPU µs/call", ({ cpuUs }) => cpuUs],
        ["p50 ms", ({ p50Ms }) => p50Ms],
        ["p99 ms", ({ p99Ms }) => p99Ms],
        ["calls/s", ({ perSecond }) => perSecond],
      ],
    ),
    ...table(
      "payload both ways",
      ["echo-16", "echo-1024", "echo-65536", "echo-1048576"],
      [
        ["MiB/s each way", mibPerSecond],
        ["CPU µs/call", ({ cpuUs }) => cpuUs],
        ["p50 ms", ({ p50Ms }) => p50Ms],
        ["p99 ms", ({ p99Ms }) => p99Ms],
      ],
    ),
    ...table(
      "messages of 16 bytes",
      ["download", "chat"],
      [
        ["messages/s", ({ perSecond }) => perSecond],
        ["messages/s and core", ({ cpuUs }) => 1e6 / cpuUs],
        ["CPU µs/message", ({ cpuUs }) => cpuUs],
      ],
    ),
  ];
}

/** Nothing where there are no rows. */
function section(title: string, head: readonly string[], rows: readonly (readonly string[])[]): string {
  return rows.length === 0 ? "" : `${title}\n\n${formatTable(head, rows)}`;
}
