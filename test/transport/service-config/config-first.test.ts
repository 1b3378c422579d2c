import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Code, createClient, type Interceptor } from "@connectrpc/connect";
import { silentLogger } from "../../../src/core/logger.ts";
import { createManualClock } from "../../../src/testing/manual-clock.ts";
import { createBalancedTransport } from "../../../src/transport/balanced-transport.ts";
import { configFirst } from "../../../src/transport/service-config/config-first.ts";
import { ServiceConfigError } from "../../../src/transport/service-config/service-config-error.ts";
import { ServiceConfigHolder } from "../../../src/transport/service-config/service-config-holder.ts";
import { EchoService } from "../../gen/lictor/test/v1/echo_pb.ts";
import { createHandResolver, endpoint } from "../../support/endpoints.ts";
import { failStreams, retryOnce } from "../../support/failing-streams.ts";
import { createFakeConnector } from "../../support/fake-connector.ts";
import { createHandConfig } from "../../support/hand-config.ts";
import { rejection } from "../../support/rejection.ts";

const short = JSON.stringify({ methodConfig: [{ name: [{}], timeout: "0.2s" }] });

/** A resolver, a source, and what a listener to both is told. */
function makePair() {
  const clock = createManualClock();
  const source = createHandConfig();
  const holder = new ServiceConfigHolder(source, silentLogger);
  const inner = createHandResolver();
  const resolver = configFirst(inner, holder, clock);
  const told: string[] = [];
  const subscribe = () =>
    resolver.subscribe({
      onSnapshot: ({ endpoints }) => told.push(endpoints.map(({ id }) => id).join()),
      onError: (error) => told.push(String(error)),
    });
  return { clock, source, holder, inner, resolver, told, subscribe };
}

/** A transport over one endpoint, whose service config a test pushes. */
function followSource(interceptors: Interceptor[] = []) {
  const clock = createManualClock();
  const source = createHandConfig();
  const { connector, of, opened } = createFakeConnector(clock);
  const resolver = createHandResolver([endpoint("a")]);
  const common = { resolver, connector, clock, settleMs: 0, interceptors };
  return { clock, source, of, opened, transport: createBalancedTransport({ ...common, serviceConfig: source }) };
}

describe("configFirst()", () => {
  test("is the resolver itself where there is nothing to wait for", () => {
    const resolver = createHandResolver();
    const clock = createManualClock();
    assert.equal(configFirst(resolver, new ServiceConfigHolder(undefined, silentLogger), clock), resolver);
    assert.equal(configFirst(resolver, new ServiceConfigHolder({}, silentLogger), clock), resolver);
  });

  test("holds the endpoints back until the config is there, and passes on the latest", async () => {
    const { clock, source, inner, told, subscribe } = makePair();
    const end = subscribe();
    inner.push([endpoint("a")]);
    inner.push([endpoint("a"), endpoint("b")]);
    await clock.advance(999);
    assert.deepEqual(told, []);
    source.push(short);
    assert.deepEqual(told, ["a,b"]);
    inner.push([endpoint("b")]);
    source.push("{}");
    assert.deepEqual(told, ["a,b", "b"]);
    assert.equal(clock.pending, 0);
    end();
    assert.equal(source.listeners, 0);
    assert.equal(inner.listeners, 0);
  });

  test("does not wait where the config is known first, is absent, is bad, or cannot be read", () => {
    for (const value of [short, undefined, "bad", new Error("down")]) {
      const { source, inner, told, subscribe } = makePair();
      const end = subscribe();
      if (value instanceof Error) source.fail(value);
      else source.push(value);
      inner.push([endpoint("a")]);
      assert.deepEqual(told, ["a"]);
      end();
    }
  });

  test("waits a second and no longer", async () => {
    const { clock, inner, told, subscribe } = makePair();
    const end = subscribe();
    await clock.advance(5000);
    inner.push([endpoint("a")]);
    await clock.advance(500);
    inner.push([endpoint("b")]);
    await clock.advance(499);
    assert.deepEqual(told, []);
    await clock.advance(1);
    assert.deepEqual(told, ["b"]);
    end();
  });

  test("passes the resolver's errors on at once", () => {
    const { inner, told, subscribe } = makePair();
    const end = subscribe();
    inner.fail("lost");
    assert.deepEqual(told, ["lost"]);
    end();
  });

  test("keeps no timer and tells nothing once it is let go", async () => {
    const { clock, source, inner, told, subscribe } = makePair();
    const end = subscribe();
    const other = subscribe();
    inner.push([endpoint("a")]);
    end();
    end();
    assert.equal(source.listeners, 1);
    other();
    assert.equal(source.listeners, 0);
    assert.equal(clock.pending, 0);
    await clock.advance(2000);
    assert.deepEqual(told, []);
  });
});

