// A watch that is asked for its snapshot, and keeps the last one in a store: what a Durable Object does, without the object.
// Watches only while somebody asks. Knows neither HTTP nor Cloudflare.

import { ConsulError } from "../consul/consul-error.ts";
import type { Clock } from "../core/clock.ts";
import { isObject } from "../core/json-shape.ts";
import type { Logger } from "../core/logger.ts";
import { settledWithin } from "../core/until-settled.ts";
import { emptyGraceMs } from "../resolver/empty-grace.ts";
import type { Resolver, ResolverSnapshot } from "../resolver/resolver.ts";
import { sameInstances } from "../resolver/service-instance.ts";
import { type EndpointSnapshot, parseSnapshot } from "./snapshot.ts";

/** Where the last snapshot is kept: the part of a Durable Object's storage that is used. Values are plain data. */
export interface SnapshotStore {
  /** The value, or undefined. */
  get(key: string): Promise<unknown>;
  /** Keeps a value in place of what was there. */
  put(key: string, value: unknown): Promise<void>;
}

/** What is watched, and how long. */
export interface KeptWatchOptions {
  readonly resolver: Resolver;
  /** The whole question, and whom it is put to: what was stored under another key is not used. Holds no secret. */
  readonly key: string;
  readonly store: SnapshotStore;
  /** Its `now()` is Unix time. */
  readonly clock: Clock;
  /** Milliseconds without a reader after which the watch ends. */
  readonly idleMs: number;
  /** Longest wait for the first answer, in milliseconds. */
  readonly waitTimeoutMs: number;
  readonly logger: Logger;
}

/** A watch that runs while it is read. */
export interface KeptWatch {
  /**
   * What is known now, with its `stale`; starts the watch where none runs. Rejects with an Error whose text says what was asked of whom,
   * and holds no secret.
   */
  read(): Promise<EndpointSnapshot>;
}

/** What is stored. A change of `key` makes it worthless. Its `stale` is not used. */
interface Kept extends EndpointSnapshot {
  readonly key: string;
  /** When Consul began to answer with nothing, while `endpoints` is what it said before. */
  readonly emptySinceMs?: number;
}

/** One run of the watch, from a first reader until nobody has asked for a while. */
interface Run {
  readonly told: Promise<void>;
  isTold: boolean;
  /** Whether Consul holds our blocking query, so that silence means that nothing has changed. */
  isLive: boolean;
  lastError?: unknown;
}

const storeKey = "lictor:snapshot";
/** Longest wait for Consul where there is an older snapshot to answer with. */
const freshWaitMs = 1000;
/** Longest wait for the store: the watch can do without what it holds. */
const loadMs = 1000;
/** How old the stored time of confirmation may become: each write costs. */
const saveEveryMs = 60_000;

