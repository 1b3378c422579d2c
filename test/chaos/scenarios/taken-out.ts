// The terms for one bad server among good ones: callers may suffer until it is taken out, and not after; well again, it is used again.

import type { JudgedCall, Terms } from "../judge.ts";

/** When what was bad. */
export interface BadServer {
  readonly faultMs: number;
  readonly wellMs: number;
  /** Time in which it must be taken out. */
  readonly withinMs: number;
  /** Deadline of the calls: what was sent there last ends so much later. */
  readonly deadlineMs: number;
  /** Whose runs are its own. */
  readonly ledgerName: string;
  /** How many clients there are. */
  readonly clients: number;
  /** Whether it must be seen at work again. */
  readonly mustReturn: boolean;
  /** Calls that take longer than this, sent after it was taken out, have waited for it. Default: nine tenths of the deadline. */
  readonly slowMs?: number;
}

/** Answers are late by so much at worst where two cores do everything. */
const slackMs = 300;
/** Calls of each client that may have to wait to find that it is bad still. */
const maxProbes = 3;

export function takenOut(bad: BadServer): Required<Pick<Terms, "allow" | "check">> {
  const { faultMs, wellMs, withinMs, deadlineMs, ledgerName, clients, mustReturn, slowMs = deadlineMs * 0.9 } = bad;
  const isEarly = ({ sentMs, endMs }: JudgedCall) =>
    endMs >= faultMs - slackMs && sentMs <= faultMs + withinMs + slackMs;
  return {
    allow: (call) =>
      isEarly(call) && call.runs.every(({ server }) => server === ledgerName)
        ? "sent to the bad server before it was taken out"
        : undefined,
    check(calls) {
      const misses: string[] = [];
      const later = calls.filter(
        ({ sentMs, done }) =>
          sentMs > faultMs + withinMs + slackMs && sentMs < wellMs - slackMs && (done?.tookMs ?? slowMs) >= slowMs,
      );
      // Somebody must ask it whether it is well again: now and then a call that may be made twice does.
      const probes = later.filter(({ isRepeatable, done }) => isRepeatable && done?.outcome === "ok");
      const waited = later.length - Math.min(probes.length, clients * maxProbes);
      if (waited > 0) misses.push(`${waited} calls waited for the bad server after it was to be taken out`);
      const window = calls.filter(({ sentMs }) => sentMs >= faultMs && sentMs <= faultMs + withinMs);
      const suffered = window.filter(
        ({ done }) => done === undefined || done.outcome !== "ok" || done.tookMs >= slowMs,
      );
      // A third of the calls go there until it is taken out.
      if (suffered.length > window.length / 2)
        misses.push(`${suffered.length} of ${window.length} calls suffered meanwhile`);
      // Beyond what it had been sent before.
      const back = calls.some(
        ({ sentMs, runs, done }) =>
          sentMs > wellMs && done?.outcome === "ok" && runs.some(({ server }) => server === ledgerName),
      );
      if (mustReturn && !back) misses.push("the bad server was well again and got no call");
      return misses;
    },
  };
}
