// The targets: what lictor must reach against others, and what this run says of it. Judges figures; takes none.

import type { Side } from "./cores.ts";
import type { Sample } from "./measure.ts";
import type { PhaseName, Results, TargetResult } from "./results.ts";
import { onNode } from "./rows.ts";

type Figures = Omit<Results, "targets">;

/** Compares lictor's figure with that of a row. */
type Bound = readonly [row: string, operator: Operator, ratio: number, kind?: TargetResult["kind"]];

type Operator = "<=" | ">=";

/** Every target with what was measured. A ratio is of medians, and is rounded after it is judged. */
export function judgeTargets(figures: Figures): readonly TargetResult[] {
  const take = (side: Side, row: string, phase: PhaseName, value: (sample: Sample) => number) => {
    const sample = figures.sides[side][row]?.[phase];
    return sample === undefined ? undefined : value(sample);
  };
  const against = (
    figure: string,
    side: Side,
    phase: PhaseName,
    value: (sample: Sample) => number,
    bounds: readonly Bound[],
  ): TargetResult[] =>
    bounds.map(([row, operator, ratio, kind = "must"]) => {
      const measured = divide(take(side, "lictor", phase, value), take(side, row, phase, value));
      const bound = `${operator} ${Number(ratio.toPrecision(2))}x ${row}`;
      return judge({ figure, side, kind, bound }, measured, operator, ratio);
    });
  const cpu = ({ cpuUs }: Sample) => cpuUs;
  // The rows that run on Node are there only where the others do not.
  const hasReference = Object.keys(figures.sides.client).some((row) => row.endsWith(onNode));
  const bothWays = (row: string, ratio: number): readonly Bound[] =>
    (hasReference ? [row, row + onNode] : [row]).map((name) => [name, "<=", ratio]);
  const sides: readonly Side[] = ["client", "server"];
  const { variants, endpoints, idleConnections } = figures;
  return [
    ...against("CPU per unary call, 64 in flight", "client", "unary-64", cpu, [
      ...bothWays("grpc-js", 1 / 10),
      ...bothWays("connect-node", 1 / 20),
      ["grpc-go", "<=", 1],
      ["tonic", "<=", 0.8, "aim"],
    ]),
    ...against("CPU per unary call, 64 in flight", "server", "unary-64", cpu, [
      ...bothWays("grpc-js", 1 / 7),
      ...bothWays("connect-node", 1 / 30),
      ["grpc-go", "<=", 0.6],
      ["tonic", "<=", 0.7, "aim"],
    ]),
    ...against("p50 at 1 in flight", "client", "unary-1", ({ p50Ms }) => p50Ms, [
      ["grpc-js", "<=", 0.7],
      ["grpc-go", "<=", 1, "aim"],
    ]),
    ...against("p99 at 64 in flight", "client", "unary-64", ({ p99Ms }) => p99Ms, [
      ["grpc-js", "<=", 0.2],
      ["grpc-go", "<=", 1.2, "aim"],
    ]),
    ...sides.flatMap((side) =>
      against("1 MiB messages, bytes per second", side, "echo-1048576", ({ perSecond }) => perSecond, [
        ["grpc-js", ">=", 1.5],
        ["http2-raw", ">=", 1],
        ["grpc-go", ">=", 1, "aim"],
      ]),
    ),
    ...sides.flatMap((side) =>
      (["download", "chat"] as const).flatMap((phase) =>
        // What a core could carry, whatever the other side could: the reciprocal of its CPU.
        against(`${phase}: messages per second and core`, side, phase, ({ cpuUs }) => 1 / cpuUs, [
          ["grpc-js", ">=", 5],
          ["grpc-go", ">=", 1, "aim"],
        ]),
      ),
    ),
    judge(
      { figure: "balanced transport, CPU per call", side: "client", kind: "must", bound: "<= 1.05x a bare counter" },
      divide(variants.plain?.cpuUs, variants.counter?.cpuUs),
      "<=",
      1.05,
    ),
    judge(
      { figure: "1,000 endpoints, CPU per call", side: "client", kind: "must", bound: "<= 1.2x that of 3" },
      divide(endpoints.lictor?.["1000"], endpoints.lictor?.["3"]),
      "<=",
      1.2,
    ),
    ...sides.flatMap((side) =>
      ([24, 12] as const).map((kib) =>
        judge(
          { figure: "KiB of heap per idle connection", side, kind: kib === 24 ? "must" : "aim", bound: `<= ${kib}` },
          divide(idleConnections[side].lictor?.heapBytes ?? undefined, 1024),
          "<=",
          kib,
        ),
      ),
    ),
    judge(
      { figure: "deadline, metadata, two interceptors", side: "client", kind: "must", bound: "<= 1.3x the bare call" },
      divide(variants.dressed?.cpuUs, variants.bare?.cpuUs),
      "<=",
      1.3,
    ),
  ];
}

function divide(value: number | undefined, by: number | undefined): number | undefined {
  return value === undefined || by === undefined ? undefined : value / by;
}

function judge(
  target: Omit<TargetResult, "measured" | "isMet">,
  measured: number | undefined,
  operator: Operator,
  limit: number,
): TargetResult {
  if (measured === undefined) return { ...target, measured: null, isMet: null };
  const isMet = operator === "<=" ? measured <= limit : measured >= limit;
  return { ...target, measured: Number(measured.toPrecision(3)), isMet };
}
