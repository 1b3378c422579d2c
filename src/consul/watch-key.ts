// A key of the store as an async iterable of its values, over blocking queries. Keeps one value at most: the latest.

import { systemClock } from "../core/clock.ts";
import { keyPath } from "./api-path.ts";
import { followQuery } from "./blocking-query.ts";
import type { ConsulKv, KvEntry, WatchKeyOptions } from "./kv.ts";
import { createLeaderlessReads } from "./leaderless-reads.ts";
import type { QueryOptions } from "./query.ts";

type Step = IteratorResult<KvEntry | undefined, undefined>;

/** Watches a key; see `ConsulKv.watch`, which this implements over `kv.get`. */
export function watchKey(
  kv: Pick<ConsulKv, "get">,
  key: string,
  options: WatchKeyOptions = {},
): AsyncIterable<KvEntry | undefined> {
  // Here, since the reads behind the iterator would retry for ever.
  if (key === "") throw new TypeError("Cannot watch a key as it must not be empty");
  keyPath(key);
  const { waitMs } = options;
  if (waitMs !== undefined && !(waitMs >= 1000 && waitMs <= 60_000)) {
    throw new RangeError(`Cannot watch a key as "waitMs" must be from 1000 to 60000: received ${waitMs}`);
  }
  return { [Symbol.asyncIterator]: () => createIterator(kv, key, options) };
}

function createIterator(
  kv: Pick<ConsulKv, "get">,
  key: string,
  options: WatchKeyOptions,
): AsyncIterator<KvEntry | undefined, undefined, undefined> {
  const { signal, onError = () => {}, datacenter, consistency, waitMs, clock, random } = options;
  const readOptions = { ...(datacenter ? { datacenter } : {}), ...(consistency ? { consistency } : {}) };
  const waiting: PromiseWithResolvers<Step>[] = [];
  let pending: { readonly entry: KvEntry | undefined } | undefined;
  let seen: { readonly entry: KvEntry | undefined } | undefined;
  let state: { type: "idle" } | { type: "watching"; close: () => void } | { type: "ended" } = { type: "idle" };

  const onChange = (entry: KvEntry | undefined) => {
    const waiter = waiting.shift();
    if (waiter === undefined) {
      // Back to what the consumer saw last: nothing to tell it.
      pending = seen !== undefined && isSameEntry(seen.entry, entry) ? undefined : { entry };
      return;
    }
    seen = { entry };
    waiter.resolve({ done: false, value: entry });
  };

  const start = () => {
    const readOnce = (read: QueryOptions) => kv.get(key, { ...readOptions, ...read });
    const isDefault = consistency === undefined || consistency === "default";
    const query = followQuery<KvEntry | undefined>({
      read: isDefault
        ? createLeaderlessReads({ read: readOnce, patienceMs: Number.POSITIVE_INFINITY, clock: clock ?? systemClock })
        : readOnce,
      same: isSameEntry,
      onResult: (result, changed) => {
        if (changed) onChange(result.data);
      },
      onError: (error) => {
        try {
          onError(error);
        } catch {
          // A listener that throws must not end the watch.
        }
      },
      ...(waitMs === undefined ? {} : { waitMs }),
      ...(clock === undefined ? {} : { clock }),
      ...(random === undefined ? {} : { random }),
    });
    signal?.addEventListener("abort", onAbort, { once: true });
    state = { type: "watching", close: query.close };
  };

  const end = (settle: (waiter: PromiseWithResolvers<Step>) => void) => {
    if (state.type === "watching") state.close();
    state = { type: "ended" };
    pending = undefined;
    signal?.removeEventListener("abort", onAbort);
    for (const waiter of waiting.splice(0)) settle(waiter);
  };

  // Every call that waits gets the reason; after that the iterator is at its end.
  const onAbort = () => {
    const hadWaiters = waiting.length > 0;
    end((waiter) => waiter.reject(signal?.reason));
    if (!hadWaiters) abortUntold = true;
  };
  let abortUntold = false;

  return {
    async next() {
      if (state.type === "idle") {
        if (signal?.aborted) onAbort();
        else start();
      }
      if (abortUntold) {
        abortUntold = false;
        throw signal?.reason;
      }
      if (state.type === "ended") return { done: true, value: undefined };
      if (pending !== undefined) {
        seen = pending;
        pending = undefined;
        return { done: false, value: seen.entry };
      }
      const waiter = Promise.withResolvers<Step>();
      waiting.push(waiter);
      return waiter.promise;
    },
    async return() {
      abortUntold = false;
      end((waiter) => waiter.resolve({ done: true, value: undefined }));
      return { done: true, value: undefined };
    },
  };
}

/** Whether nothing that a reader could tell has changed. */
function isSameEntry(a: KvEntry | undefined, b: KvEntry | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return (
    a.modifyIndex === b.modifyIndex &&
    a.createIndex === b.createIndex &&
    a.flags === b.flags &&
    a.session === b.session &&
    a.value.length === b.value.length &&
    a.value.every((byte, at) => byte === b.value[at])
  );
}
