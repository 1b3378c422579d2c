// The user's interceptors round a balanced call: what they see, what they may change, and what ends them.

import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { isMessage } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  createClient,
  createContextKey,
  createContextValues,
  type Interceptor,
  type StreamRequest,
  type UnaryRequest,
} from "@connectrpc/connect";
import { callFate } from "../../../src/core/call-fate.ts";
import { createManualClock } from "../../../src/testing/manual-clock.ts";
import { createBalancedTransport } from "../../../src/transport/balanced-transport.ts";
import { EchoService } from "../../gen/lictor/test/v1/echo_pb.ts";
import { createHandResolver, endpoint } from "../../support/endpoints.ts";
import { failStreams, retryOnce } from "../../support/failing-streams.ts";
import { createFakeConnector } from "../../support/fake-connector.ts";
import { rejection } from "../../support/rejection.ts";
import { startScripted } from "../../support/scripted-calls.ts";

type AnyRequest = UnaryRequest | StreamRequest;

const endpoints = ["a", "b"].map((id) => endpoint(id));

/** How the connections of the suite under way take unary calls. */
let hasCaller = false;

/** A transport whose connections are ready, with these interceptors. */
async function setUp(...interceptors: Interceptor[]) {
  const clock = createManualClock();
  const resolver = createHandResolver(endpoints);
  const fake = createFakeConnector(clock, hasCaller);
  let isReady = false;
  // The first call, which is not the test's.
  const unlessFirst: Interceptor[] = interceptors.map((interceptor) => (next) => {
    const intercepted = interceptor(next);
    return (request) => (isReady ? intercepted(request) : next(request));
  });
  const transport = createBalancedTransport({
    resolver,
    connector: fake.connector,
    clock,
    random: () => 0.5,
    interceptors: unlessFirst,
  });
  const client = createClient(EchoService, transport);
  const first = client.unary({});
  for (const { id } of endpoints) fake.of(id).becomeReady();
  await first;
  await client.unary({});
  isReady = true;
  const calls = () => fake.opened.reduce((sum, { calls }) => sum + calls, 0) - 2;
  /** What every connection meets from now on. */
  const behave = (behaviour: "answer" | "refuse" | "reset" | "hang") => {
    for (const connection of fake.opened) connection.behaviour = behaviour;
  };
  const close = async () => {
    await transport.close();
    assert.equal(clock.pending, 0);
  };
  return { clock, resolver, fake, client, calls, behave, close };
}

/** An interceptor that keeps what it sees. */
function spy() {
  const seen: AnyRequest[] = [];
  const interceptor: Interceptor = (next) => (request) => {
    seen.push(request);
    return next(request);
  };
  return { seen, interceptor };
}

const never = () => new Promise<never>(() => {});

for (const kind of ["by their transport", "by their caller"]) suite(kind);

