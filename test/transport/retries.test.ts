// Calls that are made again: gRFC A6's rules, the retry budget, and a model of it all that random sequences are held against.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { callFate, markAnswered, markUnprocessed } from "../../src/core/call-fate.ts";
import { callAttempts } from "../../src/transport/retry/call-attempts.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { createRecordingLogger } from "../support/recording-logger.ts";
import { rejection } from "../support/rejection.ts";
import { type Meets, startScripted } from "../support/scripted-calls.ts";
import { seededRandom } from "../support/seeded-random.ts";

/** Retries of every method: 100 ms, x 2, up to 300 ms; jitter is none where the random numbers are 0.5. */
const retrying = (retryPolicy: object = {}, more: object = {}) => ({
  serviceConfig: {
    methodConfig: [
      {
        name: [{}],
        retryPolicy: {
          maxAttempts: 4,
          initialBackoff: "0.1s",
          maxBackoff: "0.3s",
          backoffMultiplier: 2,
          retryableStatusCodes: ["UNAVAILABLE"],
          ...retryPolicy,
        },
      },
    ],
    ...more,
  },
});

async function* oneText() {
  yield { text: "x" };
}

for (const hasCaller of [true, false]) suite(hasCaller);

function suite(hasCaller: boolean) {
  const start: typeof startScripted = (ids, options) => startScripted(ids, options, hasCaller);

  describe(`createBalancedTransport() with${hasCaller ? "" : "out"} callers, where calls fail`, () => {
    test("makes a call again that may run twice, elsewhere, and tells the server how often it was made", async () => {
      for (const failure of ["unavailable", "cut"] as const) {
        const { clock, transport, client, seen, meet } = await start(["a", "b", "c"]);
        meet(failure, failure);
        const call = client.unaryIdempotent({ text: "x" });
        await clock.advance(60);
        assert.equal((await call).text, "x");
        assert.equal(new Set(seen.map(({ id }) => id)).size, 3);
        assert.deepEqual(
          seen.map(({ previous, atMs }) => [previous, atMs - (seen[0]?.atMs ?? 0)]),
          [
            [null, 0],
            ["1", 20],
            ["2", 60],
          ],
        );
        await transport.close();
        assert.equal(clock.pending, 0);
      }
    });

    test("does not make a call again that may not run twice, nor one that failed for good, nor with retry: false", async () => {
      const { transport, client, seen, meet } = await start(["a", "b"]);
      meet("unavailable");
      const answered = await rejection(client.unary({}));
      assert.deepEqual([callFate(answered), callAttempts(answered)], ["answered", 1]);
      meet("cut");
      assert.equal(callFate(await rejection(client.unary({}))), "maybe-processed");
      meet("not-found");
      assert.equal((await rejection(client.unaryIdempotent({}))).code, Code.NotFound);
      assert.equal(seen.length, 3);
      await transport.close();
      const without = await start(["a", "b"], { retry: false });
      without.meet("unavailable");
      assert.equal((await rejection(without.client.unaryIdempotent({}))).code, Code.Unavailable);
      assert.equal(without.seen.length, 1);
      await without.transport.close();
    });

    test("backs off as the policy says, and gives the last error after maxAttempts", async () => {
      const { clock, transport, client, seen, always } = await start(["a", "b"], retrying());
      always.set("a", "unavailable").set("b", "unavailable");
      const failed = rejection(client.unary({}));
      await clock.advance(600);
      const error = await failed;
      assert.deepEqual([error.code, error.rawMessage], [Code.Unavailable, "try later"]);
      assert.deepEqual([callFate(error), callAttempts(error)], ["answered", 4]);
      const startMs = seen[0]?.atMs ?? 0;
      assert.deepEqual(
        seen.map(({ atMs }) => atMs - startMs),
        [0, 100, 300, 600],
      );
      // Each endpoint in turn, those that were tried once no other is left.
      assert.deepEqual(seen.map(({ id }) => id).join(""), seen[0]?.id === "a" ? "abab" : "baba");
      await transport.close();
      assert.equal(clock.pending, 0);
    });

    test("varies backoffs by a fifth", async () => {
      for (const [random, delayMs] of [
        [0, 80],
        [0.999_999, 120],
      ] as const) {
        const { clock, transport, client, seen, meet } = await start(["a"], { ...retrying(), random: () => random });
        meet("unavailable");
        const call = client.unary({});
        await clock.advance(delayMs - 1);
        assert.equal(seen.length, 1);
        await clock.advance(2);
        await call;
        assert.equal(seen.length, 2);
        await transport.close();
      }
    });

    test("heeds grpc-retry-pushback-ms: a delay, after which backoffs begin anew, or no retry", async () => {
      const { clock, transport, client, seen, meet } = await start(["a"], retrying());
      meet("unavailable", { pushback: "1000" }, "unavailable");
      const call = client.unary({});
      await clock.advance(1200);
      await call;
      const startMs = seen[0]?.atMs ?? 0;
      assert.deepEqual(
        seen.map(({ atMs }) => atMs - startMs),
        [0, 100, 1100, 1200],
      );
      for (const pushback of ["-1", "", "soon", "01", "99999999999", "1.5"]) {
        seen.length = 0;
        meet({ pushback });
        assert.equal((await rejection(client.unary({}))).rawMessage, "pushed back");
        assert.equal(seen.length, 1, pushback);
      }
      await transport.close();
      assert.equal(clock.pending, 0);
    });

    test("gives the last error at once where the next attempt would come after the deadline", async () => {
      const { clock, transport, client, meet } = await start(["a"], retrying());
      meet("unavailable", "unavailable", "unavailable");
      const failed = rejection(client.unary({}, { timeoutMs: 250 }));
      await clock.advance(100);
      const error = await failed;
      assert.deepEqual([error.code, error.rawMessage, callAttempts(error)], [Code.Unavailable, "try later", 2]);
      await transport.close();
      assert.equal(clock.pending, 0);
    });

    test("gives up an attempt after its own time, and goes on with the next", async () => {
      const policy = retrying({ perAttemptRecvTimeout: "0.5s" });
      const { clock, transport, client, seen, meet } = await start(["a", "b"], policy);
      meet("hang");
      const call = client.unary({ text: "x" }, { timeoutMs: 5000 });
      await clock.advance(600);
      assert.equal((await call).text, "x");
      assert.deepEqual(
        seen.map(({ timeoutMs }) => timeoutMs),
        [500, 500],
      );
      meet("hang", "hang", "hang", "hang");
      const failed = rejection(client.unary({}));
      await clock.advance(5000);
      const error = await failed;
      assert.deepEqual([error.code, callAttempts(error)], [Code.DeadlineExceeded, 4]);
      assert.equal(callFate(error), "maybe-processed");
      meet("hang");
      const stream = client.serverStream({ text: "s", count: 2 })[Symbol.asyncIterator]();
      const first = stream.next();
      await clock.advance(600);
      assert.equal((await first).value?.text, "s");
      assert.equal((await stream.next()).value?.text, "s");
      await stream.next();
      await transport.close();
      assert.equal(clock.pending, 0);
    });

    test("an abort ends a call between two attempts, and so does close()", async () => {
      const { clock, transport, client, seen, always } = await start(["a"], retrying());
      always.set("a", "unavailable");
      const controller = new AbortController();
      const reason = new Error("enough");
      const aborted = rejection(client.unary({}, { signal: controller.signal }));
      await clock.advance(50);
      controller.abort(reason);
      const error = await aborted;
      assert.deepEqual([error.code, error.rawMessage], [Code.Canceled, "enough"]);
      assert.equal(callFate(error), "maybe-processed");
      const closed = rejection(client.unary({}));
      await clock.advance(50);
      await transport.close();
      assert.equal((await closed).code, Code.Canceled);
      assert.equal(seen.length, 2);
      assert.equal(clock.pending, 0);
    });

    test("the fate is that of the whole call", async () => {
      const { clock, transport, client, fake, meet } = await start(["a"], { waitTimeoutMs: 1000 });
      meet("cut", "never-sent", "never-sent", "never-sent");
      const failed = rejection(client.unaryIdempotent({}, { timeoutMs: 100 }));
      await clock.advance(100);
      const error = await failed;
      assert.deepEqual([error.code, callFate(error)], [Code.DeadlineExceeded, "maybe-processed"]);
      fake.of("a").lose(new Error("gone"));
      meet();
      const later = rejection(client.unaryIdempotent({}, { timeoutMs: 100 }));
      await clock.advance(100);
      assert.equal(callFate(await later), "unprocessed");
      await transport.close();
    });

    test("a call that is given up for another's failure has its own fate, not that one's", async () => {
      const failures = [
        markUnprocessed(new ConnectError("no endpoint", Code.Unavailable)),
        markAnswered(new ConnectError("nobody", Code.NotFound)),
      ];
      const passOn: Interceptor = (next) => (request) => next(request);
      for (const interceptors of [[], [passOn]]) {
        for (const failure of failures) {
          for (const reason of [failure, new Error("the other call failed", { cause: failure })]) {
            for (const kind of ["unary", "stream"] as const) {
              const { clock, transport, client, meet } = await start(["a", "b"], { interceptors });
              meet("hang");
              const controller = new AbortController();
              const { signal } = controller;
              const before = callFate(failure);
              const call = kind === "unary" ? client.unary({}, { signal }) : client.clientStream(oneText(), { signal });
              const failed = rejection(call);
              await clock.advance(1);
              controller.abort(reason);
              const error = await failed;
              assert.equal(error.code, reason === failure ? failure.code : Code.Canceled);
              assert.equal(callFate(error), "maybe-processed");
              if (kind === "unary") assert.equal(callAttempts(error), 1);
              // That of the other call stands.
              assert.equal(callFate(failure), before);
              await transport.close();
              assert.equal(clock.pending, 0);
            }
          }
        }
      }
    });

    test("an attempt whose time is over at its server first is made again, too", async () => {
      const { clock, transport, client, seen, meet } = await start(
        ["a", "b"],
        retrying({ perAttemptRecvTimeout: "0.2s" }),
      );
      meet("late-there");
      const call = client.unary({ text: "x" });
      await clock.advance(300);
      assert.equal((await call).text, "x");
      assert.deepEqual(
        seen.map(({ previous, timeoutMs }) => [previous, timeoutMs]),
        [
          [null, 200],
          ["1", 200],
        ],
      );
      await transport.close();
      assert.equal(clock.pending, 0);
    });

    test("an attempt whose time was over before its connection took it goes elsewhere, as it was never sent", async () => {
      const { clock, transport, client, seen, meet } = await start(
        ["a", "b"],
        retrying({ perAttemptRecvTimeout: "0.2s" }),
      );
      meet("late-for-its-turn");
      const call = client.unary({ text: "x" });
      await clock.advance(200);
      assert.equal((await call).text, "x");
      assert.deepEqual(
        seen.map(({ previous, atMs }) => [previous, atMs - (seen[0]?.atMs ?? 0)]),
        [
          [null, 0],
          [null, 200],
        ],
      );
      await transport.close();
      assert.equal(clock.pending, 0);
    });

    test("a call without a deadline has waited only while it waited, not while it was under way", async () => {
      const { clock, transport, client, fake, meet } = await start(["a"], {
        ...retrying({ perAttemptRecvTimeout: "20s" }),
        waitTimeoutMs: 3000,
        backoff: { initialMs: 1, maxMs: 1 },
      });
      fake.of("a").lose(new Error("away"));
      meet("hang");
      const call = client.unary({ text: "x" });
      await clock.advance(2000);
      fake.of("a").becomeReady();
      await clock.advance(10_000);
      fake.of("a").lose(new Error("away"));
      await clock.advance(10_500);
      fake.of("a").becomeReady();
      await clock.advance(200);
      assert.equal((await call).text, "x");
      await transport.close();
      assert.equal(clock.pending, 0);
    });

    test("sends no more calls again once half of the budget is used, and does again after successes", async () => {
      const throttled = retrying({}, { retryThrottling: { maxTokens: 4, tokenRatio: 0.5 } });
      const { clock, transport, client, seen, meet } = await start(["a"], throttled);
      meet("unavailable", "unavailable", "unavailable", "unavailable");
      const failed = rejection(client.unary({}));
      await clock.advance(1000);
      // 4 tokens, 3 after the first failure, 2 after the second: half.
      assert.equal(callAttempts(await failed), 2);
      seen.length = 0;
      meet("unavailable");
      assert.equal(callAttempts(await rejection(client.unary({}))), 1);
      meet();
      // 1 token; six successes make 4.
      for (let count = 0; count < 6; count++) await client.unary({});
      seen.length = 0;
      meet("unavailable");
      const call = client.unary({});
      await clock.advance(100);
      await call;
      assert.equal(seen.length, 2);
      await transport.close();
    });

    test("a refusal that reached a server takes a token, and fails where there are too few", async () => {
      const few = { serviceConfig: { retryThrottling: { maxTokens: 4, tokenRatio: 0.1 } } };
      const { transport, client, seen, meet } = await start(["a", "b", "c"], few);
      meet("refused", "never-sent", "refused");
      const error = await rejection(client.unary({}));
      assert.deepEqual([error.rawMessage, callFate(error), callAttempts(error)], ["refused", "unprocessed", 2]);
      assert.equal(seen.length, 3);
      await transport.close();
    });

    test("one connection's end takes one token, however many calls it cuts", async () => {
      const { clock, transport, client, always, meet } = await start(["a", "b"]);
      const count = 300;
      meet(...Array.from({ length: count * 2 }, (_, index): Meets => (index < count ? "cut" : "ok")));
      const calls = Array.from({ length: count }, () => client.unaryIdempotent({}));
      await clock.advance(20);
      const results = await Promise.allSettled(calls);
      assert.equal(results.filter(({ status }) => status === "rejected").length, 0);
      always.clear();
      await transport.close();
    });

    test("replays a stream's messages while it is not answered, and no longer", async () => {
      const { clock, transport, client, seen, meet } = await start(["a", "b"], retrying());
      const told: string[] = [];
      async function* texts() {
        for (const text of ["1", "2", "3"]) {
          told.push(text);
          yield { text };
        }
      }
      meet("unavailable");
      const answer = client.clientStream(texts());
      await clock.advance(100);
      assert.equal((await answer).text, "1,2,3");
      assert.deepEqual(told, ["1", "2", "3"]);
      assert.deepEqual(
        seen.map(({ previous }) => previous),
        [null, "1"],
      );
      seen.length = 0;
      const failing = { ...EchoService.method.serverStream };
      meet("refused");
      const response = await transport.stream(failing, undefined, undefined, undefined, one({ text: "x", count: 2 }));
      const got: string[] = [];
      for await (const { text } of response.message) got.push(text);
      assert.deepEqual([got, seen.length], [["x", "x"], 2]);
      await transport.close();
      assert.equal(clock.pending, 0);
    });

    test("says at debug what it sends again", async () => {
      const logger = createRecordingLogger();
      const { clock, transport, client, meet } = await start(["a", "b"], { logger });
      meet("unavailable", "refused");
      const call = client.unaryIdempotent({});
      await clock.advance(20);
      await call;
      const lines = logger.lines.filter(({ message }) => message === "a call is sent again");
      assert.deepEqual(
        lines.map(({ level, fields }) => [level, fields.method, fields.attempts, fields.afterMs]),
        [
          ["debug", "lictor.test.v1.EchoService/UnaryIdempotent", 1, 20],
          ["debug", "lictor.test.v1.EchoService/UnaryIdempotent", 2, undefined],
        ],
      );
      await transport.close();
    });

    test("does as a model of it does, whatever its attempts meet", async () => {
      for (let seed = 1; seed <= 40; seed++) await compareWithModel(seed);
    });
  });

  /** Calls of random methods meet random failures; a model of A6 says how often each is sent, how it ends and how many tokens are left. */
  async function compareWithModel(seed: number): Promise<void> {
    const { random } = seededRandom(seed);
    const ids = ["a", "b", "c"].slice(0, 1 + Math.floor(random() * 3));
    const maxTokens = 2 + Math.floor(random() * 8);
    const settings = retrying({}, { retryThrottling: { maxTokens, tokenRatio: 0.5 } });
    const { clock, transport, client, seen, meet } = await start(ids, settings);
    let tokens = maxTokens;
    const kinds: Meets[] = ["ok", "unavailable", "never-sent", "refused", "not-found", { pushback: "-1" }];
    for (let round = 0; round < 12; round++) {
      const script = Array.from({ length: 12 }, (): Meets => kinds[Math.floor(random() * kinds.length)] ?? "ok");
      script.push("ok");
      // The model.
      let failed = 0;
      let sent = 0;
      let end: "ok" | "unprocessed" | "answered" = "ok";
      const spend = () => {
        tokens = Math.max(0, tokens - 1);
        return tokens > maxTokens / 2;
      };
      for (const meets of script) {
        sent++;
        if (meets === "ok") {
          tokens = Math.min(maxTokens, tokens + 0.5);
          break;
        }
        if (meets === "never-sent") continue;
        if (meets === "refused") {
          if (spend()) continue;
          end = failed > 0 ? "answered" : "unprocessed";
          break;
        }
        failed++;
        if (meets === "not-found") end = "answered";
        else if (!spend() || typeof meets === "object" || failed === 4) end = "answered";
        if (end !== "ok") break;
      }
      seen.length = 0;
      meet(...script);
      const settled = client.unary({}).then(
        () => undefined,
        (error: unknown) => ConnectError.from(error),
      );
      await clock.advance(30_000);
      const error = await settled;
      const told = `seed ${seed}, round ${round}: ${JSON.stringify(script.slice(0, sent))}`;
      assert.equal(seen.length, sent, told);
      if (end === "ok") {
        assert.equal(error, undefined, told);
      } else {
        const neverSent = script.slice(0, sent).filter((meets) => meets === "never-sent").length;
        assert.equal(callAttempts(error), sent - neverSent, told);
        const fate = callFate(error);
        const isRefusal = script[sent - 1] === "refused";
        assert.equal(fate, isRefusal && end === "answered" ? "maybe-processed" : end, told);
      }
      const attempts = seen.map(({ previous }) => Number(previous ?? 0));
      assert.deepEqual(
        attempts,
        attempts.toSorted((a, b) => a - b),
        told,
      );
    }
    await transport.close();
    assert.equal(clock.pending, 0);
  }
}

