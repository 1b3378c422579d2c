// What transports share: one snapshot, one turn, one pace of reading, and nothing that belongs to a request.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createClient } from "@connectrpc/connect";
import type { NewPicker } from "../../src/balancer/picker.ts";
import { createEdgeTransport } from "../../src/edge/create-edge-transport.ts";
import { cacheEntry, createSnapshotCache } from "../../src/edge/snapshot-cache.ts";
import { createManualClock } from "../../src/testing/manual-clock.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { createEchoFetch, createHandSource, openOverSource } from "../support/edge-fakes.ts";

const startMs = 1_700_000_000_000;

describe("a cache", () => {
  test("lets transports share a snapshot and one strict round", async () => {
    const clock = createManualClock(startMs);
    const { openAnother, source } = openOverSource({ clock, cache: createSnapshotCache() });
    const servers: string[] = [];
    for (let request = 0; request < 6; request++) servers.push(await openAnother().call());
    assert.deepEqual(servers, ["a", "b", "a", "b", "a", "b"]);
    assert.equal(source.reads, 1);
  });

  test("tells a transport of another's refresh, which it does not repeat for 2 s", async () => {
    const clock = createManualClock(startMs);
    const { openAnother, source } = openOverSource({ clock, cache: createSnapshotCache() });
    await openAnother().call();
    // Old enough for every call to want a refresh, and to wait for it.
    await clock.advance(100_000);
    source.next = undefined;
    const [one, two, three] = [openAnother(), openAnother(), openAnother()];
    const waits = one.call();
    await clock.advance(0);
    assert.equal(source.reads, 2);
    await clock.advance(1999);
    assert.equal(await two.call(), "b");
    assert.equal(source.reads, 2);
    // The request of the first may have ended, and its read with it.
    await clock.advance(1);
    const alsoWaits = three.call();
    await clock.advance(0);
    assert.equal(source.reads, 3);
    source.answer(["c"]);
    await Promise.all([waits, alsoWaits]);
    assert.equal(three.state().endpoints[0]?.id, "c");
  });

  test("pauses for 1 s after a read that failed, over all transports", async () => {
    const clock = createManualClock(startMs);
    const { openAnother, source } = openOverSource({ clock, cache: createSnapshotCache() });
    await openAnother().call();
    await clock.advance(6000);
    source.next = new Error("gone");
    await openAnother().call();
    await clock.advance(999);
    await openAnother().call();
    assert.equal(source.reads, 2);
    await clock.advance(1);
    await openAnother().call();
    assert.equal(source.reads, 3);
  });

  test("keeps no answer of an attempt that another one has overtaken", async () => {
    const clock = createManualClock(startMs);
    const cache = createSnapshotCache();
    const { openAnother, source } = openOverSource({ clock, cache });
    source.next = undefined;
    const slow = Promise.withResolvers<never>();
    const { read } = source;
    source.read = () => slow.promise;
    const first = openAnother().call();
    await clock.advance(1);
    source.read = read;
    const second = openAnother().call();
    await clock.advance(0);
    source.answer(["new"]);
    assert.equal(await second, "new");
    slow.resolve({ endpoints: ["http://old.test:1"], confirmedAtMs: clock.now() } as never);
    assert.equal(await first, "new");
  });

  test("is told apart by source: the object, or the text of its identity", async () => {
    const clock = createManualClock(startMs);
    const { openAnother, source } = openOverSource({ clock, cache: createSnapshotCache() });
    const made = () => createHandSource(clock.now, ["c"]);
    await openAnother().call();
    const others = [made(), made()];
    for (const other of others) assert.equal(await openAnother({ source: other }).call(), "c");
    assert.deepEqual([source.reads, ...others.map(({ reads }) => reads)], [1, 1, 1]);
    const named = [made(), made()].map((other) => Object.assign(other, { identity: "list" }));
    for (const other of named) assert.equal(await openAnother({ source: other }).call(), "c");
    assert.deepEqual(
      named.map(({ reads }) => reads),
      [1, 0],
    );
  });

  test("keeps the hundred sources that were asked for last", async () => {
    const clock = createManualClock(startMs);
    const { openAnother } = openOverSource({ clock, cache: createSnapshotCache() });
    const named = (index: number) => Object.assign(createHandSource(clock.now, ["c"]), { identity: `list ${index}` });
    for (let index = 0; index <= 100; index++) await openAnother({ source: named(index) }).call();
    const again = [named(0), named(100)];
    for (const source of again) await openAnother({ source }).call();
    assert.deepEqual(
      again.map(({ reads }) => reads),
      [1, 0],
    );
  });

  test("lets go first of the source that was not asked for the longest", async () => {
    const clock = createManualClock(startMs);
    const { openAnother } = openOverSource({ clock, cache: createSnapshotCache() });
    const named = (index: number) => Object.assign(createHandSource(clock.now, ["c"]), { identity: `list ${index}` });
    for (let index = 0; index < 100; index++) await openAnother({ source: named(index) }).call();
    await openAnother({ source: named(0) }).call();
    await openAnother({ source: named(100) }).call();
    const again = [named(0), named(1)];
    for (const source of again) await openAnother({ source }).call();
    assert.deepEqual(
      again.map(({ reads }) => reads),
      [0, 1],
    );
  });

  test("gives a transport with another policy a picker of that policy", async () => {
    const clock = createManualClock(startMs);
    const { openAnother } = openOverSource({ clock, cache: createSnapshotCache() });
    const last: NewPicker = (ready) => ({
      pick: () => {
        const endpoint = ready.at(-1);
        return endpoint && { endpoint, done: () => {} };
      },
    });
    assert.equal(await openAnother().call(), "a");
    for (let i = 0; i < 3; i++) assert.equal(await openAnother({ balancer: last }).call(), "b");
    assert.equal(await openAnother().call(), "a");
  });

  test("keeps no failure of an attempt that another one has overtaken", async () => {
    const clock = createManualClock(startMs);
    const { openAnother, source } = openOverSource({ clock, cache: createSnapshotCache() });
    const slow = Promise.withResolvers<never>();
    const { read } = source;
    source.read = () => slow.promise;
    const first = openAnother().call();
    await clock.advance(1);
    source.read = read;
    const second = openAnother();
    assert.equal(await second.call(), "a");
    slow.reject(new Error("too late"));
    assert.equal(await first, "b");
    assert.deepEqual([second.state().stale, "lastError" in second.state()], [false, false]);
  });

  test("follows a source that changes whose rights it uses: neither list nor read is the other's", async () => {
    const clock = createManualClock(startMs);
    const { openAnother, source } = openOverSource({ clock, cache: createSnapshotCache() });
    let identity = "one";
    Object.defineProperty(source, "identity", { get: () => identity });
    const { call, state } = openAnother();
    source.next = ["a"];
    assert.equal(await call(), "a");
    identity = "two";
    assert.equal(state().ageMs, undefined);
    source.next = undefined;
    const waiting = call();
    await clock.advance(0);
    identity = "three";
    const other = call();
    await clock.advance(0);
    assert.equal(source.reads, 3, "a read of another's is not waited for");
    source.answer(["b"]);
    assert.deepEqual(await Promise.all([waiting, other]), ["b", "b"]);
    identity = "one";
    assert.equal(await call(), "a");
    assert.equal(source.reads, 3);
  });

  test("holds plain data: no promise of a read, nothing of the fetch", async () => {
    const clock = createManualClock(startMs);
    const cache = createSnapshotCache();
    const { openAnother, source } = openOverSource({ clock, cache });
    await openAnother().call();
    await clock.advance(6000);
    source.next = undefined;
    const { transport, call } = openAnother();
    await call();
    const { turn, ...data } = cacheEntry(cache, source);
    assert.ok(turn !== undefined);
    assert.deepEqual(structuredClone(data), data);
    assert.equal(data.attempt?.state, "pending");
    assert.equal(transport.discovery().endpoints.length, 2);
    source.answer(["a"]);
  });
});

test("a fixed list has no age, is never read, and shares its turn through a cache", async () => {
  const { fetch, hosts } = createEchoFetch();
  const cache = createSnapshotCache();
  const endpoints = ["http://b.test:1", { url: "http://a.test:1", id: "z" }];
  for (let request = 0; request < 4; request++) {
    const transport = createEdgeTransport({ endpoints, fetch, cache, useBinaryFormat: false });
    await createClient(EchoService, transport).unary({});
    const { endpoints: list, ...rest } = transport.discovery();
    assert.deepEqual(rest, { ageMs: 0, stale: false });
    assert.equal(list.length, 2);
  }
  assert.deepEqual(hosts, ["b", "a", "b", "a"]);
});