function suite(kind: string) {
  describe(`createBalancedTransport() with interceptors, over connections that take calls ${kind}`, () => {
    before(() => {
      hasCaller = kind === "by their caller";
    });

    test("takes no headers that are none for an answer of theirs", async () => {
      const { seen, interceptor } = spy();
      const { client, calls, close } = await setUp(interceptor);
      const error = await rejection(client.unary({}, { headers: { "not a name": "x" } }));
      assert.equal(error.code, Code.InvalidArgument);
      assert.deepEqual([seen.length, calls()], [0, 0]);
      await close();
    });

    test("runs them once a call, outermost first, whatever number of endpoints is tried", async () => {
      const order: string[] = [];
      const named =
        (name: string): Interceptor =>
        (next) =>
        async (request) => {
          order.push(name);
          const response = await next(request);
          order.push(`${name} again`);
          return response;
        };
      const { fake, client, calls, close } = await setUp(named("outer"), named("inner"));
      fake.of("a").behaviour = "refuse";
      assert.equal((await client.unary({})).server, "b");
      assert.equal(calls(), 2);
      assert.deepEqual(order, ["outer", "inner", "inner again", "outer again"]);
      await close();
    });

    test("says of a call that was asked for twice what became of both times", async () => {
      const again: Interceptor = (next) => async (request) => {
        try {
          return await next(request);
        } catch {
          for (const connection of fake.opened) connection.behaviour = "refuse";
          return next(request);
        }
      };
      const { fake, client, clock, close } = await setUp(again);
      for (const connection of fake.opened) connection.behaviour = "reset";
      const failed = rejection(client.unary({}, { timeoutMs: 500 }));
      await clock.advance(500);
      assert.equal(callFate(await failed), "maybe-processed");
      // Without anybody who may have run it, as ever.
      for (const connection of fake.opened) connection.behaviour = "refuse";
      const refused = rejection(client.unary({}, { timeoutMs: 500 }));
      await clock.advance(500);
      assert.equal(callFate(await refused), "unprocessed");
      await close();
    });

    test("does not send a call after its deadline whose signal is the interceptor's own", async () => {
      const own: Interceptor = (next) => (request) => next({ ...request, signal: new AbortController().signal });
      const { clock, fake, client, calls, close } = await setUp(own);
      for (const { id } of endpoints) {
        // Its connection breaks, and the next one does not come about.
        fake.of(id).lose();
        fake.of(id).lose();
      }
      const late = rejection(client.unary({}, { timeoutMs: 200 }));
      await clock.advance(200);
      assert.equal((await late).code, Code.DeadlineExceeded);
      await clock.advance(1000);
      for (const { id } of endpoints) fake.of(id).becomeReady();
      await clock.advance(1000);
      assert.equal(calls(), 0);
      await close();
    });

    test("lets go what was kept of a client stream that has failed", async () => {
      const { interceptor } = spy();
      const ids = endpoints.map(({ id }) => id);
      const options = { serviceConfig: retryOnce, interceptors: [interceptor] };
      const { clock, fake, client, transport } = await startScripted(ids, options, hasCaller);
      async function* messages() {
        yield { text: "x".repeat(900 * 1024) };
        yield { text: "end" };
      }
      const failing = failStreams(fake.opened, Code.NotFound);
      // Together more than all that streams may keep.
      for (let i = 0; i < 25; i++) await rejection(client.clientStream(messages()));
      failing.attempts = 0;
      failing.code = Code.Unavailable;
      const failed = rejection(client.clientStream(messages()));
      await clock.advance(100);
      await failed;
      assert.equal(failing.attempts, 2);
      await transport.close();
    });

    test("shows them a whole message, the header, the context values and a URL that names no endpoint", async () => {
      const { seen, interceptor } = spy();
      const { client, close } = await setUp(interceptor);
      const key = createContextKey("none");
      const contextValues = createContextValues().set(key, "kept");
      await client.unary({ text: "x" }, { headers: { "X-A": "1" }, contextValues });
      const [request] = seen;
      assert.ok(request !== undefined && !request.stream);
      assert.ok(isMessage(request.message, EchoService.method.unary.input));
      assert.equal(request.method, EchoService.method.unary);
      assert.equal(request.service, EchoService);
      assert.equal(request.requestMethod, "POST");
      assert.equal(request.url, "http://balanced.invalid/lictor.test.v1.EchoService/Unary");
      assert.ok(request.header instanceof Headers);
      assert.equal(request.header.get("x-a"), "1");
      assert.equal(request.contextValues.get(key), "kept");
      assert.ok(request.signal instanceof AbortSignal);
      await close();
    });

    test("sends what they made of header and message, in place or in a copy", async () => {
      const inPlace: Interceptor = (next) => (request) => {
        request.header.set("x-in-place", "1");
        return next(request);
      };
      const inCopy: Interceptor = (next) => (request) => {
        assert.ok(!request.stream);
        const header = new Headers(request.header);
        header.set("x-in-copy", "2");
        const copy = { ...request, header };
        assert.deepEqual(Object.keys(copy).sort(), [
          "contextValues",
          "header",
          "message",
          "method",
          "requestMethod",
          "service",
          "signal",
          "stream",
          "url",
        ]);
        Object.assign(copy.message, { text: "changed" });
        return next(copy);
      };
      const { fake, client, close } = await setUp(inPlace, inCopy);
      const answer = await client.unary({ text: "x" }, { headers: { "x-given": "0" } });
      assert.equal(answer.text, "changed");
      const header = new Headers(fake.of(answer.server).header);
      assert.deepEqual(
        ["x-given", "x-in-place", "x-in-copy"].map((name) => header.get(name)),
        ["0", "1", "2"],
      );
      await close();
    });

    test("takes a request in a proxy, and one whose signal they replaced", async () => {
      const { signal } = new AbortController();
      const wrap: Interceptor = (next) => (request) => next(new Proxy(request, {}));
      const replace: Interceptor = (next) => (request) => next({ ...request, signal });
      const wrapped = await setUp(wrap);
      assert.ok((await wrapped.client.unary({ text: "x" })).server !== "");
      await wrapped.close();
      const replaced = await setUp(replace);
      const { server } = await replaced.client.unary({});
      assert.equal(replaced.fake.of(server).signal, signal);
      await replaced.close();
      const assign: Interceptor = (next) => (request) => next(Object.assign(request, { signal }));
      const assigned = await setUp(assign);
      const answer = await assigned.client.unary({});
      assert.equal(assigned.fake.of(answer.server).signal, signal);
      await assigned.close();
    });

    test("picks anew for each next(), and tells each attempt the time that is left", async () => {
      const twice: Interceptor = (next) => async (request) => {
        try {
          return await next(request);
        } catch {
          await clock.advance(400);
          return await next(request);
        }
      };
      const { clock, fake, client, calls, close } = await setUp(twice);
      fake.of("a").behaviour = "reset";
      const answer = await client.unary({}, { timeoutMs: 1000 });
      assert.equal(answer.server, "b");
      assert.equal(calls(), 2);
      assert.equal(fake.of("a").timeoutMs, 1000);
      assert.equal(fake.of("b").timeoutMs, 600);
      await close();
    });

    test("makes ConnectErrors of what they throw, at once or later", async () => {
      const throwing: Interceptor[] = [
        () => () => {
          throw new Error("at once");
        },
        () => async () => {
          throw new Error("later");
        },
        () => {
          throw new Error("before the call");
        },
      ];
      for (const [i, interceptor] of throwing.entries()) {
        const { client, calls, close } = await setUp(
          i === 2 ? (next) => (request) => interceptor(next)(request) : interceptor,
        );
        const error = await rejection(client.unary({}));
        assert.ok(error instanceof ConnectError);
        assert.equal(error.code, Code.Unknown);
        assert.equal(error.rawMessage, ["at once", "later", "before the call"][i]);
        assert.equal(calls(), 0);
        await close();
      }
    });

    test("aborts the signal that they saw at the deadline, with the caller's, and when the call is over", async () => {
      const signals: AbortSignal[] = [];
      const look: Interceptor = (next) => (request) => {
        signals.push(request.signal);
        assert.equal(request.signal, request.signal);
        assert.equal(request.signal.aborted, false);
        return next(request);
      };
      const { clock, client, behave, close } = await setUp(look);
      await client.unary({});
      assert.equal(signals[0]?.reason.name, "AbortError");
      behave("hang");
      const late = rejection(client.unary({}, { timeoutMs: 50 }));
      await clock.advance(50);
      assert.equal((await late).code, Code.DeadlineExceeded);
      assert.equal(signals[1]?.reason.code, Code.DeadlineExceeded);
      const controller = new AbortController();
      const aborted = rejection(client.unary({}, { signal: controller.signal }));
      await clock.advance(0);
      controller.abort(new Error("enough"));
      const error = await aborted;
      assert.deepEqual([error.code, error.rawMessage], [Code.Canceled, "enough"]);
      assert.equal(signals[2]?.reason.message, "enough");
      behave("reset");
      const failure = await rejection(client.unary({}));
      assert.equal(signals[3]?.reason, failure);
      await close();
    });

    test("ends attempts that they leave behind, though they never saw the signal", async () => {
      const giveUp: Interceptor = (next) => (request) =>
        Promise.race([next(request), clock.advance(10).then(() => Promise.reject(new Error("too slow for me")))]);
      const { clock, fake, client, behave, close } = await setUp(giveUp);
      behave("hang");
      const error = await rejection(client.unary({}));
      assert.equal(error.rawMessage, "too slow for me");
      await clock.advance(0);
      assert.deepEqual(
        fake.opened.map(({ hanging }) => hanging),
        [0, 0],
      );
      await close();
    });

    for (const [where, hang] of Object.entries<Interceptor>({
      "before next()": () => never,
      "after next()": (next) => (request) => next(request).then(never, never),
    })) {
      test(`does not wait for one that hangs ${where} beyond the deadline or the caller's abort`, async () => {
        const { clock, client, behave, close } = await setUp(hang);
        behave("hang");
        const late = rejection(client.unary({}, { timeoutMs: 50 }));
        await clock.advance(49);
        await clock.advance(1);
        const error = await late;
        assert.deepEqual([error.code, error.rawMessage], [Code.DeadlineExceeded, "the operation timed out"]);
        const controller = new AbortController();
        const aborted = rejection(client.unary({}, { signal: controller.signal }));
        controller.abort();
        await clock.advance(0);
        assert.equal((await aborted).code, Code.Canceled);
        await close();
      });
    }

    test("lets one answer in place of a call whose deadline has passed", async () => {
      const fallback: Interceptor = (next) => async (request) => {
        try {
          return await next(request);
        } catch (error) {
          assert.equal(ConnectError.from(error).code, Code.DeadlineExceeded);
          assert.ok(kept !== undefined);
          return kept;
        }
      };
      let kept: Awaited<ReturnType<Parameters<Interceptor>[0]>> | undefined;
      const keep: Interceptor = (next) => async (request) => {
        kept = await next(request);
        return kept;
      };
      const { clock, client, behave, close } = await setUp(fallback, keep);
      await client.unary({ text: "kept" });
      behave("hang");
      const answer = client.unary({}, { timeoutMs: 50 });
      await clock.advance(60);
      assert.equal((await answer).text, "kept");
      await close();
    });

    test("places no call any more when next() comes after the end", async () => {
      const result = Promise.withResolvers<unknown>();
      const hang: Interceptor = (next) => async (request) => {
        await new Promise((resolve) => clock.schedule(100, () => resolve(undefined)));
        const late = next(request);
        late.then(result.resolve, result.reject);
        return await late;
      };
      const { clock, client, calls, close } = await setUp(hang);
      const failures = [rejection(client.unary({}, { timeoutMs: 50 })), rejection(result.promise)];
      await clock.advance(100);
      for (const failure of failures) assert.equal((await failure).code, Code.DeadlineExceeded);
      assert.equal(calls(), 0);
      await close();
    });

    test("says what a call waited for when its deadline passes", async () => {
      const { seen, interceptor } = spy();
      const { clock, resolver, client, close } = await setUp(interceptor);
      resolver.push([endpoint("c")]);
      const stream = async () => {
        for await (const _ of client.serverStream({ count: 1 }, { timeoutMs: 20 })) assert.fail("it answered");
      };
      for (const call of [() => client.unary({}, { timeoutMs: 20 }), stream]) {
        const failure = rejection(call());
        await clock.advance(25);
        const error = await failure;
        assert.equal(error.code, Code.DeadlineExceeded);
        assert.equal(error.rawMessage, "the operation timed out waiting for a connection to the test's endpoints");
      }
      assert.equal(seen.length, 2);
      await close();
    });

    test("fails without a pick when the signal was aborted before the call", async () => {
      const { interceptor, seen } = spy();
      const { client, calls, close } = await setUp(interceptor);
      const error = await rejection(client.unary({}, { signal: AbortSignal.abort() }));
      assert.equal(error.code, Code.Canceled);
      assert.deepEqual([seen.length, calls()], [1, 0]);
      await close();
    });

    describe("on streams", () => {
      test("shows them the messages both ways, and aborts the signal when the stream is over", async () => {
        const texts: string[] = [];
        let signal: AbortSignal | undefined;
        const look: Interceptor = (next) => async (request) => {
          assert.ok(request.stream);
          signal = request.signal;
          const response = await next(request);
          assert.ok(response.stream);
          const source = response.message;
          async function* tapped() {
            for await (const message of source) {
              texts.push((message as unknown as { text: string }).text);
              yield message;
            }
          }
          return { ...response, message: tapped() };
        };
        const { client, close } = await setUp(look);
        for await (const _ of client.serverStream({ text: "x", count: 3 })) assert.equal(signal?.aborted, false);
        assert.deepEqual(texts, ["x", "x", "x"]);
        assert.equal(signal?.aborted, true);
        await close();
      });

      test("keeps the deadline to the end of the stream, and cuts one that hangs", async () => {
        const { client, clock, behave, close } = await setUp((next) => async (request) => {
          if (request.header.has("x-hang")) await never();
          return next(request);
        });
        const count = async (headers: Record<string, string>) => {
          let messages = 0;
          for await (const _ of client.serverStream({ text: "x", count: 2 }, { timeoutMs: 50, headers })) messages++;
          return messages;
        };
        assert.equal(await count({}), 2);
        const hung = rejection(count({ "x-hang": "1" }));
        await clock.advance(50);
        assert.equal((await hung).code, Code.DeadlineExceeded);
        behave("hang");
        const late = rejection(count({}));
        await clock.advance(50);
        assert.equal((await late).code, Code.DeadlineExceeded);
        await close();
      });
    });
  });
}
