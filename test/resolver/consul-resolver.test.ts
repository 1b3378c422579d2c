// The Consul resolver on the manual clock, against a scripted agent.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type ConsulResolverOptions, createConsulResolver } from "../../src/resolver/consul-resolver.ts";
import type { Resolver, ResolverListener, ResolverSnapshot } from "../../src/resolver/resolver.ts";
import { createManualClock, type ManualClock } from "../../src/testing/manual-clock.ts";
import { createRecordingLogger } from "../support/recording-logger.ts";
import { createScriptedConsul, networkError, type ScriptedConsul } from "../support/scripted-consul.ts";
import { serviceEntry } from "../support/service-entry.ts";

const random = () => 0.5;

interface Follower extends ResolverListener {
  readonly snapshots: ResolverSnapshot[];
  readonly errors: unknown[];
}

function follower(): Follower {
  const snapshots: ResolverSnapshot[] = [];
  const errors: unknown[] = [];
  return {
    snapshots,
    errors,
    onSnapshot: (snapshot) => snapshots.push(snapshot),
    onError: (error) => errors.push(error),
  };
}

const idsOf = (snapshot: ResolverSnapshot | undefined): string[] => snapshot?.endpoints.map(({ id }) => id) ?? [];

function bench(options: Partial<ConsulResolverOptions> = {}): {
  consul: ScriptedConsul;
  clock: ManualClock;
  resolver: Resolver;
} {
  const consul = createScriptedConsul();
  const clock = createManualClock();
  const resolver = createConsulResolver({ consul: consul.client, service: "Hello", clock, random, ...options });
  return { consul, clock, resolver };
}

