// The instances of a service as an async iterable, for users: the watch that the balancer uses, with what has changed.

import type { Endpoint } from "../core/endpoint.ts";
import { snapshotMapper } from "./consul-resolver.ts";
import type { ResolverSnapshot } from "./resolver.ts";
import { sameInstance } from "./service-instance.ts";
import { type ConsulServiceQuery, resolveServiceQuery } from "./service-query.ts";
import { followService } from "./service-watch.ts";

/** What to watch, and until when. */
export interface WatchServiceOptions extends ConsulServiceQuery {
  /** Ends the watch: a waiting `next()` rejects with the signal's reason, untouched. */
  readonly signal?: AbortSignal;
  /** Told of every failed read. Reading goes on by itself. */
  readonly onError?: (error: unknown) => void;
}

/** The whole list, and how it differs from the update before. All lists are sorted by id. */
export interface ServiceUpdate extends ResolverSnapshot {
  /** In this list and not in the one before; in the first update everything. */
  readonly added: readonly Endpoint[];
  /** In the list before and not in this one, as they were. */
  readonly removed: readonly Endpoint[];
  /** In both, but with another URL, weight, health, zone, tags or meta; as they are now. */
  readonly changed: readonly Endpoint[];
}

/**
 * Watches a service. The first update comes with Consul's first answer, however long that takes (Consul's errors never end
 * the watch); it may be empty. Further ones come when the list or its staleness differs. A consumer that is slow skips
 * versions: it gets the latest, with added and removed relative to what it last got.
 *
 * Nothing is read before the first `next()`. Each `for await` has a watch of its own kind, over one shared query; leaving
 * the loop, `return()` and the signal let it go. Throws TypeError or RangeError for bad options.
 */
export function watchService(options: WatchServiceOptions): AsyncIterable<ServiceUpdate> {
  const query = resolveServiceQuery(options);
  const { signal, onError } = options;
  return {
    [Symbol.asyncIterator]: () =>
      iterateLatest(
        snapshotMapper(query.scheme),
        (onSnapshot) => followService(query, { onSnapshot, onError: (error) => onError?.(error) }),
        signal,
      ),
  };
}

type Follow<S> = (onSnapshot: (snapshot: S) => void) => () => void;

interface Waiter {
  resolve(result: IteratorResult<ServiceUpdate>): void;
  reject(reason: unknown): void;
}

/** An iterator that keeps only the latest snapshot. Written out, as a generator's `return()` would wait for the next update. */
function iterateLatest<S>(
  toSnapshot: (snapshot: S) => ResolverSnapshot,
  follow: Follow<S>,
  signal: AbortSignal | undefined,
): AsyncIterator<ServiceUpdate, undefined> {
  const waiters: Waiter[] = [];
  let unfollow: (() => void) | undefined;
  let pending: ResolverSnapshot | undefined;
  let seen: ResolverSnapshot | undefined;
  let ended = false;
  let abortTold = false;

  const end = (): void => {
    ended = true;
    pending = undefined;
    signal?.removeEventListener("abort", onAbort);
    unfollow?.();
  };
  const onAbort = (): void => {
    end();
    // The first who waits is told why, the others that it is over; without one the next `next()` is told.
    for (const waiter of waiters.splice(0)) tellEnd(waiter);
  };
  const tellEnd = (waiter: Waiter): void => {
    if (signal?.aborted && !abortTold) {
      abortTold = true;
      waiter.reject(signal.reason);
    } else {
      waiter.resolve({ done: true, value: undefined });
    }
  };
  const hand = (): void => {
    if (pending === undefined || waiters.length === 0) return;
    const update = updateBetween(seen, pending);
    // Changed and changed back while the consumer was busy: nothing to tell.
    const news = update.added.length + update.removed.length + update.changed.length > 0;
    const tell = seen === undefined || news || seen.stale !== pending.stale;
    seen = pending;
    pending = undefined;
    if (tell) waiters.shift()?.resolve({ done: false, value: update });
  };

  return {
    next() {
      return new Promise((resolve, reject) => {
        const waiter = { resolve, reject };
        if (!ended && signal?.aborted) end();
        if (ended) {
          tellEnd(waiter);
          return;
        }
        waiters.push(waiter);
        if (unfollow === undefined) {
          signal?.addEventListener("abort", onAbort, { once: true });
          unfollow = follow((snapshot) => {
            pending = toSnapshot(snapshot);
            hand();
          });
        } else {
          hand();
        }
      });
    },
    return() {
      if (!ended) end();
      // Left on purpose: a signal that aborts later has nobody to tell.
      abortTold = true;
      for (const waiter of waiters.splice(0)) tellEnd(waiter);
      return Promise.resolve({ done: true, value: undefined });
    },
  };
}

function updateBetween(before: ResolverSnapshot | undefined, now: ResolverSnapshot): ServiceUpdate {
  const old = new Map(before?.endpoints.map((endpoint) => [endpoint.id, endpoint]));
  const added: Endpoint[] = [];
  const changed: Endpoint[] = [];
  for (const endpoint of now.endpoints) {
    const previous = old.get(endpoint.id);
    if (previous === undefined) added.push(endpoint);
    else if (!sameInstance(previous, endpoint)) changed.push(endpoint);
    old.delete(endpoint.id);
  }
  return { ...now, added, removed: [...old.values()], changed };
}
