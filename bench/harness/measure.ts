// One measurement, and rounds of them: programs take turns, so that whatever else happens on the machine meets all of them alike.

import type { Command } from "../programs/commands.ts";
import type { Program } from "./program.ts";

/** What one phase gave. A unit is a call, or a message where calls stream. */
export interface Sample {
  /** CPU of the measured process, user + system, microseconds for each unit. */
  readonly cpuUs: number;
  readonly perSecond: number;
  /** Of calls, in milliseconds, as the caller saw them. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** One who takes part: a caller, and the server that is measured in its place where it is a server's row. */
export interface Entrant {
  readonly row: string;
  readonly caller: Program;
  readonly server?: Program | undefined;
}

/** Runs one phase. Rejects where any call has failed: what failed was not measured. */
export async function measure({ caller, server }: Entrant, command: Command): Promise<Sample> {
  const before = await server?.usage();
  const phase = await caller.run(command);
  const after = await server?.usage();
  if (phase.failures > 0) {
    throw new Error(`${phase.failures} of ${phase.calls} calls failed, first with ${phase.error ?? "no word"}`);
  }
  const units = phase.calls * (command.messages ?? 1);
  if (units === 0) throw new Error("no call ended in time");
  const cpuMs = before === undefined || after === undefined ? phase.cpuMs : after.cpuMs - before.cpuMs;
  return {
    cpuUs: (cpuMs * 1000) / units,
    perSecond: (units * 1000) / phase.wallMs,
    p50Ms: phase.p50,
    p99Ms: phase.p99,
  };
}

/** How rounds go. */
export interface Rounds {
  readonly rounds: number;
  /** Before the first round, once for each entrant; not counted. */
  readonly warmUp: Command;
  readonly command: Command;
  /** Asked before each phase for its limit in milliseconds; default that of the command. */
  readonly limitMs?: (isWarmUp: boolean) => number;
  /** Told why an entrant is left out. */
  readonly onLost: (row: string, reason: string) => void;
}

/** Lets the entrants take turns, each round beginning with another one; resolves to the medians of those that finished at least one round. */
export async function alternate(
  entrants: readonly Entrant[],
  { rounds, warmUp, command, limitMs, onLost }: Rounds,
): Promise<ReadonlyMap<string, Sample>> {
  const samples = new Map<string, Sample[]>();
  const lost = new Set<string>();
  const attempt = async (entrant: Entrant, what: Command, keep: boolean) => {
    if (lost.has(entrant.row)) return;
    try {
      const sample = await measure(entrant, limitMs === undefined ? what : { ...what, limitMs: limitMs(!keep) });
      if (keep) samples.set(entrant.row, [...(samples.get(entrant.row) ?? []), sample]);
    } catch (error) {
      lost.add(entrant.row);
      samples.delete(entrant.row);
      onLost(entrant.row, error instanceof Error ? error.message : String(error));
    }
  };
  for (const entrant of entrants) await attempt(entrant, warmUp, false);
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < entrants.length; turn++) {
      const entrant = entrants[(round + turn) % entrants.length];
      if (entrant !== undefined) await attempt(entrant, command, true);
    }
  }
  return new Map([...samples].map(([row, list]) => [row, medianSample(list)]));
}

function medianSample(samples: readonly Sample[]): Sample {
  const of = (name: keyof Sample) => median(samples.map((sample) => sample[name]));
  return { cpuUs: of("cpuUs"), perSecond: of("perSecond"), p50Ms: of("p50Ms"), p99Ms: of("p99Ms") };
}

/** The middle one, or the mean of the middle two; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}