describe("createConsulResolver()", () => {
  test("reads nothing until somebody listens, and nothing after the last has gone", async () => {
    const { consul, clock, resolver } = bench();
    await resolver.refresh();
    await clock.advance(1000);
    assert.deepEqual(consul.calls, []);
    const unsubscribe = resolver.subscribe(follower());
    await clock.advance(1000);
    assert.equal(consul.waiting, 1);
    unsubscribe();
    unsubscribe();
    await clock.advance(100_000);
    assert.equal(consul.waiting, 0);
    assert.equal(clock.pending, 0);
    const again = follower();
    const stop = resolver.subscribe(again);
    assert.equal(again.snapshots.length, 0, "told an old list");
    await clock.advance(1000);
    assert.equal(again.snapshots.length, 1);
    assert.equal(consul.waiting, 1);
    stop();
  });

  test("asks what its options say", async () => {
    const { consul, clock, resolver } = bench({
      tags: ["b", "a"],
      filter: "x == y",
      near: "_agent",
      datacenter: "dc2",
      consistency: "stale",
      passingOnly: false,
    });
    const unsubscribe = resolver.subscribe(follower());
    await clock.advance(0);
    const { signal: _, ...asked } = consul.calls[0]!.detail as Record<string, unknown>;
    assert.deepEqual(asked, {
      name: "Hello",
      passing: false,
      tags: ["b", "a"],
      filter: "x == y",
      near: "_agent",
      datacenter: "dc2",
      consistency: "stale",
    });
    assert.equal(
      resolver.description,
      `service "Hello" (tags "b", "a"; filter "x == y"; datacenter "dc2") of Consul at http://scripted`,
    );
    unsubscribe();
  });

  test("gives full sorted snapshots, drops identical answers, keeps the objects of endpoints that stay", async () => {
    const { consul, clock, resolver } = bench({ scheme: "https" });
    consul.setHealth([serviceEntry({ id: "b" }), serviceEntry({ id: "a" })]);
    const listener = follower();
    const unsubscribe = resolver.subscribe(listener);
    await clock.advance(0);
    assert.deepEqual(idsOf(listener.snapshots[0]), ["n1/a", "n1/b"]);
    assert.equal(listener.snapshots[0]?.endpoints[0]?.url, "https://10.0.0.1:10000");
    assert.equal(listener.snapshots[0]?.stale, false);
    consul.setHealth([serviceEntry({ id: "a" }), serviceEntry({ id: "b" })]);
    await clock.advance(5000);
    assert.equal(listener.snapshots.length, 1);
    consul.setHealth([serviceEntry({ id: "a" }), serviceEntry({ id: "b", service: { Port: 1 } })]);
    await clock.advance(0);
    assert.equal(listener.snapshots.length, 2);
    assert.equal(listener.snapshots[1]?.endpoints[0], listener.snapshots[0]?.endpoints[0]);
    assert.equal(listener.snapshots[1]?.endpoints[1]?.url, "https://10.0.0.1:1");
    consul.setHealth([]);
    await clock.advance(0);
    assert.deepEqual(idsOf(listener.snapshots[2]), []);
    unsubscribe();
  });

  test("keeps the last list through errors, marked stale once, and says when Consul is back", async () => {
    const logger = createRecordingLogger();
    const { consul, clock, resolver } = bench({ logger });
    consul.setHealth([serviceEntry()]);
    const listener = follower();
    const unsubscribe = resolver.subscribe(listener);
    await clock.advance(3000);
    assert.equal(listener.snapshots[0]?.confirmedAtMs, 0);
    // Confirmed again, by an answer that changes nothing.
    consul.setHealth([serviceEntry()]);
    await clock.advance(2000);
    consul.failure = networkError();
    consul.failHealth(networkError());
    await clock.advance(65_000);
    assert.ok(listener.errors.length > 3, `${listener.errors.length} errors`);
    assert.equal(listener.snapshots.length, 2);
    assert.deepEqual(
      { ...listener.snapshots[1] },
      { endpoints: listener.snapshots[0]?.endpoints, stale: true, confirmedAtMs: 3000 },
    );
    consul.failure = undefined;
    await clock.advance(15_000);
    assert.equal(listener.snapshots.length, 3);
    assert.equal(listener.snapshots[2]?.stale, false);
    assert.ok((listener.snapshots[2]?.confirmedAtMs ?? 0) > 65_000);
    assert.equal(logger.count("Lost Consul"), 1);
    assert.equal(logger.count("Consul is back"), 1);
    unsubscribe();
    assert.equal(clock.pending, 0);
  });

  test("keeps trying when the first read fails", async () => {
    const { consul, clock, resolver } = bench();
    consul.failure = networkError();
    consul.setHealth([serviceEntry()]);
    const listener = follower();
    const unsubscribe = resolver.subscribe(listener);
    await clock.advance(10_000);
    assert.equal(listener.snapshots.length, 0);
    assert.ok(listener.errors.length > 1);
    consul.failure = undefined;
    await clock.advance(15_000);
    assert.deepEqual(idsOf(listener.snapshots[0]), ["n1/a"]);
    unsubscribe();
  });

  test("refresh() asks once beside the blocking read", async () => {
    const { consul, clock, resolver } = bench();
    const unsubscribe = resolver.subscribe(follower());
    await clock.advance(0);
    const before = consul.count("health");
    await Promise.all([resolver.refresh(), resolver.refresh()]);
    assert.equal(consul.count("health"), before + 1);
    unsubscribe();
  });

  test("warns once of an instance that cannot be called, and again when it comes back", async () => {
    const logger = createRecordingLogger();
    const { consul, clock, resolver } = bench({ logger });
    const bad = serviceEntry({ id: "bad", service: { Port: 0 } });
    consul.setHealth([serviceEntry(), bad]);
    const listener = follower();
    const unsubscribe = resolver.subscribe(listener);
    await clock.advance(0);
    assert.deepEqual(idsOf(listener.snapshots[0]), ["n1/a"]);
    consul.setHealth([serviceEntry({ service: { Port: 1 } }), bad]);
    await clock.advance(1000);
    assert.equal(logger.count("cannot be called"), 1);
    consul.setHealth([serviceEntry()]);
    await clock.advance(1000);
    consul.setHealth([serviceEntry(), bad]);
    await clock.advance(1000);
    assert.equal(logger.count("cannot be called"), 2);
    unsubscribe();
  });

  test("warns once when the token's rights hide instances", async () => {
    const logger = createRecordingLogger();
    const { consul, clock, resolver } = bench({ logger });
    consul.setHealth([], { filteredByAcls: true });
    const unsubscribe = resolver.subscribe(follower());
    await clock.advance(0);
    consul.setHealth([], { filteredByAcls: true });
    await clock.advance(1000);
    assert.equal(logger.count("service:read and node:read"), 1);
    unsubscribe();
  });

  test("does not let one listener's mistake cost another its snapshot", async () => {
    const logger = createRecordingLogger();
    const { consul, clock, resolver } = bench({ logger });
    consul.setHealth([serviceEntry()]);
    const stop = resolver.subscribe({
      onSnapshot() {
        throw new Error("mistake");
      },
      onError() {},
    });
    const listener = follower();
    const unsubscribe = resolver.subscribe(listener);
    await clock.advance(0);
    assert.equal(listener.snapshots.length, 1);
    assert.equal(logger.count("listener"), 1);
    stop();
    unsubscribe();
  });
});