/** Creates a watch. Reads and sends nothing before the first `read()`. */
export function createKeptWatch(options: KeptWatchOptions): KeptWatch {
  const { resolver, key, store, clock, idleMs, waitTimeoutMs, logger } = options;
  let loading: Promise<void> | undefined;
  let kept: Kept | undefined;
  let savedAtMs = Number.NEGATIVE_INFINITY;
  let run: Run | undefined;
  let readers = 0;
  let lastReadMs = 0;

  const load = async (): Promise<void> => {
    try {
      const stored = Promise.resolve(store.get(storeKey));
      if (!(await settledWithin(stored, loadMs, clock))) throw new Error(`no answer within ${loadMs} ms`);
      kept = readKept(await stored, key, clock.now());
    } catch (error) {
      logger.warn("Cannot read the stored snapshot, going on without", { error });
    }
  };

  const save = async (): Promise<void> => {
    savedAtMs = clock.now();
    try {
      await store.put(storeKey, kept);
    } catch (error) {
      logger.warn("Cannot store the snapshot", { error });
    }
  };

  /** A live watch confirms what it knows with every moment in which Consul says nothing else. */
  const confirm = (current: Run): void => {
    if (kept === undefined || !current.isLive) return;
    const nowMs = clock.now();
    if (kept.emptySinceMs !== undefined) {
      // Where the clock was set back, the grace begins anew.
      const emptySinceMs = Math.min(kept.emptySinceMs, nowMs);
      const isGraceOver = nowMs - emptySinceMs >= emptyGraceMs;
      kept = isGraceOver ? { key, endpoints: [], confirmedAtMs: nowMs, isGraceOver } : { ...kept, emptySinceMs };
      if (isGraceOver) void save();
      return;
    }
    kept = { ...kept, confirmedAtMs: nowMs };
    if (nowMs - savedAtMs >= saveEveryMs) void save();
  };

  const take = (current: Run, { endpoints, stale, confirmedAtMs }: ResolverSnapshot): void => {
    const nowMs = clock.now();
    if (stale) {
      current.isLive = false;
      // What was taken for silence was an agent that is gone: its last word counts.
      if (kept !== undefined && kept.emptySinceMs === undefined) kept = { ...kept, confirmedAtMs };
    } else if (endpoints.length === 0 && kept !== undefined && kept.endpoints.length > 0) {
      confirm(current);
      kept = { ...kept, emptySinceMs: kept.emptySinceMs ?? nowMs };
      current.isLive = true;
    } else {
      current.isLive = true;
      const isKnown = kept?.emptySinceMs === undefined && sameInstances(kept?.endpoints ?? [], endpoints);
      if (kept !== undefined && isKnown) {
        confirm(current);
        return;
      }
      kept = { key, endpoints, confirmedAtMs };
    }
    void save();
  };

  const start = (): Run => {
    const { promise: told, resolve } = Promise.withResolvers<void>();
    const current: Run = { told, isTold: false, isLive: false };
    const tell = () => {
      current.isTold = true;
      resolve();
    };
    const stop = resolver.subscribe({
      onSnapshot: (snapshot) => {
        take(current, snapshot);
        tell();
      },
      onError: (error) => {
        current.lastError = error;
        tell();
      },
    });
    const endWhenIdle = (): void => {
      // No later than now: the clock may have been set back.
      lastReadMs = Math.min(lastReadMs, clock.now());
      const leftMs = readers > 0 ? idleMs : lastReadMs + idleMs - clock.now();
      if (leftMs > 0) {
        clock.schedule(leftMs, endWhenIdle);
        return;
      }
      confirm(current);
      if (kept !== undefined) void save();
      stop();
      run = undefined;
    };
    clock.schedule(idleMs, endWhenIdle);
    return current;
  };

  return {
    async read() {
      readers++;
      try {
        loading ??= load();
        await loading;
        run ??= start();
        const current = run;
        if (!current.isTold) {
          const longestMs = kept === undefined ? waitTimeoutMs : Math.min(waitTimeoutMs, freshWaitMs);
          await settledWithin(current.told, longestMs, clock);
        }
        confirm(current);
        if (kept === undefined) {
          throw new Error(`Cannot list ${resolver.description}: ${silenceOf(current, waitTimeoutMs)}`);
        }
        const { key: _key, emptySinceMs, ...snapshot } = kept;
        return { ...snapshot, stale: !current.isLive || emptySinceMs !== undefined };
      } finally {
        readers--;
        lastReadMs = clock.now();
      }
    },
  };
}

/**
 * What was stored under this key, or undefined; no time in it is later than now, as the clock may have been set back. Throws TypeError where
 * an older version has stored another shape.
 */
function readKept(stored: unknown, key: string, nowMs: number): Kept | undefined {
  if (!isObject(stored) || stored.key !== key) return undefined;
  const { emptySinceMs } = stored;
  const snapshot = parseSnapshot(stored);
  return {
    ...snapshot,
    key,
    confirmedAtMs: Math.min(snapshot.confirmedAtMs, nowMs),
    ...(typeof emptySinceMs === "number" && { emptySinceMs: Math.min(emptySinceMs, nowMs) }),
  };
}

/** Why nothing is known. */
function silenceOf({ isTold, lastError }: Run, waitTimeoutMs: number): string {
  if (!isTold) return `no answer within ${waitTimeoutMs} ms`;
  // The text of a ConsulError holds no secret; that of what a token function or a fetch has thrown may.
  if (lastError instanceof ConsulError) return lastError.message;
  return lastError instanceof Error ? `the read failed with ${lastError.name}` : "the read failed";
}
