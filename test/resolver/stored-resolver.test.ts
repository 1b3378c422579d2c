// A resolver that remembers, over a store in memory and by manual clocks: when it lists what was stored, and when it saves.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { EndpointStore, StoredEndpoints } from "../../src/core/endpoint-store.ts";
import type { ResolverSnapshot } from "../../src/resolver/resolver.ts";
import { createStoredResolver, type StoredResolverOptions } from "../../src/resolver/stored-resolver.ts";
import { createManualClock } from "../../src/testing/manual-clock.ts";
import { createHandResolver, endpoint } from "../support/endpoints.ts";
import { createRecordingLogger } from "../support/recording-logger.ts";

const [a, b, c] = [endpoint("a"), endpoint("b"), endpoint("c")];
/** Unix time when a test begins. */
const startMs = 1_700_000_000_000;

const stored = (fields: object = {}) => ({
  version: 1,
  confirmedAtMs: startMs - 60_000,
  endpoints: [a, b],
  ...fields,
});

interface MemoryStore extends EndpointStore {
  readonly saved: StoredEndpoints[];
  /** What the next load finds. */
  content: unknown;
  failure: unknown;
}

function createMemoryStore(content?: unknown): MemoryStore {
  const store: MemoryStore = {
    saved: [],
    content,
    failure: undefined,
    async load() {
      if (store.failure !== undefined) throw store.failure;
      return structuredClone(store.content);
    },
    async save(_key, stored) {
      if (store.failure !== undefined) throw store.failure;
      store.saved.push(structuredClone(stored));
    },
  };
  return store;
}

function setUp(store: MemoryStore, options: Partial<StoredResolverOptions> = {}) {
  const clock = createManualClock(500);
  const wallClock = { ...clock, now: () => startMs + clock.now() - 500 };
  const source = createHandResolver();
  const logger = createRecordingLogger();
  const resolver = createStoredResolver({ resolver: source, store, clock, wallClock, logger, key: "k", ...options });
  const told: string[] = [];
  const listen = () =>
    resolver.subscribe({
      onSnapshot: (snapshot) => told.push(describeSnapshot(snapshot)),
      onError: (error) => told.push(String(error)),
    });
  return { clock, source, logger, resolver, told, listen };
}

function describeSnapshot({ endpoints, stale, confirmedAtMs, source }: ResolverSnapshot): string {
  const ids = endpoints.map(({ id }) => id).join("");
  return `${ids}${stale ? " stale" : ""}${source === undefined ? "" : ` from ${source}`} of ${confirmedAtMs}`;
}

