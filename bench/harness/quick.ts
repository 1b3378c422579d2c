// The quick run: small unary calls, 64 in flight, four rows on both sides, in less than a minute whatever the machine does.
// Builds nothing and writes no files.

import type { Command } from "../programs/commands.ts";
import type { Side } from "./cores.ts";
import { alternate } from "./measure.ts";
import { killAll } from "./program.ts";
import { oneLine, openSide, type Stage } from "./side.ts";

const rowNames = ["lictor", "grpc-js", "connect-node", "grpc-go"] as const;
const rounds = 3;
/** When everything is ended, done or not; and what the phases plan with. */
const hardLimitMs = 46_000;
const plannedMs = 40_000;

const command: Command = { do: "unary", inFlight: 64, calls: 20_000 };
/** As long for all, however fast they are: what compilers do takes time, not calls. */
const warmUp: Command = { do: "unary", inFlight: 64, calls: 1_000_000 };
/** How much of the time a warm-up gets, in rounds. */
const warmUpWeight = 5;

/** CPU microseconds per call, null where it was not measured. */
export type QuickFigures = Readonly<Record<(typeof rowNames)[number], number | null>>;

/** Both sides. */
export type QuickResult = Readonly<Record<Side, QuickFigures>>;

/** Runs both sides. Never rejects: what could not be measured is null, and `stage.lose` has been told why. */
export async function runQuick(stage: Stage): Promise<QuickResult> {
  const startMs = performance.now();
  const result: Record<Side, QuickFigures> = { client: figuresOf(new Map()), server: figuresOf(new Map()) };
  const timer = setTimeout(() => {
    stage.note(`stopped after ${hardLimitMs / 1000} s`);
    killAll();
  }, hardLimitMs);
  try {
    const rows = stage.rows.filter(({ name }) => rowNames.some((wanted) => wanted === name));
    let roundsLeft = rows.length * (rounds + warmUpWeight) * 2;
    for (const side of ["client", "server"] as const) {
      try {
        await using open = await openSide(stage, side, rows, 3);
        stage.note(`${side} rows ${side === "client" ? "call" : "are called by"} ${open.peer}`);
        roundsLeft -= (rows.length - open.entrants.length) * (rounds + warmUpWeight);
        // Every round gets an equal part of the time that is left, so that what fast rows do not need, slow ones have.
        const limitMs = (isWarmUp: boolean) => {
          const leftMs = startMs + plannedMs - performance.now();
          const weight = isWarmUp ? warmUpWeight : 1;
          const partMs = (leftMs / Math.max(1, roundsLeft)) * weight - 100;
          roundsLeft -= weight;
          return Math.min(isWarmUp ? 2500 : 1500, Math.max(100, partMs));
        };
        const onLost = (row: string, reason: string) => stage.lose(`${side} ${row}`, oneLine(reason));
        result[side] = figuresOf(await alternate(open.entrants, { rounds, warmUp, command, limitMs, onLost }));
      } catch (error) {
        stage.lose(`${side} rows`, oneLine(error));
      }
    }
  } finally {
    clearTimeout(timer);
  }
  return result;
}

function figuresOf(samples: ReadonlyMap<string, { readonly cpuUs: number }>): QuickFigures {
  const entry = (name: string): [string, number | null] => {
    const cpuUs = samples.get(name)?.cpuUs;
    return [name, cpuUs === undefined ? null : Math.round(cpuUs * 10) / 10];
  };
  return Object.fromEntries(rowNames.map(entry)) as unknown as QuickFigures;
}
