// Judges a run by its ledgers alone: which calls failed, which of those may fail, what ran twice, what was answered and never ran.
// Has seen neither the clients nor the servers.

import { type Run, readCalls, readRuns, repeatableMethods, type SentCall } from "./ledger.ts";

/** A call, and what the servers say of it. */
export interface JudgedCall extends SentCall {
  /** Whether the proto says that it may run twice. */
  readonly isRepeatable: boolean;
  /** When it ended; Infinity where it never did. */
  readonly endMs: number;
  readonly runs: readonly Run[];
}

/** What a scenario says of its own run. */
export interface Terms {
  /** Says why a call that failed was allowed to; undefined: it was not. Default: none was. */
  readonly allow?: (call: JudgedCall) => string | undefined;
  /** Finds what else is wrong with the calls, answered ones too; one line each. */
  readonly check?: (calls: readonly JudgedCall[]) => readonly string[];
  /** What the scenario itself saw go wrong. */
  readonly misses?: readonly string[];
  /** Calls that there must be at least, or the run says nothing. Default 100. */
  readonly leastCalls?: number;
}

/** What the judge found. */
export interface Verdict {
  readonly calls: number;
  /** Calls that failed, and were not allowed to. */
  readonly failed: number;
  /** Calls that failed, and were. */
  readonly allowed: number;
  /** Runs beyond the first of calls that may not run twice. */
  readonly duplicated: number;
  /** Milliseconds within which 999 of 1000 calls ended, whatever became of them. */
  readonly p999Ms: number;
  /** When the first call was made, in Unix milliseconds. */
  readonly beganMs: number;
  /** Everything that must not be, in words: none is a pass. */
  readonly misses: readonly string[];
  /** Calls that failed and were not allowed to, or ran twice: in the order in which they were made. */
  readonly culprits: readonly JudgedCall[];
  /** How many failed calls were allowed to, by reason. */
  readonly reasons: Readonly<Record<string, number>>;
}

/** Ledgers of one run. */
export interface Ledgers {
  readonly clients: readonly string[];
  readonly servers: readonly string[];
}

/** Reads the ledgers and judges. */
export function judge(ledgers: Ledgers, terms: Terms): Verdict {
  return judgeCalls(
    ledgers.clients.flatMap((path) => readCalls(path)),
    ledgers.servers.flatMap((path) => readRuns(path)),
    terms,
  );
}

/** Judges what was read. */
export function judgeCalls(sent: readonly SentCall[], runs: readonly Run[], terms: Terms): Verdict {
  const { allow = () => undefined, check = () => [], leastCalls = 100 } = terms;
  const runsById = Map.groupBy(runs, ({ id }) => id);
  const calls = sent
    .map((call): JudgedCall => {
      const { id, method, sentMs, done } = call;
      return {
        ...call,
        isRepeatable: repeatableMethods.includes(method),
        endMs: done === undefined ? Number.POSITIVE_INFINITY : sentMs + done.tookMs,
        runs: runsById.get(id) ?? [],
      };
    })
    .sort((a, b) => a.sentMs - b.sentMs);
  const reasons: Record<string, number> = {};
  const failed: JudgedCall[] = [];
  const twice: JudgedCall[] = [];
  let duplicated = 0;
  let lost = 0;
  let belied = 0;
  for (const call of calls) {
    if (call.done?.outcome !== "ok") {
      // A call without an end is one that hangs: no scenario allows that.
      const reason = call.done === undefined || call.done.outcome === "wrong" ? undefined : allow(call);
      if (reason === undefined) failed.push(call);
      else reasons[reason] = (reasons[reason] ?? 0) + 1;
      // Whoever believes that would make the call again.
      if (call.done?.fate === "unprocessed" && call.runs.length > 0) belied++;
    } else if (!call.runs.some(({ server }) => server === call.done?.server)) {
      lost++;
    }
    if (!call.isRepeatable && call.runs.length > 1) {
      duplicated += call.runs.length - 1;
      twice.push(call);
    }
  }
  const known = new Set(sent.map(({ id }) => id));
  const unknown = runs.filter(({ id }) => !known.has(id)).length;
  const misses = [
    ...(failed.length > 0 ? [`${failed.length} calls failed that must not`] : []),
    ...(duplicated > 0 ? [`${duplicated} runs too many of calls that may run once`] : []),
    ...(lost > 0 ? [`${lost} calls were answered, and no handler ran there`] : []),
    ...(belied > 0 ? [`${belied} calls were said to be unprocessed, and a handler ran`] : []),
    ...(unknown > 0 ? [`${unknown} runs of calls that nobody made`] : []),
    ...(calls.length < leastCalls ? [`only ${calls.length} calls were made, ${leastCalls} are needed`] : []),
    ...(terms.misses ?? []),
    ...check(calls),
  ];
  return {
    calls: calls.length,
    failed: failed.length,
    allowed: Object.values(reasons).reduce((sum, count) => sum + count, 0),
    duplicated,
    p999Ms: percentile(calls, 0.999),
    beganMs: calls[0]?.sentMs ?? 0,
    misses,
    culprits: [...failed, ...twice],
    reasons,
  };
}

/** How long a share of the calls took at most; a call without an end took for ever, which JSON has no number for: -1. */
function percentile(calls: readonly JudgedCall[], share: number): number {
  const took = calls.map(({ done }) => done?.tookMs ?? Number.POSITIVE_INFINITY).sort((a, b) => a - b);
  const value = took[Math.min(took.length - 1, Math.floor(took.length * share))] ?? 0;
  return value === Number.POSITIVE_INFINITY ? -1 : Math.round(value * 10) / 10;
}
