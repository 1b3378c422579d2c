// Calls that wait for an endpoint: until when, how many, what they say at the end, and those that do not wait.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Code, ConnectError, createContextValues, type Interceptor } from "@connectrpc/connect";
import { callFate } from "../../src/core/call-fate.ts";
import { waitForReady } from "../../src/transport/call/wait-for-ready.ts";
import { callAttempts } from "../../src/transport/retry/call-attempts.ts";
import { endpoint } from "../support/endpoints.ts";
import type { FakeConnector } from "../support/fake-connector.ts";
import { createRecordingLogger } from "../support/recording-logger.ts";
import { rejection } from "../support/rejection.ts";
import { startScripted } from "../support/scripted-calls.ts";

const away = new Error("connect ECONNREFUSED");

/** The server of "a" is gone: its connection breaks, and no other comes about. */
function goAway(fake: FakeConnector): void {
  fake.of("a").lose(away);
  fake.of("a").lose(away);
}

for (const hasCaller of [true, false]) suite(hasCaller);

function suite(hasCaller: boolean) {
  const start: typeof startScripted = (ids, options) => startScripted(ids, options, hasCaller);

  describe(`createBalancedTransport() with${hasCaller ? "" : "out"} callers, where no endpoint is ready`, () => {
    test("keeps calls and streams until one is", async () => {
      const { clock, fake, resolver, transport, client } = await start(["a"]);
      goAway(fake);
      const calls = [client.unary({ text: "1" }), client.unary({ text: "2" }, { timeoutMs: 5000 })];
      const stream = client.serverStream({ text: "3", count: 1 })[Symbol.asyncIterator]().next();
      await clock.advance(500);
      resolver.push([]);
      await clock.advance(500);
      resolver.push([endpoint("b")]);
      await clock.advance(0);
      fake.of("b").becomeReady();
      const answers = await Promise.all(calls);
      assert.deepEqual(
        answers.map(({ text, server }) => text + server),
        ["1b", "2b"],
      );
      assert.equal((await stream).value?.text, "3");
      await transport.close();
      assert.equal(clock.pending, 0);
    });

    for (const [state, text] of [
      ["empty", "no instance to call: the test's endpoints lists none"],
      ["failing", "cannot connect to the one instance of the test's endpoints: connect ECONNREFUSED"],
    ] as const) {
      test(`gives up in state ${state} after waitTimeoutMs, or at the deadline, and says what it waited for`, async () => {
        const { clock, fake, resolver, transport, client } = await start(["a"], { waitTimeoutMs: 3000 });
        if (state === "empty") resolver.push([endpoint("a")]);
        goAway(fake);
        if (state === "empty") resolver.push([]);
        const patient = rejection(client.unary({}));
        const late = rejection(client.unary({}, { timeoutMs: 200 }));
        let told = false;
        patient.then(() => {
          told = true;
        });
        await clock.advance(200);
        const error = await late;
        assert.equal(error.code, Code.DeadlineExceeded);
        const waited =
          state === "empty"
            ? "waiting for an instance: the test's endpoints lists none"
            : "waiting for a connection to the one instance of the test's endpoints: connect ECONNREFUSED";
        assert.equal(error.rawMessage, `the operation timed out ${waited}`);
        assert.deepEqual([callFate(error), callAttempts(error)], ["unprocessed", 0]);
        // Its next attempts to connect fail as well.
        for (let waitedMs = 200; waitedMs < 3000; waitedMs += 100) {
          assert.equal(told, false);
          if (state === "failing" && fake.of("a").state.type === "connecting") fake.of("a").lose(away);
          await clock.advance(100);
        }
        const gaveUp = await patient;
        assert.deepEqual([gaveUp.code, gaveUp.rawMessage], [Code.Unavailable, text]);
        assert.equal(callFate(gaveUp), "unprocessed");
        await transport.close();
        assert.equal(clock.pending, 0);
      });
    }

    test("fails at once where transport, service config or call say so, the call before the others", async () => {
      const values = (waits: boolean) => ({ contextValues: createContextValues().set(waitForReady, waits) });
      const transportSays = await start(["a"], { waitForReady: false });
      goAway(transportSays.fake);
      assert.match((await rejection(transportSays.client.unary({}))).rawMessage, /^cannot connect to the one/);
      const told = transportSays.client.unary({}, values(true));
      await transportSays.clock.advance(1000);
      transportSays.fake.of("a").becomeReady();
      assert.equal((await told).server, "a");
      await transportSays.transport.close();

      const serviceConfig = {
        methodConfig: [{ name: [{ service: "lictor.test.v1.EchoService" }], waitForReady: false }],
      };
      const configSays = await start(["a"], { serviceConfig });
      configSays.resolver.push([]);
      goAway(configSays.fake);
      await configSays.clock.advance(0);
      assert.match((await rejection(configSays.client.unary({}))).rawMessage, /^no instance to call|^cannot connect/);
      await configSays.transport.close();

      const callSays = await start(["a"]);
      goAway(callSays.fake);
      assert.match(
        (await rejection(callSays.client.unary({}, values(false)))).rawMessage,
        /^cannot connect to the one/,
      );
      await callSays.transport.close();
    });

    test("bounds the calls that wait by number and by bytes, and says so at once", async () => {
      const { fake, transport, client } = await start(["a"], { maxPendingCalls: 2, maxPendingBytes: 1000 });
      goAway(fake);
      const waiting = [rejection(client.unary({})), rejection(client.unary({ text: "x".repeat(500) }))];
      const third = await rejection(client.unary({}));
      assert.equal(third.code, Code.ResourceExhausted);
      assert.match(
        third.rawMessage,
        /^2 calls wait already, and 2 is the most: they are waiting for a connection .*ECONNREFUSED$/,
      );
      assert.equal(callFate(third), "unprocessed");
      await transport.close();
      for (const error of await Promise.all(waiting)) assert.equal(error.code, Code.Canceled);

      const bytes = await start(["a"], { maxPendingBytes: 1000 });
      goAway(bytes.fake);
      const one = rejection(bytes.client.unary({ text: "x".repeat(900) }));
      const large = await rejection(bytes.client.unary({ text: "x".repeat(200) }));
      assert.match(
        large.rawMessage,
        /^calls with 90\d bytes wait already, and 1000 bytes is the most: they are waiting /,
      );
      await bytes.transport.close();
      await one;
    });

    test("tells its logger where calls wait for more than a second, and not again soon", async () => {
      const logger = createRecordingLogger();
      const { clock, fake, transport, client, always } = await start(["a"], { logger });
      goAway(fake);
      const told = () =>
        logger.lines
          .filter(({ message }) => message.startsWith("calls are waiting"))
          .map(({ level, message, fields }) => [level, message.slice(0, 39), fields]);
      const calls = [client.unary({}), client.unary({})];
      await clock.advance(999);
      assert.equal(told().length, 0);
      await clock.advance(2);
      assert.deepEqual(told(), [["warn", "calls are waiting for a connection to t", { calls: 2 }]]);
      fake.of("a").becomeReady();
      await Promise.all(calls);
      // One that is refused again and again waits all the same.
      await clock.advance(10_000);
      always.set("a", "never-sent");
      const refused = client.unary({});
      await clock.advance(3000);
      assert.equal(told().length, 2);
      always.clear();
      await clock.advance(1000);
      await refused;
      await transport.close();
    });

    test("a call that every ready endpoint has refused waits with backoff, then tries them all again", async () => {
      const { clock, transport, client, seen, always } = await start(["a", "b"]);
      always.set("a", "never-sent").set("b", "never-sent");
      const call = client.unary({}, { timeoutMs: 5000 });
      await clock.advance(49);
      assert.equal(seen.length, 2);
      assert.deepEqual(new Set(seen.map(({ id }) => id)), new Set(["a", "b"]));
      await clock.advance(1);
      assert.equal(seen.length, 4);
      await clock.advance(80);
      assert.equal(seen.length, 6);
      always.clear();
      await clock.advance(128);
      await call;
      assert.equal(seen.length, 7);
      // Nobody has seen it: no attempt counts.
      assert.deepEqual(new Set(seen.map(({ previous }) => previous)), new Set([null]));
      await transport.close();
      assert.equal(clock.pending, 0);
    });

    test("a call that every ready endpoint has refused tries them again when the endpoints change", async () => {
      const { clock, fake, resolver, transport, client, seen, always } = await start(["a"]);
      always.set("a", "never-sent");
      const call = client.unary({});
      await clock.advance(10);
      resolver.push([endpoint("a"), endpoint("b")]);
      fake.of("b").becomeReady();
      assert.equal((await call).server, "b");
      assert.deepEqual([clock.now() < 50, seen.length <= 3], [true, true]);
      await transport.close();
    });

    test("a call that is refused for ever ends at its deadline, or after waitTimeoutMs with the refusal", async () => {
      const { clock, transport, client, always, seen } = await start(["a"], { waitTimeoutMs: 2000 });
      always.set("a", "never-sent");
      const late = rejection(client.unary({}, { timeoutMs: 300 }));
      const patient = rejection(client.unary({}));
      await clock.advance(300);
      const error = await late;
      assert.equal(error.code, Code.DeadlineExceeded);
      assert.match(error.rawMessage, /waiting for an instance of the test's endpoints that takes the call: not taken$/);
      assert.equal(callFate(error), "unprocessed");
      await clock.advance(1700);
      const refused = await patient;
      assert.deepEqual([refused.code, refused.rawMessage], [Code.Unavailable, "not taken"]);
      assert.equal(callFate(refused), "unprocessed");
      assert.equal(callAttempts(refused), 0);
      assert.ok(seen.length > 6);
      await transport.close();
      assert.equal(clock.pending, 0);
    });

    for (const interceptors of [[], [(next) => (request) => next(request)] satisfies Interceptor[]]) {
      test(`a call that is given up while it waits is unprocessed, with ${interceptors.length} interceptors`, async () => {
        const { clock, fake, transport, client } = await start(["a"], { interceptors });
        goAway(fake);
        const aborted = async (reason?: unknown) => {
          const controller = new AbortController();
          const waiting = rejection(client.unary({}, { signal: controller.signal }));
          await clock.advance(1);
          controller.abort(reason);
          await clock.advance(1);
          return waiting;
        };
        const error = await aborted();
        assert.deepEqual([error.code, callFate(error), callAttempts(error)], [Code.Canceled, "unprocessed", 0]);
        const late = rejection(client.unary({}, { timeoutMs: 10 }));
        await clock.advance(11);
        assert.deepEqual([callFate(await late), callAttempts(await late)], ["unprocessed", 0]);
        // One that may end other calls, too, is nobody's to write on.
        const shared = new ConnectError("shared", Code.Aborted);
        assert.equal(await aborted(shared), shared);
        assert.deepEqual([callFate(shared), callAttempts(shared)], ["maybe-processed", undefined]);
        await transport.close();
      });
    }
  });
}