describe("createConsulResolver() shares", () => {
  test("one watch among all who ask the same of the same agent, of either scheme", async () => {
    const { consul, clock, resolver } = bench();
    consul.setHealth([serviceEntry()]);
    const same = { service: "hello", clock, random };
    const twin = createScriptedConsul(consul.client.identity);
    const others = [
      createConsulResolver({ ...same, consul: consul.client }),
      createConsulResolver({ ...same, consul: twin.client, scheme: "https" }),
    ];
    const listeners = [follower(), follower(), follower()] as const;
    const unsubscribes = [resolver, ...others].map((each, index) => each.subscribe(listeners[index] as Follower));
    await clock.advance(1000);
    assert.equal(consul.waiting, 1);
    assert.deepEqual(twin.calls, []);
    assert.equal(listeners[2].snapshots[0]?.endpoints[0]?.url, "https://10.0.0.1:10000");
    // A late one is told at once, synchronously.
    const late = follower();
    unsubscribes.push(resolver.subscribe(late));
    assert.equal(late.snapshots.length, 1);
    for (const unsubscribe of unsubscribes.slice(0, 3)) unsubscribe();
    consul.setHealth([]);
    await clock.advance(0);
    assert.equal(late.snapshots.length, 2);
    assert.equal(listeners[0].snapshots.length, 1, "told after unsubscribing");
    unsubscribes[3]?.();
    await clock.advance(0);
    assert.equal(consul.waiting, 0);
    assert.equal(clock.pending, 0);
  });

  test("nothing among those who ask something else", async () => {
    const { consul, clock, resolver } = bench();
    const same = { consul: consul.client, service: "Hello", clock, random };
    const others = [
      { ...same, passingOnly: false },
      { ...same, tags: ["a"] },
      { ...same, filter: "x" },
      { ...same, datacenter: "dc2" },
      { ...same, near: "_agent" },
      { ...same, consistency: "stale" },
      { ...same, waitMs: 1000 },
      { ...same, random: () => 0.5 },
    ] as const;
    const unsubscribes = [resolver, ...others.map(createConsulResolver)].map((each) => each.subscribe(follower()));
    await clock.advance(0);
    assert.equal(consul.waiting, 9);
    for (const unsubscribe of unsubscribes) unsubscribe();
    await clock.advance(0);
    assert.equal(clock.pending, 0);
  });

  test("its log lines with every logger, each told once", async () => {
    const { consul, clock } = bench();
    const [a, b] = [createRecordingLogger(), createRecordingLogger()];
    const same = { consul: consul.client, service: "Hello", clock, random };
    const unsubscribes = [a, a, b].map((logger) => createConsulResolver({ ...same, logger }).subscribe(follower()));
    consul.failure = networkError();
    await clock.advance(100);
    assert.deepEqual([a.count("Lost Consul"), b.count("Lost Consul")], [1, 1]);
    for (const unsubscribe of unsubscribes) unsubscribe();
  });
});

describe("createConsulResolver() refuses", () => {
  const cases: readonly [Record<string, unknown>, RegExp][] = [
    [{ service: "" }, /"service" must be a non-empty string: received ""/],
    [{ tags: [""] }, /"tags" must be a list of non-empty strings/],
    [{ filter: "" }, /"filter" must be a non-empty string/],
    [{ consistency: "eventual" }, /"consistency" must be default, stale or consistent: received "eventual"/],
    [{ scheme: "grpc" }, /"scheme" must be http or https/],
    [{ waitMs: 0 }, /"waitMs" must be from 1000 to 60000: received 0/],
    [{ waitMs: Number.NaN }, /"waitMs"/],
  ];
  for (const [options, message] of cases) {
    test(JSON.stringify(options), () => {
      assert.throws(() => bench(options as Partial<ConsulResolverOptions>), message);
    });
  }
});