async function* one<T>(message: T): AsyncGenerator<T> {
  yield message;
}

describe("createBalancedTransport() with a service config's message sizes", () => {
  const sized = {
    serviceConfig: { methodConfig: [{ name: [{}], maxRequestMessageBytes: 20, maxResponseMessageBytes: 15 }] },
  };

  test("sends no request that is too large, and takes no answer that is", async () => {
    const { transport, client, seen } = await startScripted(["a"], sized);
    const large = await rejection(client.unary({ text: "x".repeat(30) }));
    assert.equal(large.code, Code.ResourceExhausted);
    assert.match(large.rawMessage, /^message size 32 is larger than the service config's maxRequestMessageBytes 20$/);
    assert.deepEqual([callFate(large), seen.length], ["unprocessed", 0]);
    assert.equal((await client.unary({ text: "x" })).text, "x");
    const answer = await rejection(client.unary({ text: "x".repeat(15) }));
    assert.match(answer.rawMessage, /^message size 20 is larger than the service config's maxResponseMessageBytes 15$/);
    const stream = async (text: string) => {
      for await (const _ of client.serverStream({ text, count: 1 }));
    };
    assert.match((await rejection(stream("x".repeat(30)))).rawMessage, /maxRequestMessageBytes/);
    assert.match((await rejection(stream("x".repeat(15)))).rawMessage, /maxResponseMessageBytes/);
    await stream("x");
    await transport.close();
  });
});