describe("createBalancedTransport() with a service config", () => {
  test("throws for a bad one in code", () => {
    const resolver = createHandResolver();
    const { connector } = createFakeConnector();
    assert.throws(
      () =>
        createBalancedTransport({
          resolver,
          connector,
          serviceConfig: { methodConfig: [{ name: [{}], timeout: "1" }] },
        }),
      ServiceConfigError,
    );
  });

  test("ends calls at its timeout, or at their own where that is shorter", async () => {
    const clock = createManualClock();
    const { connector, of } = createFakeConnector(clock);
    const resolver = createHandResolver([endpoint("a")]);
    await using transport = createBalancedTransport({ resolver, connector, clock, settleMs: 0, serviceConfig: short });
    const client = createClient(EchoService, transport);
    const warm = client.unary({ text: "x" });
    of("a").becomeReady();
    await warm;
    assert.equal(of("a").timeoutMs, 200);
    await client.unary({ text: "x" }, { timeoutMs: 100 });
    assert.equal(of("a").timeoutMs, 100);
    await client.unary({ text: "x" }, { timeoutMs: 300 });
    assert.equal(of("a").timeoutMs, 200);
  });

  test("has the first calls wait for a source, and applies its updates to later ones", async () => {
    const { clock, source, of, opened, transport } = followSource();
    const client = createClient(EchoService, transport);
    const first = client.unary({ text: "first" });
    await clock.advance(900);
    assert.equal(opened.length, 0);
    source.push(short);
    of("a").becomeReady();
    assert.equal((await first).text, "first");
    await client.unary({ text: "second" });
    assert.equal(of("a").timeoutMs, 200);
    source.push(short.replace("0.2s", "7s"));
    await client.unary({ text: "third" });
    assert.equal(of("a").timeoutMs, 7000);
    source.push(undefined);
    await client.unary({ text: "fourth" });
    assert.equal(of("a").timeoutMs, undefined);
    await transport.close();
    assert.equal(source.listeners, 0);
    assert.match((await rejection(client.unary({}))).message, /closed/);
  });

  test("holds calls to the timeout of a config that came after they began, with interceptors and without", async () => {
    const pass: Interceptor = (next) => (request) => next(request);
    for (const interceptors of [[], [pass]]) {
      const { clock, source, transport } = followSource(interceptors);
      const late = rejection(createClient(EchoService, transport).unary({}));
      await clock.advance(50);
      source.push(short);
      await clock.advance(149);
      assert.equal(transport.status().pendingCalls, 1);
      await clock.advance(1);
      assert.equal((await late).code, Code.DeadlineExceeded);
      await transport.close();
    }
  });

  test("keeps as much of a stream that waited for the config as that asks for", async () => {
    const { clock, source, of, opened, transport } = followSource();
    async function* messages() {
      // More than is kept of a stream that may not run twice.
      yield { text: "x".repeat(200 * 1024) };
      yield { text: "end" };
    }
    const failed = rejection(createClient(EchoService, transport).clientStream(messages()));
    await clock.advance(50);
    source.push(retryOnce);
    const failing = failStreams(opened, Code.Unavailable);
    of("a").becomeReady();
    await clock.advance(100);
    assert.equal((await failed).code, Code.Unavailable);
    assert.equal(failing.attempts, 2);
    await transport.close();
  });
});
