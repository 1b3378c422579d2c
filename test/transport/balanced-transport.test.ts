import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import type { NewPicker, PickResult } from "../../src/balancer/picker.ts";
import { roundRobin } from "../../src/balancer/round-robin.ts";
import { callFate, markUnprocessed } from "../../src/core/call-fate.ts";
import { sleep } from "../../src/core/clock.ts";
import { createManualClock } from "../../src/testing/manual-clock.ts";
import { type BalancedTransportOptions, createBalancedTransport } from "../../src/transport/balanced-transport.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { createHandResolver, endpoint } from "../support/endpoints.ts";
import { createFakeConnector } from "../support/fake-connector.ts";
import { rejection } from "../support/rejection.ts";

const [a, b, c] = [endpoint("a"), endpoint("b"), endpoint("c")];

/** How the connections of the suite under way take unary calls. */
let hasCaller = false;

function setUp(options: Partial<BalancedTransportOptions> & { initial?: readonly (typeof a)[] } = {}) {
  const clock = createManualClock();
  const resolver = createHandResolver(options.initial);
  const fake = createFakeConnector(clock, hasCaller);
  const transport = createBalancedTransport({
    resolver,
    connector: fake.connector,
    clock,
    random: () => 0.5,
    ...options,
  });
  const client = createClient(EchoService, transport);
  const call = async () => (await client.unary({ text: "x" })).server;
  return { clock, resolver, fake, transport, client, call };
}

/** Lets promises settle. */
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

for (const kind of ["by their transport", "by their caller"]) suite(kind);

