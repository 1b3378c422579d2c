// A watch that is asked for its snapshot, and keeps the last one in a store: what a Durable Object does, without the object.
// Watches only while somebody asks. Knows neither HTTP nor Cloudflare.

import { ConsulError } from "../consul/consul-error.ts";
import type { Clock } from "../core/clock.ts";
import type { Endpoint } from "../core/endpoint.ts";
import type { Logger } from "../core/logger.ts";
import type { Resolver, ResolverSnapshot } from "../resolver/resolver.ts";
import { sameInstances } from "../resolver/service-instance.ts";
import { parseSnapshot } from "./snapshot.ts";

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
  readonly store: SnapshotStore;
  /** Its `now()` is Unix time. */
  readonly clock: Clock;
  /** Milliseconds without a reader after which the watch ends. */
  readonly idleMs: number;
  /** Longest wait for the first answer, in milliseconds. */
  readonly waitTimeoutMs: number;
  readonly logger: Logger;
}

/** What is known now. */
export interface WatchReading {
  /** Sorted by id; may be empty. */
  readonly endpoints: readonly Endpoint[];
  /** When the list was last known to be true, in Unix milliseconds. */
  readonly confirmedAtMs: number;
  /** Whether Consul cannot be read now, or has just answered with nothing. */
  readonly stale: boolean;
}

/** A watch that runs while it is read. */
export interface KeptWatch {
  /** What is known now; starts the watch where none runs. Rejects with an Error whose text says what was asked of whom, and holds no secret. */
  read(): Promise<WatchReading>;
}

/** What is stored. A change of `description` makes it worthless. */
interface Kept {
  readonly description: string;
  readonly endpoints: readonly Endpoint[];
  readonly confirmedAtMs: number;
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
/** An agent that was wiped, or a token that lost its rights, also answers with nothing. */
const emptyHoldMs = 90_000;
/** Longest wait for Consul where there is an older snapshot to answer with. */
const freshWaitMs = 1000;
/** How old the stored time of confirmation may become: each write costs. */
const saveEveryMs = 60_000;

/** Creates a watch. Reads and sends nothing before the first `read()`. */
export function createKeptWatch(options: KeptWatchOptions): KeptWatch {
  const { resolver, store, clock, idleMs, waitTimeoutMs, logger } = options;
  const { description } = resolver;
  let loading: Promise<void> | undefined;
  let kept: Kept | undefined;
  let savedAtMs = Number.NEGATIVE_INFINITY;
  let run: Run | undefined;
  let readers = 0;
  let lastReadMs = 0;

  const load = async (): Promise<void> => {
    try {
      kept = readKept(await store.get(storeKey), description);
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
      if (nowMs - kept.emptySinceMs < emptyHoldMs) return;
      kept = { description, endpoints: [], confirmedAtMs: nowMs };
      void save();
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
      kept = { description, endpoints, confirmedAtMs };
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
          await within(current.told, kept === undefined ? waitTimeoutMs : Math.min(waitTimeoutMs, freshWaitMs), clock);
        }
        confirm(current);
        if (kept === undefined) throw new Error(`Cannot list ${description}: ${reasonOf(current, waitTimeoutMs)}`);
        const { endpoints, confirmedAtMs, emptySinceMs } = kept;
        return { endpoints, confirmedAtMs, stale: !current.isLive || emptySinceMs !== undefined };
      } finally {
        readers--;
        lastReadMs = clock.now();
      }
    },
  };
}

/** What was stored for this question, or undefined. Throws TypeError where an older version has stored another shape. */
function readKept(stored: unknown, description: string): Kept | undefined {
  if (typeof stored !== "object" || stored === null || Reflect.get(stored, "description") !== description)
    return undefined;
  const emptySinceMs: unknown = Reflect.get(stored, "emptySinceMs");
  return { ...parseSnapshot(stored), description, ...(typeof emptySinceMs === "number" && { emptySinceMs }) };
}

function reasonOf({ isTold, lastError }: Run, waitTimeoutMs: number): string {
  if (!isTold) return `no answer within ${waitTimeoutMs} ms`;
  // The text of a ConsulError holds no secret; that of what a token function or a fetch has thrown may.
  if (lastError instanceof ConsulError) return lastError.message;
  return lastError instanceof Error ? `the read failed with ${lastError.name}` : "the read failed";
}

/** Resolves with `promise`, or after `delayMs`. */
function within(promise: Promise<void>, delayMs: number, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.schedule(delayMs, resolve);
    void promise.then(() => {
      cancel();
      resolve();
    });
  });
}
