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
  /** What may become of a call that the bad server had. Default: anything, as long as it is not said to have gone nowhere. */
  readonly mayFail?: (call: JudgedCall) => boolean;
  /** Calls of each client, of those that may be made twice, that may have to wait to find that it is bad still. Default 1. */
  readonly maxProbes?: number;
}

/** Answers are late by so much at worst where two cores do everything. */
const slackMs = 300;
/** The share of the calls that may suffer until it is taken out; a third go there. */
const maxSuffering = 0.4;
/** By when it is used again, in time before the last call; and the least share of the calls that it has by then. */
const lastMs = 10_000;
const leastShare = 0.1;

export function takenOut(bad: BadServer): Required<Pick<Terms, "allow" | "check">> {
  const { faultMs, wellMs, withinMs, deadlineMs, ledgerName, clients, mustReturn } = bad;
  const { slowMs = deadlineMs * 0.9, mayFail = () => true, maxProbes = 1 } = bad;
  const isEarly = ({ sentMs, endMs }: JudgedCall) =>
    endMs >= faultMs - slackMs && sentMs <= faultMs + withinMs + slackMs;
  return {
    allow: (call) =>
      isEarly(call) &&
      // There were others to send it to.
      call.done?.fate !== "unprocessed" &&
      call.runs.every(({ server }) => server === ledgerName) &&
      mayFail(call)
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
      if (suffered.length > window.length * maxSuffering)
        misses.push(`${suffered.length} of ${window.length} calls suffered meanwhile`);
      if (mustReturn) {
        const endMs = calls.at(-1)?.sentMs ?? 0;
        const last = calls.filter(({ sentMs }) => sentMs > wellMs && sentMs > endMs - lastMs);
        for (const [client, its] of Map.groupBy(last, clientOf)) {
          const there = its.filter(({ done }) => done?.outcome === "ok" && done.server === ledgerName).length;
          if (there < its.length * leastShare)
            misses.push(`the bad server was well again and got ${there} of the last ${its.length} calls of ${client}`);
        }
        if (last.length === 0) misses.push("nobody called when the bad server was well again");
      }
      return misses;
    },
  };
}

/** Ids are the client's name and a number. */
function clientOf({ id }: JudgedCall): string {
  return id.slice(0, id.lastIndexOf("-"));
}
