// Follows one query of Consul by blocking reads: https://developer.hashicorp.com/consul/api-docs/features/blocking
// Knows the index rules, the pace and the retries; knows nothing of what is read.

import { type Clock, systemClock } from "../core/clock.ts";
import { type Random, systemRandom } from "../core/random.ts";
import { ConsulError } from "./consul-error.ts";
import { compareIndex } from "./consul-index.ts";
import type { QueryResult } from "./query.ts";
import { createQueryPace } from "./query-pace.ts";
import { createRetryDelays } from "./retry-delays.ts";

/** One read of a query that is followed. */
export interface FollowedRead {
  /** Index to wait on. Absent: the answer is wanted at once. */
  readonly index?: string;
  /** Which agent gave the index, where its answer said so. */
  readonly indexAgent?: string;
  /** Longest wait in milliseconds, beside `index`. */
  readonly waitMs?: number;
  readonly signal: AbortSignal;
}

/** What to follow, and whom to tell. The callbacks must not throw; they may close the query or refresh it. */
export interface BlockingQueryOptions<T> {
  /** Performs one read. Given an index and a wait it blocks; without them it answers at once. Must end when its signal aborts. */
  readonly read: (query: FollowedRead) => Promise<QueryResult<T>>;
  /** Whether two answers say the same; then the later one is not reported as a change. */
  readonly same: (a: T, b: T) => boolean;
  /** An answer arrived. `changed` is false when it says what the last one said; the first is a change. Called in order, never after `close()`. */
  readonly onResult: (result: QueryResult<T>, changed: boolean) => void;
  /** A read failed; the query goes on by itself, with backoff. Never called after `close()`. */
  readonly onError: (error: unknown) => void;
  /** Longest wait of one read in milliseconds, from 1000 to 60000. Default 55000, varied by 10 % downwards. */
  readonly waitMs?: number;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** A query being followed. Runs until closed. */
export interface BlockingQuery {
  /**
   * Reads once, now, beside the blocking read. Calls while one is under way share it. Resolves when its answer has been reported
   * (or dropped because the blocking read has reported a newer one meanwhile), whether it succeeded or not; at once when closed, and
   * within the time for which Consul has asked to be left alone (Retry-After).
   */
  refresh(): Promise<void>;
  /** Stops at once: aborts the reads in flight. No callback follows, no timer stays. */
  close(): void;
}

/** Starts to follow a query: the first read is sent before this returns, no callback is. Throws RangeError on a bad `waitMs`. */
export function followQuery<T>(options: BlockingQueryOptions<T>): BlockingQuery {
  const { read, same, onResult, onError, waitMs: longestMs = 55_000 } = options;
  const { clock = systemClock, random = systemRandom } = options;
  if (!(longestMs >= 1000 && longestMs <= 60_000)) {
    throw new RangeError(`Cannot follow a query as "waitMs" must be from 1000 to 60000: received ${longestMs}`);
  }
  const pace = createQueryPace(clock);
  const retries = createRetryDelays(random);
  let closed = false;
  /** What was reported last. */
  let known: QueryResult<T> | undefined;
  /** What the next blocking read waits on; undefined: it answers at once. */
  let index: Mark | undefined;
  /** Counts the times that the index was given up: indexes of different epochs cannot be compared. */
  let epoch = 0;
  let reports = 0;
  let blocking: AbortController | undefined;
  let refreshing: { readonly controller: AbortController; readonly done: Promise<void> } | undefined;
  let endPause: (() => void) | undefined;
  let backingOff = false;
  let leftAloneUntilMs = Number.NEGATIVE_INFINITY;
  let cancelRecheck = () => {};

  const report = (result: QueryResult<T>): void => {
    const changed = known === undefined || !same(known.data, result.data);
    known = result;
    reports++;
    retries.reset();
    cancelRecheck();
    onResult(result, changed);
  };

  const pause = (delayMs: number): Promise<void> =>
    new Promise((resolve) => {
      endPause = () => {
        cancel();
        endPause = undefined;
        resolve();
      };
      const cancel = clock.schedule(delayMs, endPause);
    });

  /** Async, so that a read that throws at once is a read that failed. */
  const readOnce = async (what: Parameters<typeof read>[0]): Promise<QueryResult<T>> => read(what);

  const failed = (error: unknown): number => {
    const askedMs = error instanceof ConsulError ? error.retryAfterMs : undefined;
    if (askedMs !== undefined) leftAloneUntilMs = clock.now() + askedMs;
    return retries.after(error);
  };

  const giveUpIndex = () => {
    index = undefined;
    epoch++;
  };

  /** One turn of the loop: a blocking read, its report, and the pause it calls for. */
  const turn = async (): Promise<void> => {
    const before = known;
    const sent = index;
    const startedMs = clock.now();
    const controller = new AbortController();
    blocking = controller;
    const waitMs = Math.round(longestMs * (1 - 0.1 * random()));
    const { signal } = controller;
    let result: QueryResult<T>;
    try {
      result = await readOnce(sent === undefined ? { signal } : { ...sent, waitMs, signal });
    } catch (error) {
      // Aborted by a refresh that saw the index go back: read again at once.
      if (closed || signal.aborted) return;
      giveUpIndex();
      cancelRecheck();
      const delayMs = failed(error);
      onError(error);
      if (closed) return;
      backingOff = true;
      await pause(delayMs);
      backingOff = false;
      return;
    }
    if (closed || signal.aborted) return;
    // A refresh has overtaken this answer with a newer one: keep that one and its index.
    const mark = markOf(result);
    const isOvertaken = known !== before && isOlder(mark, markOf(known)) && !isOlder(mark, sent);
    if (isOvertaken) return;
    // Against what was known when this read was sent: a refresh may have reported the same news already.
    const isNews = before === undefined || !same(before.data, result.data);
    // Consul's page: "reset the index to 0 if it goes backwards"; a server that was restored or wiped counts anew.
    if (isOlder(mark, sent) || isOfAnother(mark, sent)) epoch++;
    index = isOlder(mark, sent) ? undefined : mark;
    report(result);
    if (closed) return;
    const isEarly = sent === undefined || clock.now() - startedMs < waitMs;
    const delayMs = isNews ? pace.afterChange() : isEarly ? pace.afterNothing() : 0;
    if (delayMs > 0) await pause(delayMs);
  };

  const readBeside = async (signal: AbortSignal): Promise<void> => {
    cancelRecheck();
    const startEpoch = epoch;
    const startReports = reports;
    let result: QueryResult<T>;
    try {
      result = await readOnce({ signal });
    } catch (error) {
      if (closed) return;
      // The blocking read may stay silent for its whole wait: ask again until one of the two says that Consul is there.
      if (!backingOff) {
        const cancel = clock.schedule(failed(error), () => {
          void query.refresh();
        });
        cancelRecheck = cancel;
      }
      onError(error);
      return;
    }
    if (closed) return;
    const mark = markOf(result);
    if (reports !== startReports) {
      const isComparable = epoch === startEpoch && result.index !== undefined && known?.index !== undefined;
      if (!isComparable || isOlder(mark, markOf(known))) return;
    }
    const wentBack = isOlder(mark, index) || isOfAnother(mark, index);
    // An answer asked for before the index was given up may be of an agent that is gone: shown, but not waited on.
    if (epoch === startEpoch) {
      if (wentBack) {
        epoch++;
        // Consul sleeps over an index that is too high, whatever happens (measured on Consul 1.8.7).
        blocking?.abort();
      }
      index = mark;
      if (backingOff) endPause?.();
    }
    report(result);
  };

  const query: BlockingQuery = {
    refresh() {
      if (closed || clock.now() < leftAloneUntilMs) return Promise.resolve();
      if (refreshing === undefined) {
        const controller = new AbortController();
        const done = readBeside(controller.signal).finally(() => {
          refreshing = undefined;
        });
        refreshing = { controller, done };
      }
      return refreshing.done;
    },
    close() {
      if (closed) return;
      closed = true;
      blocking?.abort();
      refreshing?.controller.abort();
      cancelRecheck();
      endPause?.();
    },
  };

  const run = async () => {
    while (!closed) await turn();
  };
  void run();
  return query;
}

/** An index, and whose it is: that of another agent says nothing. */
type Mark = Pick<FollowedRead, "indexAgent"> & { readonly index: string };

function markOf(result: QueryResult<unknown> | undefined): Mark | undefined {
  if (result?.index === undefined) return undefined;
  return { index: result.index, ...(result.agent === undefined ? {} : { indexAgent: result.agent }) };
}

/** Whether both are known, of one agent, and the first is lower. */
function isOlder(a: Mark | undefined, b: Mark | undefined): boolean {
  return a !== undefined && b !== undefined && a.indexAgent === b.indexAgent && compareIndex(a.index, b.index) < 0;
}

/** Whether both are known, and of different agents. */
function isOfAnother(a: Mark | undefined, b: Mark | undefined): boolean {
  return a !== undefined && b !== undefined && a.indexAgent !== b.indexAgent;
}