function suite(kind: string) {
  describe(`createBalancedTransport() over connections that take calls ${kind}`, () => {
    before(() => {
      hasCaller = kind === "by their caller";
    });

    test("opens nothing before the first call", async () => {
      const { resolver, fake, transport } = setUp({ initial: [a] });
      await settle();
      assert.equal(resolver.listeners, 0);
      assert.equal(fake.opened.length, 0);
      await transport.close();
    });

    test("sends calls round the endpoints, from a whole first round", async () => {
      const { fake, transport, call } = setUp({ initial: [a, b, c] });
      const first = call();
      fake.of("b").becomeReady();
      fake.of("c").becomeReady();
      await settle();
      fake.of("a").becomeReady();
      const servers = [await first, await call(), await call(), await call()];
      assert.deepEqual(new Set(servers.slice(0, 3)), new Set(["a", "b", "c"]));
      assert.equal(servers[3], servers[0]);
      await transport.close();
    });

    test("does not wait for the slow longer than settleMs once one is ready", async () => {
      const { clock, fake, transport, call } = setUp({ initial: [a, b] });
      const first = call();
      fake.of("b").becomeReady();
      await clock.advance(99);
      assert.equal(fake.of("b").calls, 0);
      await clock.advance(1);
      assert.equal(await first, "b");
      fake.of("a").becomeReady();
      assert.deepEqual(new Set([await call(), await call()]), new Set(["a", "b"]));
      await transport.close();
    });

    test("waits for the first answer, and gives up after waitTimeoutMs with what was asked and why", async () => {
      const { clock, resolver, transport, call } = setUp();
      const pending = rejection(call());
      await settle();
      resolver.fail(new Error("connection refused"));
      await clock.advance(10_000);
      const error = await pending;
      assert.equal(error.code, Code.Unavailable);
      assert.match(error.rawMessage, /the test's endpoints.*connection refused/);
      await transport.close();
    });

    test("waits for the first answer no longer than the call's deadline, and says what it waited for", async () => {
      const { clock, transport, client } = setUp();
      const pending = rejection(client.unary({}, { timeoutMs: 20 }));
      await clock.advance(20);
      const error = await pending;
      assert.equal(error.code, Code.DeadlineExceeded);
      assert.equal(error.rawMessage, "the operation timed out waiting for the first answer about the test's endpoints");
      await transport.close();
    });

    test("says nothing of waiting when the deadline passes on the wire", async () => {
      const { clock, fake, transport, client, call } = setUp({ initial: [a] });
      const first = call();
      fake.of("a").becomeReady();
      await first;
      fake.of("a").behaviour = "hang";
      const hung = rejection(client.unary({}, { timeoutMs: 30 }));
      await clock.advance(2000);
      fake.of("a").lose();
      const error = await hung;
      assert.equal(error.code, Code.DeadlineExceeded);
      assert.equal(error.rawMessage, "the operation timed out");
      await transport.close();
    });

    for (const timeoutMs of [2 ** 31 - 1, 2 ** 31, 1e12, Number.POSITIVE_INFINITY]) {
      test(`a timeout of ${timeoutMs} ms is the longest that timers can wait for`, async () => {
        const { clock, fake, transport, client } = setUp({ initial: [a] });
        const unary = client.unary({ text: "unary" }, { timeoutMs });
        const streamed = (async () => {
          const texts: string[] = [];
          for await (const { text } of client.serverStream({ text: "stream", count: 2 }, { timeoutMs }))
            texts.push(text);
          return texts;
        })();
        // An overflown timer fires after 1 ms.
        await clock.advance(1000);
        fake.of("a").becomeReady();
        assert.equal((await unary).text, "unary");
        assert.equal(fake.of("a").timeoutMs, 2_147_482_647);
        assert.deepEqual(await streamed, ["stream", "stream"]);
        assert.equal(fake.of("a").timeoutMs, 2_147_482_647);
        await transport.close();
      });
    }

    for (const timeoutMs of [Number.NaN, "5000", 5000n]) {
      test(`a timeout of ${typeof timeoutMs} ${timeoutMs} is an invalid argument, and nothing is opened`, async () => {
        const { resolver, transport, client } = setUp({ initial: [a] });
        const options = { timeoutMs: timeoutMs as number };
        const stream = async () => {
          for await (const _ of client.serverStream({ count: 1 }, options)) assert.fail("it answered");
        };
        for (const call of [client.unary({}, options), stream()]) {
          const error = await rejection(call);
          assert.equal(error.code, Code.InvalidArgument);
          assert.match(error.rawMessage, /^Cannot call \w+ as "timeoutMs" must be a number of milliseconds: received /);
        }
        // A transport's methods reject: they never throw.
        const { unary } = EchoService.method;
        const rejected = transport.unary(unary, undefined, options.timeoutMs, undefined, {});
        assert.equal((await rejection(rejected)).code, Code.InvalidArgument);
        assert.equal(resolver.listeners, 0);
        await transport.close();
      });
    }

    test("tells the server a deadline in whole milliseconds", async () => {
      const { fake, transport, client } = setUp({ initial: [a] });
      const first = client.unary({}, { timeoutMs: 60_000.5 });
      fake.of("a").becomeReady();
      await first;
      assert.equal(fake.of("a").timeoutMs, 60_001);
      await transport.close();
    });

    test("a call that was aborted while it waited is canceled", async () => {
      const { transport, client } = setUp();
      const controller = new AbortController();
      const pending = rejection(client.unary({}, { signal: controller.signal }));
      controller.abort();
      assert.equal((await pending).code, Code.Canceled);
      await transport.close();
    });

    test("fails as unavailable at once when no instance is known and calls do not wait", async () => {
      const { transport, call } = setUp({ initial: [], waitForReady: false });
      const error = await rejection(call());
      assert.equal(error.code, Code.Unavailable);
      assert.match(error.rawMessage, /the test's endpoints/);
      await transport.close();
    });

    test("fails as unavailable, unprocessed, with the reason when no endpoint can be connected to, and recovers", async () => {
      const { clock, fake, transport, call } = setUp({ initial: [a, b], waitForReady: false });
      const pending = rejection(call());
      fake.of("a").lose(new Error("connect ECONNREFUSED"));
      fake.of("b").lose(new Error("connect ECONNREFUSED"));
      const error = await pending;
      assert.equal(error.code, Code.Unavailable);
      assert.match(error.rawMessage, /2 instances.*ECONNREFUSED/);
      assert.equal(callFate(error), "unprocessed");
      await clock.advance(1000);
      fake.of("a").becomeReady();
      assert.equal(await call(), "a");
      await transport.close();
    });

    test("sends a refused call to another endpoint, and to each ready one at most once", async () => {
      const { fake, transport, call } = setUp({ initial: [a, b, c], waitForReady: false });
      const first = call();
      for (const id of ["a", "b", "c"]) fake.of(id).becomeReady();
      await first;
      fake.of("b").behaviour = "refuse";
      fake.of("c").behaviour = "refuse";
      assert.equal(await call(), "a");
      fake.of("a").behaviour = "refuse";
      const before = fake.opened.reduce((sum, connection) => sum + connection.calls, 0);
      const error = await rejection(call());
      assert.equal(
        fake.opened.reduce((sum, connection) => sum + connection.calls, 0),
        before + 3,
      );
      assert.equal(error.code, Code.Unavailable);
      assert.match(error.rawMessage, /refused/);
      await transport.close();
    });

    test("tries an endpoint once where the picker does not heed what it must not pick", async () => {
      const outcomes: unknown[] = [];
      let picks = 0;
      const balancer: NewPicker = ([only]) => ({
        pick() {
          if (++picks > 10) throw new Error("picked for ever");
          return only && { endpoint: only, done: ({ error }) => outcomes.push(error) };
        },
      });
      const { fake, transport, call } = setUp({ initial: [a], balancer, waitForReady: false });
      const pending = rejection(call());
      fake.of("a").behaviour = "refuse";
      fake.of("a").becomeReady();
      const error = await pending;
      assert.equal(error.rawMessage, "a refused");
      assert.equal(fake.of("a").calls, 1);
      // Both picks are told of their end.
      assert.equal(outcomes.length, 2);
      await transport.close();
    });

    test("does not send a call again that may have been processed", async () => {
      const { fake, transport, call } = setUp({ initial: [a, b] });
      const first = call();
      fake.of("a").becomeReady();
      fake.of("b").becomeReady();
      assert.equal(await first, "a");
      fake.of("b").behaviour = "reset";
      assert.match((await rejection(call())).rawMessage, /b reset/);
      assert.equal(await call(), "a");
      await transport.close();
    });

    test("sends a stream elsewhere when it was refused before a message was read", async () => {
      const { fake, transport, client, call } = setUp({ initial: [a, b] });
      const first = call();
      fake.of("a").becomeReady();
      fake.of("b").becomeReady();
      await first;
      fake.of("b").behaviour = "refuse";
      async function* texts() {
        yield { text: "1" };
        yield { text: "2" };
      }
      const answer = await client.clientStream(texts());
      assert.deepEqual([answer.server, answer.text], ["a", "1,2"]);
      await transport.close();
    });

    test("reports every call to its pick exactly once, with its error", async () => {
      const outcomes: string[] = [];
      const balancer: NewPicker = (ready) => ({
        pick(exclude): PickResult | undefined {
          const chosen = ready.find((candidate) => !exclude?.has(candidate.id));
          return (
            chosen && {
              endpoint: chosen,
              done: (outcome) => outcomes.push(`${chosen.id}:${outcome.error === undefined ? "ok" : "error"}`),
            }
          );
        },
      });
      const { fake, transport, client, call } = setUp({ initial: [a, b], balancer });
      const first = call();
      fake.of("a").becomeReady();
      fake.of("b").becomeReady();
      await first;
      fake.of("a").behaviour = "refuse";
      await call();
      for await (const _ of client.serverStream({ text: "x", count: 3 })) assert.equal(outcomes.length, 4);
      assert.deepEqual(outcomes, ["a:ok", "a:error", "b:ok", "a:error", "b:ok"]);
      fake.of("a").behaviour = "hang";
      const controller = new AbortController();
      const hung = rejection(client.unary({}, { signal: controller.signal }));
      await settle();
      controller.abort();
      assert.equal((await hung).code, Code.Canceled);
      assert.deepEqual(outcomes.slice(5), ["a:error"]);
      await transport.close();
    });

    test("hands what the caller gave to the connection, untouched", async () => {
      const { fake, transport, call } = setUp({ initial: [a] });
      const first = call();
      fake.of("a").becomeReady();
      await first;
      const { signal } = new AbortController();
      const [headers, input] = [{ "X-A": "1" }, { text: "x" }];
      const response = await transport.unary(EchoService.method.unary, signal, undefined, headers, input);
      assert.equal(response.message.server, "a");
      assert.deepEqual(
        [fake.of("a").signal === signal, fake.of("a").header === headers, fake.of("a").input === input],
        [true, true, true],
      );
      assert.equal(fake.of("a").timeoutMs, undefined);
      await transport.close();
    });

    test("picks nothing for a call whose signal was aborted before", async () => {
      let picks = 0;
      const balancer: NewPicker = ([only]) => ({
        pick() {
          picks++;
          return only && { endpoint: only, done() {} };
        },
      });
      const { fake, transport, client, call } = setUp({ initial: [a], balancer });
      const first = call();
      fake.of("a").becomeReady();
      await first;
      const signal = AbortSignal.abort(new Error("enough"));
      const stream = async () => {
        for await (const _ of client.serverStream({ count: 1 }, { signal })) assert.fail("it answered");
      };
      for (const failed of [() => client.unary({}, { signal }), stream]) {
        const error = await rejection(failed());
        assert.deepEqual([error.code, error.rawMessage], [Code.Canceled, "enough"]);
      }
      assert.equal(picks, 1);
      await transport.close();
    });

    test("tells a refused call's next endpoint the time that is left, and tries none when there is none", async () => {
      const { clock, fake, transport, client, call } = setUp({ initial: [a, b] });
      const first = call();
      fake.of("a").becomeReady();
      fake.of("b").becomeReady();
      assert.equal(await first, "a");
      const refuseLate = (connection: typeof b, afterMs: number) => {
        const { transport } = fake.of(connection.id);
        transport.unary = async () => {
          await sleep(afterMs, clock);
          throw markUnprocessed(new ConnectError("refused late", Code.Unavailable));
        };
      };
      refuseLate(b, 400);
      const answer = client.unary({}, { timeoutMs: 1000 });
      await clock.advance(400);
      assert.equal((await answer).server, "a");
      assert.equal(fake.of("a").timeoutMs, 600);
      refuseLate(b, 1001);
      const late = rejection(client.unary({}, { timeoutMs: 1000 }));
      await clock.advance(1001);
      assert.equal((await late).code, Code.DeadlineExceeded);
      assert.equal(fake.of("a").calls, 2);
      await transport.close();
    });

    test("tells a balancer how long each call took, and one that ignores outcomes nothing", async () => {
      const latencies: number[] = [];
      const balancer: NewPicker = ([only]) => ({
        pick: () => only && { endpoint: only, done: ({ latencyMs }) => latencies.push(latencyMs) },
      });
      const { clock, fake, transport, client } = setUp({ initial: [a], balancer });
      const first = client.unary({});
      fake.of("a").becomeReady();
      await first;
      fake.of("a").behaviour = "hang";
      const hung = rejection(client.unary({}, { timeoutMs: 70 }));
      await clock.advance(70);
      await hung;
      assert.deepEqual(latencies, [0, 70]);
      await transport.close();
    });

    describe("stream()", () => {
      /** Two endpoints that are ready, and messages that tell what becomes of them. */
      async function setUpStream(outcomes: string[] = []) {
        const balancer: NewPicker = (ready, previous) => {
          const inner = roundRobin(ready, previous);
          return {
            pick(exclude) {
              const picked = inner.pick(exclude);
              const say = (error: unknown) => (error === undefined ? "ok" : ConnectError.from(error).rawMessage);
              return (
                picked && { ...picked, done: ({ error }) => outcomes.push(`${picked.endpoint.id}: ${say(error)}`) }
              );
            },
          };
        };
        const { clock, fake, transport, client, call } = setUp({ initial: [a, b], balancer });
        const first = call();
        fake.of("a").becomeReady();
        fake.of("b").becomeReady();
        await first;
        outcomes.length = 0;
        const told: string[] = [];
        async function* texts() {
          let isWhole = false;
          try {
            yield { text: "1" };
            yield { text: "2" };
            isWhole = true;
          } catch (error) {
            told.push(ConnectError.from(error).rawMessage);
            throw error;
          } finally {
            told.push(isWhole ? "read" : "ended");
          }
        }
        return { clock, fake, transport, client, outcomes, told, texts };
      }

      test("lets the caller's messages end with the call, whatever its end", async () => {
        const { fake, transport, client, told, texts } = await setUpStream();
        fake.of("b").behaviour = "refuse";
        assert.equal((await client.clientStream(texts())).text, "1,2");
        assert.deepEqual(told, ["read"]);
        const stream = async (connection: typeof a, read: (messages: AsyncIterable<unknown>) => Promise<void>) => {
          fake.of(connection.id).transport.stream = async (_method, _signal, _timeoutMs, _header, input) => {
            await read(input);
            throw new ConnectError("gave up", Code.Aborted);
          };
          fake.of(connection.id).behaviour = "answer";
          return rejection(client.clientStream(texts()));
        };
        told.length = 0;
        const readOne = async (messages: AsyncIterable<unknown>) => {
          await messages[Symbol.asyncIterator]().next();
        };
        assert.equal((await stream(b, readOne)).rawMessage, "gave up");
        await settle();
        assert.deepEqual(told, ["gave up", "ended"]);
        await transport.close();
      });

      test("passes the connection's answer on, and makes nothing of its header and trailer", async () => {
        const { fake, transport } = await setUpStream();
        let looks = 0;
        const answer = {
          stream: true,
          service: EchoService,
          method: EchoService.method.serverStream,
          get header() {
            looks++;
            return new Headers();
          },
          get trailer() {
            looks++;
            return new Headers({ "x-trailer": "1" });
          },
          message: (async function* () {})(),
        } as never;
        for (const { transport } of fake.opened) transport.stream = async () => answer;
        const { serverStream } = EchoService.method;
        const response = await transport.stream(
          serverStream,
          undefined,
          undefined,
          undefined,
          (async function* () {})(),
        );
        for await (const _ of response.message) assert.fail("it has no messages");
        assert.equal(looks, 0);
        assert.equal(response.trailer.get("x-trailer"), "1");
        await transport.close();
      });

      test("reports to its pick at the end, and where nobody reads on, at abort or deadline", async () => {
        const outcomes: string[] = [];
        const { clock, transport, client, fake } = await setUpStream(outcomes);
        const read = async (options?: { signal?: AbortSignal; timeoutMs?: number }) => {
          const iterator = client.serverStream({ text: "x", count: 3 }, options)[Symbol.asyncIterator]();
          await iterator.next();
          return iterator;
        };
        const whole = await read();
        while (!(await whole.next()).done) assert.deepEqual(outcomes, []);
        assert.equal(outcomes.length, 1);
        const controller = new AbortController();
        await read({ signal: controller.signal });
        controller.abort(new Error("enough"));
        assert.equal(outcomes.length, 2);
        await read({ timeoutMs: 500 });
        await clock.advance(499);
        assert.equal(outcomes.length, 2);
        await clock.advance(1);
        assert.deepEqual(
          outcomes.map((outcome) => outcome.slice(3)),
          ["ok", "enough", "the operation timed out"],
        );
        await transport.close();
        assert.equal(clock.pending, 0);
        assert.equal(fake.opened.length, 2);
      });
    });

    test("asks the resolver once, at once, when the last connection is lost", async () => {
      const { clock, resolver, fake, transport, call } = setUp({ initial: [a, b] });
      const first = call();
      fake.of("a").becomeReady();
      fake.of("b").becomeReady();
      await first;
      await clock.advance(5000);
      fake.of("a").lose();
      assert.equal(resolver.refreshes, 0);
      fake.of("b").lose();
      assert.equal(resolver.refreshes, 1);
      await transport.close();
    });

    test("connects again at once after losing a connection that had proven itself, with backoff after one that had not", async () => {
      const { clock, fake, transport, call } = setUp({ initial: [a] });
      const first = call();
      fake.of("a").becomeReady();
      await first;
      await clock.advance(1000);
      fake.of("a").lose();
      assert.equal(fake.opened.length, 2);
      fake.of("a").becomeReady();
      fake.of("a").lose();
      assert.equal(fake.opened.length, 2);
      await clock.advance(1000);
      assert.equal(fake.opened.length, 3);
      fake.of("a").lose();
      await clock.advance(1599);
      assert.equal(fake.opened.length, 3);
      await clock.advance(1);
      assert.equal(fake.opened.length, 4);
      await transport.close();
    });

    test("connects again at once after losing young connections that answered calls", async () => {
      const { fake, transport, call } = setUp({ initial: [a] });
      for (let opened = 1; opened <= 5; opened++) {
        const answered = call();
        fake.of("a").becomeReady();
        assert.equal(await answered, "a");
        assert.equal(fake.opened.length, opened);
        fake.of("a").lose();
        assert.equal(fake.opened.length, opened + 1);
      }
      await transport.close();
    });

    test("connects again at once where the server asked a young connection to end", async () => {
      const { clock, fake, transport, call } = setUp({ initial: [a] });
      const first = call();
      fake.of("a").becomeReady();
      await first;
      fake.of("a").beToldToLeave();
      assert.equal(fake.opened.length, 2);
      const second = call();
      fake.of("a").becomeReady();
      assert.equal(await second, "a");
      // One that has proven itself between is as the first.
      await clock.advance(1000);
      fake.of("a").beToldToLeave();
      fake.of("a").becomeReady();
      fake.of("a").beToldToLeave();
      assert.equal(fake.opened.length, 4);
      fake.of("a").becomeReady();
      assert.equal(await call(), "a");
      await transport.close();
    });

    test("opens one connection a second where the server asks each to end, and calls wait for it", async () => {
      const { clock, fake, transport, call } = setUp({ initial: [a] });
      const first = call();
      fake.of("a").becomeReady();
      await first;
      fake.of("a").beToldToLeave();
      fake.of("a").becomeReady();
      for (const opened of [2, 3, 4]) {
        await clock.advance(300);
        fake.of("a").beToldToLeave();
        const waiting = call();
        await clock.advance(699);
        assert.equal(fake.opened.length, opened);
        await clock.advance(1);
        assert.equal(fake.opened.length, opened + 1);
        fake.of("a").becomeReady();
        assert.equal(await waiting, "a");
      }
      await transport.close();
    });

    test("backs off where the server asks a connection to end that was never ready", async () => {
      const { clock, fake, transport, call } = setUp({ initial: [a], waitForReady: false });
      const refused = rejection(call());
      await clock.advance(0);
      fake.of("a").beToldToLeave();
      assert.equal((await refused).code, Code.Unavailable);
      assert.equal(fake.opened.length, 1);
      await clock.advance(1000);
      assert.equal(fake.opened.length, 2);
      await transport.close();
    });

    test("takes an endpoint out at once when it is told to leave or the resolver drops it", async () => {
      const { clock, resolver, fake, transport, call } = setUp({ initial: [a, b] });
      const first = call();
      fake.of("a").becomeReady();
      fake.of("b").becomeReady();
      await first;
      await clock.advance(2000);
      fake.of("a").beToldToLeave();
      assert.deepEqual([await call(), await call()], ["b", "b"]);
      resolver.push([a]);
      assert.equal(fake.of("b").state.type, "closed");
      fake.of("a").becomeReady();
      assert.equal(await call(), "a");
      await transport.close();
    });

    test("does not believe an empty answer while connections work, for emptyGraceMs", async () => {
      const { clock, resolver, fake, transport, call } = setUp({ initial: [a, b], waitForReady: false });
      const first = call();
      fake.of("a").becomeReady();
      fake.of("b").becomeReady();
      await first;
      resolver.push([]);
      assert.deepEqual([await call(), await call()], ["b", "a"]);
      await clock.advance(89_999);
      assert.equal(await call(), "b");
      await clock.advance(1);
      assert.equal((await rejection(call())).code, Code.Unavailable);
      await transport.close();
    });

    test("believes an empty answer for an endpoint that cannot be reached any more", async () => {
      const { clock, resolver, fake, transport, call } = setUp({ initial: [a, b], waitForReady: false });
      const first = call();
      fake.of("a").becomeReady();
      fake.of("b").becomeReady();
      await first;
      await clock.advance(5000);
      resolver.push([]);
      fake.of("a").lose();
      fake.of("a").lose(new Error("connect ECONNREFUSED"));
      assert.deepEqual([await call(), await call()], ["b", "b"]);
      fake.of("b").lose();
      fake.of("b").lose(new Error("connect ECONNREFUSED"));
      assert.match((await rejection(call())).rawMessage, /no instance/);
      await transport.close();
    });

    test("gives up the empty answer when endpoints are back", async () => {
      const { clock, resolver, fake, transport, call } = setUp({ initial: [a] });
      const first = call();
      fake.of("a").becomeReady();
      await first;
      resolver.push([]);
      resolver.push([a]);
      await clock.advance(200_000);
      assert.equal(await call(), "a");
      assert.equal(fake.opened.length, 1);
      await transport.close();
    });

    test("close() lets go of everything, cancels calls that wait, and returns one promise", async () => {
      const { clock, resolver, fake, transport, call } = setUp({ initial: [a] });
      const waiting = rejection(call());
      assert.equal(resolver.listeners, 1);
      const closing = transport.close();
      assert.equal(transport.close(), closing);
      await closing;
      assert.equal((await waiting).code, Code.Canceled);
      assert.equal(resolver.listeners, 0);
      assert.equal(fake.of("a").state.type, "closed");
      assert.equal(clock.pending, 0);
      assert.equal((await rejection(call())).code, Code.Canceled);
    });

    test("close() cuts the calls of an endpoint that was removed, after closeGraceMs", async () => {
      const { clock, resolver, fake, transport, call } = setUp({ initial: [a, b], closeGraceMs: 3000 });
      const first = call();
      fake.of("a").becomeReady();
      fake.of("b").becomeReady();
      await first;
      const leaving = fake.of("a");
      leaving.drains = false;
      resolver.push([b]);
      const closing = transport.close();
      await clock.advance(2999);
      assert.notEqual(leaving.state.type, "closed");
      await clock.advance(1);
      await closing;
      assert.equal(leaving.state.type, "closed");
      assert.equal(clock.pending, 0);
    });

    test("counts emptyGraceMs from the first empty answer, however often it is repeated", async () => {
      const { clock, resolver, fake, transport, call } = setUp({
        initial: [a],
        emptyGraceMs: 1000,
        waitForReady: false,
      });
      const first = call();
      fake.of("a").becomeReady();
      await first;
      for (let repeat = 0; repeat < 4; repeat++) {
        resolver.push([]);
        await clock.advance(250);
      }
      assert.match((await rejection(call())).rawMessage, /no instance/);
      await transport.close();
    });

    test("rejects options outside their range", () => {
      const { connector } = createFakeConnector();
      const resolver = createHandResolver([]);
      assert.throws(() => createBalancedTransport({ resolver, connector, waitTimeoutMs: -1 }), RangeError);
      assert.throws(() => createBalancedTransport({ resolver, connector, settleMs: Number.NaN }), RangeError);
      assert.throws(() => createBalancedTransport({ resolver, connector, retry: 3 as never }), TypeError);
      assert.throws(() => createBalancedTransport({ resolver, connector, waitForReady: "no" as never }), TypeError);
      assert.throws(() => createBalancedTransport({ resolver, connector, closeGraceMs: "5" as never }), RangeError);
      for (const defaultTimeoutMs of [0, -5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31]) {
        assert.throws(() => createBalancedTransport({ resolver, connector, defaultTimeoutMs }), RangeError);
      }
      assert.throws(
        () => createBalancedTransport({ resolver, connector, backoff: { initialMs: Number.NaN } }),
        RangeError,
      );
    });
  });
}
