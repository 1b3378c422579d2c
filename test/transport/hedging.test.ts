// Hedged calls over a balanced transport: attempts on other endpoints, what they are told, and what the caller is.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { callFate, markAnswered } from "../../src/core/call-fate.ts";
import { createManualClock } from "../../src/testing/manual-clock.ts";
import { createBalancedTransport } from "../../src/transport/balanced-transport.ts";
import { callAttempts } from "../../src/transport/retry/call-attempts.ts";
import type { ServiceConfigJson } from "../../src/transport/service-config/service-config-json.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { createHandResolver, endpoint } from "../support/endpoints.ts";
import { createFakeConnector, type FakeBehaviour } from "../support/fake-connector.ts";
import { rejection } from "../support/rejection.ts";

/** A transport over endpoints whose connections are ready, and behave so; calls are hedged 100 ms apart. */
async function setUp(behaviours: Readonly<Record<string, FakeBehaviour>>, config: Partial<ServiceConfigJson> = {}) {
  const clock = createManualClock();
  const fakes = createFakeConnector(clock);
  const names = Object.keys(behaviours);
  const hedgingPolicy = { maxAttempts: 3, hedgingDelay: "0.1s", nonFatalStatusCodes: ["UNAVAILABLE"] };
  const transport = createBalancedTransport({
    resolver: createHandResolver(names.map((name) => endpoint(name))),
    connector: fakes.connector,
    clock,
    settleMs: 0,
    serviceConfig: { methodConfig: [{ name: [{}], hedgingPolicy }], ...config },
  });
  const client = createClient(EchoService, transport);
  const warm = client.unary({ text: "warm" });
  await clock.advance(0);
  for (const { endpoint } of fakes.opened) fakes.of(endpoint.id).becomeReady();
  await warm;
  const connections = names.map((name) => fakes.of(name));
  for (const connection of connections) {
    connection.behaviour = behaviours[connection.endpoint.id] ?? "answer";
    connection.calls = 0;
  }
  return {
    clock,
    transport,
    client,
    connections,
    /** Calls that each endpoint has had, in the order of their names. */
    calls: () => connections.map(({ calls }) => calls),
    /** Calls that hang now. */
    hanging: () => connections.reduce((sum, { hanging }) => sum + hanging, 0),
    async [Symbol.asyncDispose]() {
      await transport.close();
      assert.equal(clock.pending, 0);
    },
  };
}

