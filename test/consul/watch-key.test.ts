import assert from "node:assert/strict";
import { test } from "node:test";
import type { KvEntry, WatchKeyOptions } from "../../src/consul/kv.ts";
import type { QueryOptions, QueryResult } from "../../src/consul/query.ts";
import { watchKey } from "../../src/consul/watch-key.ts";
import { createManualClock } from "../../src/testing/manual-clock.ts";

/** A store of one key. */
function createStore() {
  const clock = createManualClock();
  let entry: KvEntry | undefined;
  let index = 1;
  let failure: unknown;
  const waiting = new Set<() => void>();
  const wake = () => {
    for (const end of [...waiting]) end();
    return clock.advance(0);
  };
  const store = {
    clock,
    reads: [] as QueryOptions[],
    get waiting() {
      return waiting.size;
    },
    set(value: string | undefined) {
      index++;
      const bytes = new TextEncoder().encode(value);
      entry =
        value === undefined
          ? undefined
          : { key: "k", value: bytes, flags: 0, createIndex: 2, modifyIndex: index, session: undefined };
      return wake();
    },
    /** As a write of another key does while this one is missing. */
    spurious() {
      index++;
      return wake();
    },
    fail(error: unknown) {
      failure = error;
      return wake();
    },
    kv: {
      async get(_key: string, options: QueryOptions = {}): Promise<QueryResult<KvEntry | undefined>> {
        store.reads.push(options);
        const { signal } = options;
        if (options.index === String(index) && failure === undefined) {
          await new Promise<void>((resolve, reject) => {
            const end = () => {
              waiting.delete(end);
              if (signal?.aborted) reject(signal.reason);
              else resolve();
            };
            waiting.add(end);
            signal?.addEventListener("abort", end, { once: true });
          });
        }
        if (failure !== undefined) {
          const error = failure;
          failure = undefined;
          throw error;
        }
        return { data: entry, index: String(index), knownLeader: true, lastContactMs: 0, filteredByAcls: false };
      },
    },
    watch(options: WatchKeyOptions = {}): AsyncIterator<KvEntry | undefined> {
      return watchKey(store.kv, "k", { clock, ...options })[Symbol.asyncIterator]();
    },
  };
  return store;
}

const textOf = (step: IteratorResult<KvEntry | undefined>): string | undefined => {
  assert.equal(step.done, false);
  return step.value && new TextDecoder().decode(step.value.value);
};

test("watchKey() gives the first value, then each change", async () => {
  const store = createStore();
  const watch = store.watch();
  assert.equal(store.reads.length, 0);
  assert.equal(textOf(await watch.next()), undefined);
  const next = watch.next();
  await store.set("one");
  assert.equal(textOf(await next), "one");
  const gone = watch.next();
  await store.set(undefined);
  assert.equal(textOf(await gone), undefined);
  await watch.return?.();
  assert.equal(store.clock.pending, 0);
  assert.equal(store.waiting, 0);
});

test("watchKey() gives a slow consumer the latest value only", async () => {
  const store = createStore();
  const watch = store.watch();
  await watch.next();
  for (const value of ["one", "two", "three"]) await store.set(value);
  assert.equal(textOf(await watch.next()), "three");
  const next = watch.next();
  await store.set("four");
  assert.equal(textOf(await next), "four");
  await watch.return?.();
});

test("watchKey() tells a slow consumer nothing when the key is what it was", async () => {
  const store = createStore();
  const watch = store.watch();
  await watch.next();
  await store.set("one");
  await store.set(undefined);
  const next = watch.next();
  await store.set("two");
  assert.equal(textOf(await next), "two");
  await watch.return?.();
});

test("watchKey() gives nothing when it wakes to no change", async () => {
  const store = createStore();
  const watch = store.watch();
  await watch.next();
  let told = false;
  const next = watch.next().finally(() => {
    told = true;
  });
  await store.spurious();
  assert.equal(told, false);
  await store.set("one");
  assert.equal(textOf(await next), "one");
  await watch.return?.();
});

test("watchKey() answers calls in their order when several wait", async () => {
  const store = createStore();
  const watch = store.watch();
  const steps = [watch.next(), watch.next(), watch.next()];
  await store.clock.advance(0);
  await store.set("one");
  await store.set("two");
  assert.deepEqual((await Promise.all(steps)).map(textOf), [undefined, "one", "two"]);
  await watch.return?.();
});

test("watchKey() goes on after an error, and tells of it", async () => {
  const store = createStore();
  const errors: unknown[] = [];
  const watch = store.watch({ onError: (error) => errors.push(error), random: () => 0.5 });
  await watch.next();
  const next = watch.next();
  await store.fail(new Error("down"));
  assert.equal(errors.length, 1);
  await store.set("one");
  await store.clock.advance(100);
  assert.equal(textOf(await next), "one");
  await watch.return?.();
});

test("watchKey() passes its options on to the reads", async () => {
  const store = createStore();
  const watch = store.watch({ datacenter: "dc2", consistency: "stale", waitMs: 10_000, random: () => 0 });
  await watch.next();
  await store.clock.advance(0);
  const { signal: _, ...read } = store.reads[1] ?? {};
  assert.deepEqual(read, { datacenter: "dc2", consistency: "stale", index: "1", waitMs: 10_000 });
  await watch.return?.();
});

test("watchKey() rejects with the signal's reason when it is aborted, then is at its end", async () => {
  const store = createStore();
  const controller = new AbortController();
  const watch = store.watch({ signal: controller.signal });
  await watch.next();
  const reason = new Error("enough");
  const next = watch.next();
  controller.abort(reason);
  await assert.rejects(next, (error) => error === reason);
  assert.equal((await watch.next()).done, true);
  await store.clock.advance(0);
  assert.equal(store.waiting, 0);
  assert.equal(store.clock.pending, 0);
});

test("watchKey() rejects the next call when it was aborted between two", async () => {
  const store = createStore();
  const controller = new AbortController();
  const watch = store.watch({ signal: controller.signal });
  await watch.next();
  await store.set("unseen");
  const reason = new Error("enough");
  controller.abort(reason);
  await assert.rejects(watch.next(), (error) => error === reason);
  assert.equal((await watch.next()).done, true);
});

test("watchKey() reads nothing when the signal is aborted already", async () => {
  const store = createStore();
  const reason = new Error("enough");
  await assert.rejects(store.watch({ signal: AbortSignal.abort(reason) }).next(), (error) => error === reason);
  assert.equal(store.reads.length, 0);
});

test("watchKey() ends calls that wait when return() is called", async () => {
  const store = createStore();
  const watch = store.watch();
  await watch.next();
  const next = watch.next();
  await watch.return?.();
  assert.equal((await next).done, true);
  assert.equal((await watch.next()).done, true);
  await store.clock.advance(0);
  assert.equal(store.waiting, 0);
});

test("watchKey() makes a watch of its own for each iteration", async () => {
  const store = createStore();
  const watched = watchKey(store.kv, "k", { clock: store.clock });
  const [first, second] = [watched[Symbol.asyncIterator](), watched[Symbol.asyncIterator]()];
  await first.next();
  await second.next();
  await first.return?.();
  const next = second.next();
  await store.set("one");
  assert.equal(textOf(await next), "one");
  await second.return?.();
});

test("watchKey() throws at once when key or wait cannot be meant", () => {
  const { kv } = createStore();
  for (const key of ["", "/a", "a//b", ".."]) assert.throws(() => watchKey(kv, key), TypeError);
  for (const waitMs of [999, 60_001]) assert.throws(() => watchKey(kv, "k", { waitMs }), RangeError);
});
