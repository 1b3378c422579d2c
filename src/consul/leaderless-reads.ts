// Reads of a query that is followed, while the cluster has a leader and while it has none: by default consistency as long as that works,
// else by `stale`, which any server answers. Says nothing of what is read; keeps no answer.
// https://developer.hashicorp.com/consul/api-docs/features/consistency

import type { Clock } from "../core/clock.ts";
import type { FollowedRead } from "./blocking-query.ts";
import { ConsulError } from "./consul-error.ts";
import { compareIndex } from "./consul-index.ts";
import type { QueryOptions, QueryResult } from "./query.ts";

/** How to read, and whom to tell. */
export interface LeaderlessReadsOptions<T> {
  /** One read with these options. */
  readonly read: (options: QueryOptions) => Promise<QueryResult<T>>;
  /** Told when answers begin to come without a leader, and when one answers again. */
  readonly onLeader?: (hasLeader: boolean) => void;
  /**
   * How long the first answer may take in milliseconds before any server is asked beside: without a leader Consul itself tries for 7 s
   * before it says so (measured on 1.8.7). Default 1000; Infinity: no read is made beside another.
   */
  readonly patienceMs?: number;
  readonly clock: Clock;
}

/** Longest wait of a blocking read that any server answers: a new leader is found by the next one. */
const staleWaitMs = 5000;
/** Time limit of a stale read after one that gave no answer: it is likely the agent that is silent, not the leader that is missing. */
const afterSilenceMs = 3000;
/** By how much an answer may be older than the one before: servers hear from their leader several times a second. */
const toleranceMs = 2000;

/**
 * Creates the reads of one query. Reads by default consistency; where Consul says that it has no leader, or says nothing in time, any
 * server is asked instead, and again from then on until one says that there is a leader. Its answer counts unless it is older than the
 * one before, as told by X-Consul-LastContact and by its index: a follower may lack what the leader that is gone told us (measured on 1.8.7).
 * Rejects with what the default read failed with where `stale` fails too, or knows less.
 */
export function createLeaderlessReads<T>(
  options: LeaderlessReadsOptions<T>,
): (read: FollowedRead) => Promise<QueryResult<T>> {
  const { read, onLeader = () => {}, patienceMs = 1000, clock } = options;
  let hasLeader = true;
  /** The last failure for want of a leader. */
  let lastError: unknown = new Error("Consul has no leader, and the server asked knows less than is known already");
  /** As of when the last answer was. */
  let knownAtMs = Number.NEGATIVE_INFINITY;
  /** Its index. */
  let knownIndex: string | undefined;

  const note = (leader: boolean): void => {
    if (leader === hasLeader) return;
    hasLeader = leader;
    onLeader(leader);
  };

  const readDefault = async (what: FollowedRead): Promise<QueryResult<T>> => {
    const result = await read(what);
    note(true);
    knownAtMs = clock.now();
    knownIndex = result.index;
    return result;
  };

  /** Any server's answer, where it is no older than what is known, or the leader's, where there is one again; else rejects with `error`. */
  const readStale = async (
    what: QueryOptions & Pick<FollowedRead, "signal">,
    error: unknown,
  ): Promise<QueryResult<T>> => {
    const result = await read({ ...what, consistency: "stale" });
    const confirmedAtMs = confirmedAt(result, clock.now());
    const leader = result.knownLeader !== false;
    if (confirmedAtMs < knownAtMs - toleranceMs || isBefore(result.index, knownIndex)) {
      // Of servers that were set up anew every answer is older than what is known: their leader's counts.
      if (!leader || hasLeader) throw error;
      note(true);
      return readDefault({ signal: what.signal });
    }
    knownIndex = result.index;
    knownAtMs = Math.max(knownAtMs, confirmedAtMs);
    note(leader);
    // Without an index the next read, by default consistency, is answered at once.
    return leader ? { ...result, index: undefined } : result;
  };

  const readOrElse = async (what: FollowedRead): Promise<QueryResult<T>> => {
    try {
      return await readDefault(what);
    } catch (error) {
      const isSilent = error instanceof ConsulError && error.code === "timeout";
      if (what.signal.aborted || !(isSilent || saysNoLeader(error))) throw error;
      lastError = error;
      const { signal } = what;
      return await readStale(isSilent ? { signal, timeoutMs: afterSilenceMs } : { signal }, error).catch(() => {
        throw error;
      });
    }
  };

  /** Asks any server too when the answer takes its time; the first answer wins. */
  const readFirst = (what: FollowedRead): Promise<QueryResult<T>> =>
    new Promise((resolve, reject) => {
      const cancel = clock.schedule(patienceMs, () => {
        if (what.signal.aborted) return;
        // Where it fails, the other one tells.
        readStale({ signal: what.signal }, lastError).then(resolve, () => {});
      });
      readOrElse(what).then(resolve, reject).finally(cancel);
    });

  return (what) => {
    if (!hasLeader) {
      const { waitMs } = what;
      const shorter = waitMs === undefined ? {} : { waitMs: Math.min(waitMs, staleWaitMs) };
      return readStale({ ...what, ...shorter }, lastError);
    }
    const isFirst = knownAtMs === Number.NEGATIVE_INFINITY && Number.isFinite(patienceMs);
    return isFirst ? readFirst(what) : readOrElse(what);
  };
}

/** Whether an index is lower than one known of another server: both are the cluster's. */
function isBefore(index: string | undefined, known: string | undefined): boolean {
  return known !== undefined && (index === undefined || compareIndex(index, known) < 0);
}

/** As of when an answer is, by the clock whose time is `nowMs`: when its server last heard from a leader. */
export function confirmedAt({ knownLeader, lastContactMs }: QueryResult<unknown>, nowMs: number): number {
  if (lastContactMs !== undefined) return nowMs - lastContactMs;
  return knownLeader === false ? Number.NEGATIVE_INFINITY : nowMs;
}

/** Consul's words where a server has no leader, or cannot reach it; measured on 1.8.7. */
function saysNoLeader(error: unknown): boolean {
  if (!(error instanceof ConsulError) || error.status === undefined || error.status < 500) return false;
  return /no cluster leader|rpc error|raft is not|not the leader|leadership lost/i.test(error.text ?? "");
}