describe("createBalancedTransport() with a hedging policy", () => {
  test("ends a call that a server has put off for long, when the transport is closed", async () => {
    await using fleet = await setUp({ a: "answer", b: "answer" });
    const later = { "grpc-retry-pushback-ms": "4000000" };
    for (const { transport } of fleet.connections) {
      transport.unary = async () => {
        throw markAnswered(new ConnectError("later", Code.Unavailable, later));
      };
    }
    const ended = rejection(fleet.client.unary({}));
    await fleet.clock.advance(10);
    const closed = fleet.transport.close();
    await fleet.clock.advance(10);
    assert.equal((await ended).code, Code.Canceled);
    await closed;
  });

  test("sends a call that is not answered to another endpoint, and takes the first answer", async () => {
    await using fleet = await setUp({ a: "hang", b: "hang", c: "hang" });
    const [a, b, c] = fleet.connections;
    const call = fleet.client.unary({ text: "x" });
    await fleet.clock.advance(99);
    assert.equal(fleet.hanging(), 1);
    await fleet.clock.advance(1);
    assert.equal(fleet.hanging(), 2);
    for (const connection of [a, b, c]) if (connection?.calls === 0) connection.behaviour = "answer";
    await fleet.clock.advance(100);
    assert.equal((await call).text, "x");
    assert.deepEqual(fleet.calls(), [1, 1, 1]);
    await fleet.clock.advance(0);
    assert.equal(fleet.hanging(), 0);
  });

  test("tells servers how many attempts were made before", async () => {
    await using fleet = await setUp({ a: "hang", b: "hang", c: "hang" });
    const call = rejection(fleet.client.unary({ text: "x" }, { timeoutMs: 250 }));
    await fleet.clock.advance(250);
    assert.equal((await call).code, Code.DeadlineExceeded);
    const told = fleet.connections.map(({ header }) => new Headers(header).get("grpc-previous-rpc-attempts"));
    assert.deepEqual(told.sort(), ["1", "2", null]);
    // All know when the call ends.
    assert.deepEqual(fleet.connections.map(({ timeoutMs }) => timeoutMs).sort(), [150, 250, 50]);
  });

  test("makes the next attempt at once after a failure that is not fatal, and each on another endpoint", async () => {
    await using fleet = await setUp({ a: "reset", b: "reset", c: "reset" });
    const error = await rejection(fleet.client.unary({ text: "x" }));
    assert.equal(error.code, Code.Unavailable);
    assert.equal(callFate(error), "maybe-processed");
    assert.equal(callAttempts(error), 3);
    assert.deepEqual(fleet.calls(), [1, 1, 1]);
    assert.equal(fleet.clock.now(), 0);
  });

  test("fails at once with what is not in the list, and makes no other attempt", async () => {
    const hedgingPolicy = { maxAttempts: 3, hedgingDelay: "0.1s", nonFatalStatusCodes: ["ABORTED"] };
    await using fleet = await setUp(
      { a: "reset", b: "reset", c: "reset" },
      { methodConfig: [{ name: [{}], hedgingPolicy }] },
    );
    const error = await rejection(fleet.client.unary({ text: "x" }));
    assert.equal(error.code, Code.Unavailable);
    assert.equal(callAttempts(error), 1);
    assert.equal(
      fleet.calls().reduce((sum, calls) => sum + calls, 0),
      1,
    );
  });

  test("goes past endpoints that refuse, within an attempt and uncounted", async () => {
    await using fleet = await setUp({ a: "refuse", b: "refuse", c: "answer" });
    for (let call = 0; call < 6; call++) assert.equal((await fleet.client.unary({ text: "x" })).server, "c");
    assert.equal(fleet.connections[2]?.calls, 6);
  });

  test("uses endpoints twice where there are fewer than attempts", async () => {
    await using fleet = await setUp({ a: "hang" });
    const call = fleet.client.unary({ text: "x" });
    await fleet.clock.advance(100);
    assert.deepEqual(fleet.calls(), [2]);
    const [a] = fleet.connections;
    if (a !== undefined) a.behaviour = "answer";
    await fleet.clock.advance(100);
    await call;
    assert.deepEqual(fleet.calls(), [3]);
  });

  test("makes no second attempt where the retry budget is spent", async () => {
    const retryThrottling = { maxTokens: 2, tokenRatio: 0.001 };
    await using fleet = await setUp({ a: "reset", b: "reset", c: "reset" }, { retryThrottling });
    const first = await rejection(fleet.client.unary({ text: "x" }));
    assert.equal(callAttempts(first), 1);
    const second = await rejection(fleet.client.unary({ text: "x" }));
    assert.equal(callAttempts(second), 1);
  });

  test("ends all attempts with the caller's signal", async () => {
    await using fleet = await setUp({ a: "hang", b: "hang", c: "hang" });
    const controller = new AbortController();
    const call = rejection(fleet.client.unary({ text: "x" }, { signal: controller.signal }));
    await fleet.clock.advance(150);
    assert.equal(fleet.hanging(), 2);
    controller.abort();
    const error = await call;
    assert.equal(error.code, Code.Canceled);
    assert.equal(callFate(error), "maybe-processed");
    await fleet.clock.advance(1000);
    assert.equal(fleet.hanging(), 0);
    assert.deepEqual(fleet.calls().sort(), [0, 1, 1]);
  });

  test("counts no delay while there is no endpoint to call", async () => {
    const clock = createManualClock();
    const fakes = createFakeConnector(clock);
    const hedgingPolicy = { maxAttempts: 3, hedgingDelay: "0.1s" };
    await using transport = createBalancedTransport({
      resolver: createHandResolver([endpoint("a"), endpoint("b")]),
      connector: fakes.connector,
      clock,
      settleMs: 0,
      serviceConfig: { methodConfig: [{ name: [{}], hedgingPolicy }] },
    });
    const call = createClient(EchoService, transport).unary({ text: "x" });
    await clock.advance(5000);
    for (const { endpoint } of [...fakes.opened]) fakes.of(endpoint.id).becomeReady();
    assert.equal((await call).text, "x");
    assert.equal(fakes.of("a").calls + fakes.of("b").calls, 1);
  });

  test("hedges streams until headers come, each attempt with all messages", async () => {
    await using fleet = await setUp({ a: "hang", b: "hang", c: "answer" });
    let ended = 0;
    async function* texts() {
      try {
        for (const text of ["p", "q", "r"]) yield { text };
      } finally {
        ended++;
      }
    }
    for (let round = 0; round < 3; round++) {
      const call = fleet.client.clientStream(texts());
      await fleet.clock.advance(300);
      assert.equal((await call).text, "p,q,r");
      assert.equal(ended, round + 1);
    }
    const got: string[] = [];
    const reading = (async () => {
      for await (const { text, index } of fleet.client.serverStream({ text: "s", count: 3 })) got.push(text + index);
    })();
    await fleet.clock.advance(300);
    await reading;
    assert.deepEqual(got, ["s0", "s1", "s2"]);
    await fleet.clock.advance(0);
    assert.equal(fleet.hanging(), 0);
  });

  test("runs interceptors once a call", async () => {
    let runs = 0;
    const clock = createManualClock();
    const fakes = createFakeConnector(clock);
    const hedgingPolicy = { maxAttempts: 2, nonFatalStatusCodes: ["UNAVAILABLE"] };
    await using transport = createBalancedTransport({
      resolver: createHandResolver([endpoint("a"), endpoint("b")]),
      connector: fakes.connector,
      clock,
      settleMs: 0,
      serviceConfig: { methodConfig: [{ name: [{}], hedgingPolicy }] },
      interceptors: [
        (next) => (request) => {
          runs++;
          return next(request);
        },
      ],
    });
    const client = createClient(EchoService, transport);
    const call = client.unary({ text: "x" });
    await clock.advance(0);
    for (const { endpoint } of [...fakes.opened]) fakes.of(endpoint.id).becomeReady();
    await call;
    assert.equal(runs, 1);
    assert.equal(fakes.of("a").calls + fakes.of("b").calls, 2);
    fakes.of("a").behaviour = "reset";
    fakes.of("b").behaviour = "reset";
    await assert.rejects(client.unary({ text: "x" }), ConnectError);
    assert.equal(runs, 2);
  });
});
