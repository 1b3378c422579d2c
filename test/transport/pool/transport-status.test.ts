// What a transport says of itself, by the manual clock.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { createManualClock } from "../../../src/testing/manual-clock.ts";
import { type BalancedTransportOptions, createBalancedTransport } from "../../../src/transport/balanced-transport.ts";
import { EchoService } from "../../gen/lictor/test/v1/echo_pb.ts";
import { createHandResolver, endpoint } from "../../support/endpoints.ts";
import { createFakeConnector } from "../../support/fake-connector.ts";
import { createHandConfig } from "../../support/hand-config.ts";
import { rejection } from "../../support/rejection.ts";

const [a, b, c] = [endpoint("a"), endpoint("b", { health: "warning" }), endpoint("c")];

function setUp(options: Partial<BalancedTransportOptions> = {}) {
  const clock = createManualClock();
  const resolver = createHandResolver();
  const fake = createFakeConnector(clock, true);
  const transport = createBalancedTransport({
    resolver,
    connector: fake.connector,
    clock,
    random: () => 0.5,
    outlierDetection: false,
    ...options,
  });
  const client = createClient(EchoService, transport);
  const call = async () => (await client.unary({ text: "x" })).server;
  return { clock, resolver, fake, transport, client, call };
}

describe("status()", () => {
  test("says what calls wait for, from before the first one to after close()", async () => {
    const { clock, resolver, fake, transport, call } = setUp();
    assert.deepEqual(transport.status(), {
      state: "idle",
      pendingCalls: 0,
      resolver: "the test's endpoints",
      endpoints: [],
      leaving: 0,
    });
    const first = call();
    resolver.fail(new Error("connection refused"));
    await clock.advance(0);
    assert.deepEqual(transport.status(), {
      state: "unresolved",
      waitsFor: "waiting for the first answer about the test's endpoints: connection refused",
      pendingCalls: 1,
      resolver: "the test's endpoints",
      resolverError: "connection refused",
      endpoints: [],
      leaving: 0,
    });
    resolver.push([]);
    assert.equal(transport.status().state, "empty");
    assert.match(transport.status().waitsFor ?? "", /lists none$/);
    resolver.fail(new Error("connection refused"));
    assert.match(transport.status().waitsFor ?? "", /listed none, and cannot be asked now: connection refused$/);
    resolver.push([]);
    assert.match(transport.status().waitsFor ?? "", /lists none$/);
    resolver.push([a]);
    assert.equal(transport.status().state, "connecting");
    assert.match(transport.status().waitsFor ?? "", /waiting for a connection/);
    fake.of("a").lose(new Error("connect ECONNREFUSED"));
    assert.equal(transport.status().state, "failing");
    assert.match(transport.status().waitsFor ?? "", /the one instance.*ECONNREFUSED/);
    await clock.advance(1000);
    fake.of("a").becomeReady();
    await first;
    const status = transport.status();
    assert.deepEqual([status.state, status.waitsFor, status.pendingCalls], ["ready", undefined, 0]);
    await transport.close();
    assert.equal(transport.status().state, "closed");
    assert.equal(clock.pending, 0);
  });

  test("tells of the service config where it comes from, and why the newest is not in use", async () => {
    const serviceConfig = createHandConfig();
    const { resolver, transport } = setUp({ serviceConfig });
    assert.deepEqual(transport.status().serviceConfig, { source: "the test's config", isInUse: false });
    const started = rejection(createClient(EchoService, transport).unary({}, { timeoutMs: 1000 }));
    resolver.push([a]);
    serviceConfig.push({ methodConfig: [] });
    serviceConfig.push("{");
    const { error, ...rest } = transport.status().serviceConfig ?? {};
    assert.deepEqual(rest, { source: "the test's config", isInUse: true });
    assert.match(error ?? "", /Cannot use the service config/);
    await transport.close();
    await started;
    const fixed = setUp({ serviceConfig: {} }).transport;
    assert.deepEqual(fixed.status().serviceConfig, { isInUse: true });
    assert.equal(setUp().transport.status().serviceConfig, undefined);
  });

  test("tells of each endpoint how it is reached, since when, and what went wrong last", async () => {
    const { clock, resolver, fake, transport, client, call } = setUp();
    const first = call();
    resolver.push([a, b, c]);
    fake.of("a").becomeReady();
    fake.of("c").lose(new Error("connect ECONNREFUSED"));
    await clock.advance(700);
    assert.equal(await first, "a");
    fake.of("a").behaviour = "hang";
    const controller = new AbortController();
    const hanging = rejection(client.unary({}, { signal: controller.signal }));
    await clock.advance(0);
    assert.deepEqual(transport.status().endpoints, [
      {
        id: "a",
        url: "http://a.test:1",
        health: "passing",
        state: "ready",
        stateForMs: 700,
        calls: { active: 1, ok: 1 },
      },
      {
        id: "b",
        url: "http://b.test:1",
        health: "warning",
        state: "connecting",
        stateForMs: 700,
        calls: { active: 0, ok: 0 },
      },
      {
        id: "c",
        url: "http://c.test:1",
        health: "passing",
        state: "failing",
        stateForMs: 700,
        lastError: "connect ECONNREFUSED",
        calls: { active: 0, ok: 0 },
      },
    ]);
    assert.deepEqual(JSON.parse(JSON.stringify(transport.status())), transport.status());
    controller.abort();
    await hanging;
    await transport.close();
  });

  test("tells how old the list is, who gave it, and which endpoints are in use without its word", async () => {
    const { clock, resolver, fake, transport, call } = setUp();
    const first = call();
    resolver.push([a, b, c], { source: "store", stale: true, confirmedAtMs: -60_000 });
    for (const id of "abc") fake.of(id).becomeReady();
    await first;
    assert.deepEqual(transport.status().list, { source: "store", isStale: true, ageMs: 60_000, listed: 3, held: 0 });
    await clock.advance(2000);
    resolver.push([a, b, c], { confirmedAtMs: 2000 });
    await clock.advance(40_000);
    assert.deepEqual(transport.status().list, {
      source: "resolver",
      isStale: false,
      ageMs: 40_000,
      listed: 3,
      held: 0,
    });
    resolver.confirm(41_500);
    assert.equal(transport.status().list?.ageMs, 500);
    resolver.push([], { confirmedAtMs: 42_000, whyEmpty: "the token may lack rights" });
    await clock.advance(5000);
    const { list, endpoints } = transport.status();
    assert.deepEqual(list, {
      source: "resolver",
      isStale: false,
      ageMs: 5000,
      listed: 0,
      held: 3,
      whyEmpty: "the token may lack rights",
    });
    assert.deepEqual(
      endpoints.map(({ heldForMs }) => heldForMs),
      [5000, 5000, 5000],
    );
    resolver.push([a, b, c], { stale: true, confirmedAtMs: 42_000 });
    assert.deepEqual([transport.status().list?.isStale, transport.status().list?.held], [true, 0]);
    await transport.close();
  });

  test("tells of endpoints that answer badly, and the held ones among them are let go", async () => {
    const { clock, resolver, fake, transport, call } = setUp({ outlierDetection: {}, retry: false });
    const first = call();
    resolver.push([a, c, endpoint("d")]);
    for (const id of "acd") fake.of(id).becomeReady();
    await first;
    fake.of("c").behaviour = "reset";
    for (let i = 0; i < 30; i++) await call().catch(() => {});
    const { outlier } = transport.status().endpoints[1] ?? {};
    assert.deepEqual(outlier, { fault: "failures", forMs: 0, isEjected: true });
    resolver.push([]);
    assert.deepEqual(
      transport.status().endpoints.map(({ id }) => id),
      ["a", "d"],
    );
    fake.of("d").behaviour = "reset";
    for (let i = 0; i < 30; i++) await call().catch(() => {});
    assert.deepEqual(
      transport.status().endpoints.map(({ id }) => id),
      ["a"],
    );
    assert.equal(await call(), "a");
    await transport.close();
    assert.equal(clock.pending, 0);
  });

  test("keeps endpoints through an empty answer where nobody has called for long, and tries them with the next call", async () => {
    const { clock, resolver, fake, transport, call } = setUp({ idleTimeoutMs: 10_000 });
    const first = call();
    resolver.push([a, c]);
    for (const id of "ac") fake.of(id).becomeReady();
    await first;
    await clock.advance(60_000);
    assert.equal(transport.status().state, "idle");
    resolver.push([]);
    assert.equal(transport.status().list?.held, 2);
    const woken = call();
    fake.of("a").lose(new Error("connect ECONNREFUSED"));
    fake.of("c").becomeReady();
    assert.equal(await woken, "c");
    assert.deepEqual(
      transport.status().endpoints.map(({ id }) => id),
      ["c"],
    );
    await transport.close();
    assert.equal(clock.pending, 0);
  });
});