describe("createStoredResolver()", () => {
  test("lists what is stored as soon as the source has failed, with its true age, and then what the source says", async () => {
    const { clock, source, resolver, told, listen, logger } = setUp(createMemoryStore(stored()));
    const leave = listen();
    await clock.advance(0);
    assert.deepEqual(told, []);
    source.fail(new Error("refused"));
    assert.deepEqual(told, ["Error: refused", "ab stale from store of -59500"]);
    assert.equal(resolver.latest?.source, "store");
    source.fail(new Error("refused"));
    source.push([c], { confirmedAtMs: 700 });
    assert.deepEqual(told.slice(2), ["Error: refused", "c of 700"]);
    assert.equal(resolver.latest?.source, undefined);
    assert.equal(logger.count("stored endpoints are used"), 1);
    leave();
    await resolver.released?.();
    assert.equal(clock.pending, 0);
  });

  test("lists what is stored after storedAfterMs of silence, also where the store is slower than that", async () => {
    const quick = setUp(createMemoryStore(stored()));
    const leave = quick.listen();
    await quick.clock.advance(999);
    assert.deepEqual(quick.told, []);
    await quick.clock.advance(1);
    assert.deepEqual(quick.told, ["ab stale from store of -59500"]);
    leave();

    const { promise, resolve } = Promise.withResolvers<unknown>();
    const slow = setUp({ ...createMemoryStore(), load: () => promise }, { storedAfterMs: 10 });
    const leaveSlow = slow.listen();
    await slow.clock.advance(50);
    assert.deepEqual(slow.told, []);
    resolve(stored());
    await slow.clock.advance(0);
    assert.deepEqual(slow.told, ["ab stale from store of -59500"]);
    leaveSlow();
  });

  test("lists nothing of the store once the source has answered, be it with nothing", async () => {
    const { clock, source, resolver, told, listen } = setUp(createMemoryStore(stored()));
    const leave = listen();
    source.push([]);
    await clock.advance(5000);
    source.fail(new Error("gone"));
    assert.deepEqual(told, [" of 0", "Error: gone"]);
    leave();
    await resolver.released?.();
  });

  test("lists nothing that is too old, none of ours, or unreadable, and goes on without it", async () => {
    const cases: readonly [unknown, string][] = [
      [stored({ confirmedAtMs: startMs - 86_400_001 }), "too old"],
      [stored({ confirmedAtMs: startMs + 86_500_000 }), "too old"],
      [stored({ version: 2 }), "cannot be read"],
      [stored({ confirmedAtMs: "yesterday" }), "cannot be read"],
      [stored({ endpoints: [{ id: "a" }] }), "cannot be read"],
      [stored({ endpoints: [{ ...a, url: "file:///etc/passwd" }] }), "cannot be read"],
      ["text", "cannot be read"],
      [stored({ endpoints: [] }), ""],
      [undefined, ""],
    ];
    for (const [content, complaint] of cases) {
      const { clock, source, told, listen, logger, resolver } = setUp(createMemoryStore(content));
      const leave = listen();
      await clock.advance(2000);
      source.push([c]);
      assert.deepEqual(told, ["c of 0"]);
      assert.equal(logger.lines.length, complaint === "" ? 0 : 1);
      if (complaint !== "") assert.equal(logger.count(complaint), 1);
      leave();
      await resolver.released?.();
    }
  });

  test("takes what is stored from the future, of a clock that was set back, for new", async () => {
    const { clock, told, listen } = setUp(createMemoryStore(stored({ confirmedAtMs: startMs + 5_000_000 })));
    const leave = listen();
    await clock.advance(1000);
    assert.deepEqual(told, ["ab stale from store of 500"]);
    leave();
  });

  test("saves the first answer at once, changes no more than every 5 s, and the last one in the end", async () => {
    const store = createMemoryStore();
    const { clock, source, resolver, listen } = setUp(store);
    const leave = listen();
    const ids = () => store.saved.map(({ endpoints }) => endpoints.map(({ id }) => id).join(""));
    source.push([a], { confirmedAtMs: 500 });
    await clock.advance(1000);
    source.push([a, b], { confirmedAtMs: 1500 });
    await clock.advance(1000);
    source.push([b, c], { confirmedAtMs: 2500 });
    await clock.advance(2999);
    assert.deepEqual(ids(), ["a"]);
    await clock.advance(1);
    assert.deepEqual(ids(), ["a", "bc"]);
    assert.deepEqual(store.saved[1], { version: 1, confirmedAtMs: startMs + 2000, endpoints: [b, c] });
    source.push([c], { confirmedAtMs: 6000 });
    leave();
    await resolver.released?.();
    assert.deepEqual(ids(), ["a", "bc", "c"]);
    assert.equal(clock.pending, 0);
  });

  test("saves neither an empty list nor a stale one, nor what it got from the store", async () => {
    const store = createMemoryStore(stored());
    const { clock, source, resolver, listen } = setUp(store);
    const leave = listen();
    await clock.advance(2000);
    source.push([]);
    source.push([a], { stale: true });
    await clock.advance(600_000);
    leave();
    await resolver.released?.();
    assert.deepEqual(store.saved, []);
    assert.equal(clock.pending, 0);
  });

  test("saves when the list was confirmed last, every few minutes and in the end", async () => {
    const store = createMemoryStore();
    const { clock, source, resolver, listen } = setUp(store);
    const leave = listen();
    source.push([a], { confirmedAtMs: 500 });
    await clock.advance(200_000);
    source.confirm(200_500);
    await clock.advance(100_000);
    source.confirm(300_600);
    leave();
    await resolver.released?.();
    assert.deepEqual(
      store.saved.map(({ confirmedAtMs }) => confirmedAtMs - startMs),
      [0, 200_000, 300_100],
    );
    assert.equal(clock.pending, 0);
  });

  test("costs no more than a warning where the store fails, and tries again with the next change", async () => {
    const store = createMemoryStore(stored());
    store.failure = new Error("disk full");
    const { clock, source, told, listen, logger, resolver } = setUp(store);
    const leave = listen();
    for (const endpoints of [[a], [b], [c]]) {
      source.push(endpoints);
      await clock.advance(5000);
    }
    assert.deepEqual(told, ["a of 0", "b of 0", "c of 0"]);
    assert.equal(logger.count("stored endpoints cannot be read"), 1);
    assert.equal(logger.count("endpoints cannot be stored"), 1);
    store.failure = undefined;
    source.push([a, c]);
    await clock.advance(5000);
    assert.equal(store.saved.length, 1);
    leave();
    await resolver.released?.();
  });

  test("lets nobody wait longer than 2 s in the end for a store that hangs", async () => {
    const { clock, source, resolver, listen } = setUp({ ...createMemoryStore(), save: () => new Promise(() => {}) });
    const leave = listen();
    source.push([a]);
    leave();
    let isReleased = false;
    const released = resolver.released?.().then(() => {
      isReleased = true;
    });
    await clock.advance(1999);
    assert.equal(isReleased, false);
    await clock.advance(1);
    await released;
    assert.equal(clock.pending, 0);
  });

  test("follows the source while somebody listens, and begins anew after", async () => {
    const store = createMemoryStore(stored());
    const { clock, source, resolver, told, listen } = setUp(store);
    const leave = [listen(), listen()];
    assert.equal(source.listeners, 1);
    source.push([c]);
    assert.deepEqual(told, ["c of 0", "c of 0"]);
    leave[0]?.();
    leave[0]?.();
    assert.equal(source.listeners, 1);
    leave[1]?.();
    assert.equal(source.listeners, 0);
    assert.equal(resolver.latest, undefined);
    const again = listen();
    assert.equal(told.length, 3);
    again();
    await resolver.released?.();
    assert.equal(clock.pending, 0);
  });

  test("lists nothing of another scheme, where it was told one", async () => {
    for (const [scheme, isListed] of [
      ["http", true],
      ["https", false],
    ] as const) {
      const { clock, told, listen, logger } = setUp(createMemoryStore(stored()), { scheme });
      const leave = listen();
      await clock.advance(1000);
      assert.equal(told.length > 0, isListed);
      assert.equal(logger.count("cannot be read"), isListed ? 0 : 1);
      leave();
    }
  });

  test("refuses times that are none, and what is no store", () => {
    const given = { resolver: createHandResolver(), store: createMemoryStore() };
    assert.throws(() => createStoredResolver({ ...given, storedAfterMs: -1 }), /"storedAfterMs" must be >= 0/);
    assert.throws(() => createStoredResolver({ ...given, storedMaxAgeMs: Number.NaN }), RangeError);
    for (const store of ["/var/lib/endpoints", null, { load: given.store.load }]) {
      assert.throws(() => createStoredResolver({ ...given, store: store as never }), {
        name: "TypeError",
        message: /"store" must have load and save/,
      });
    }
  });
});
