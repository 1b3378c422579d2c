// The snapshot between calls: its age, who refreshes it and when, and what is believed when the source fails. On a clock turned by hand, over a
// fetch that answers by itself.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Code, createClient } from "@connectrpc/connect";
import type { EndpointSnapshot } from "../../src/edge/snapshot.ts";
import { createSnapshotCache } from "../../src/edge/snapshot-cache.ts";
import { createManualClock, type ManualClock } from "../../src/testing/manual-clock.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { lost, openOverSource, snapshot } from "../support/edge-fakes.ts";
import { createRecordingLogger } from "../support/recording-logger.ts";
import { rejection } from "../support/rejection.ts";

const startMs = 1_700_000_000_000;

describe("a snapshot", () => {
  test("is read with the first call, and served without another read up to maxAgeMs", async () => {
    const clock = createManualClock(startMs);
    const { call, source, state } = openOverSource({ clock });
    assert.deepEqual(state(), { endpoints: [], ageMs: undefined, stale: false });
    assert.equal(source.reads, 0);
    assert.deepEqual([await call(), await call()], ["a", "b"]);
    assert.equal(source.reads, 1);
    await clock.advance(5000);
    assert.equal(state().ageMs, 5000);
    assert.equal(state().stale, false);
    assert.equal(await call(), "a");
    assert.equal(source.reads, 1);
    assert.equal(clock.pending, 0);
  });

  test("older than maxAgeMs is served while one read refreshes it", async () => {
    const clock = createManualClock(startMs);
    const { call, source, state } = openOverSource({ clock });
    await call();
    await clock.advance(5001);
    assert.equal(state().stale, true);
    source.next = undefined;
    assert.deepEqual([await call(), await call(), await call()], ["b", "a", "b"]);
    assert.equal(source.reads, 2);
    source.answer(["a", "b", "c"]);
    await clock.advance(0);
    assert.deepEqual([state().ageMs, state().stale], [0, false]);
    assert.deepEqual([await call(), await call(), await call()], ["a", "b", "c"]);
    assert.equal(source.reads, 2);
  });

  test("older than maxStaleMs makes a call wait for the refresh", async () => {
    const clock = createManualClock(startMs);
    const { call, source } = openOverSource({ clock, maxStaleMs: 20_000 });
    await call();
    await clock.advance(20_001);
    source.next = undefined;
    const late = call();
    await clock.advance(1000);
    source.answer(["c"]);
    assert.equal(await late, "c");
    assert.equal(clock.pending, 0);
  });

  test("older than maxStaleMs serves where the refresh fails, and discovery() says why", async () => {
    const clock = createManualClock(startMs);
    const { call, source, state } = openOverSource({ clock });
    await call();
    await clock.advance(3_600_000);
    source.next = new Error("no route to Consul");
    assert.equal(await call(), "b");
    const { endpoints, ageMs, stale, lastError } = state();
    assert.deepEqual([endpoints.length, ageMs, stale], [2, 3_600_000, true]);
    assert.match(String(lastError), /no route to Consul/);
    source.next = ["a"];
    await clock.advance(1000);
    assert.equal(await call(), "a");
    assert.deepEqual([state().stale, "lastError" in state()], [false, false]);
  });

  test("older than maxStaleMs serves where the refresh hangs: after 2 s, or half of a shorter deadline", async () => {
    const clock = createManualClock(startMs);
    const { call, source } = openOverSource({ clock });
    await call();
    await clock.advance(60_001);
    source.next = undefined;
    const patient = call();
    const hasty = call({ timeoutMs: 1000 });
    await clock.advance(500);
    assert.equal(await hasty, "b");
    await clock.advance(1499);
    let isDone = false;
    void patient.then(() => {
      isDone = true;
    });
    await clock.advance(0);
    assert.equal(isDone, false);
    await clock.advance(1);
    assert.equal(await patient, "a");
    assert.equal(source.reads, 2);
    source.answer(["a"]);
    await clock.advance(0);
    assert.equal(clock.pending, 0);
  });

  test("is not believed to be younger than its read where the source's clock is ahead", async () => {
    const clock = createManualClock(startMs);
    const { call, source, state } = openOverSource({ clock });
    source.next = undefined;
    const first = call();
    await clock.advance(0);
    source.answer(["a"], startMs + 86_400_000);
    await first;
    await clock.advance(6000);
    assert.equal(state().ageMs, 6000);
    assert.equal(state().stale, true);
  });

  test("that the source itself holds for long shows its age, and is not read more often than every maxAgeMs", async () => {
    const clock = createManualClock(startMs);
    const { call, source, state } = openOverSource({ clock });
    source.next = undefined;
    const first = call();
    await clock.advance(0);
    source.answer(["a"], startMs - 600_000);
    assert.equal(await first, "a");
    assert.deepEqual([state().ageMs, state().stale], [600_000, true]);
    await call();
    await clock.advance(5000);
    await call();
    assert.equal(source.reads, 1);
    await clock.advance(1);
    const second = call();
    await clock.advance(0);
    source.answer(["b"], startMs);
    assert.equal(await second, "b");
    assert.equal(source.reads, 2);
  });

  test("that the source itself calls stale is, until it says otherwise", async () => {
    const clock = createManualClock(startMs);
    const { call, source, state } = openOverSource({ clock });
    const { read } = source;
    source.read = async () => ({ ...snapshot(["a"], clock.now()), stale: true });
    assert.equal(await call(), "a");
    assert.deepEqual([state().stale, state().ageMs, "lastError" in state()], [true, 0, false]);
    source.read = read;
    source.next = ["a"];
    await clock.advance(60_001);
    await call();
    assert.equal(state().stale, false);
  });

  test("that is no snapshot fails the read like any other error", async () => {
    const clock = createManualClock(startMs);
    const { call, source } = openOverSource({ clock });
    source.read = () => Promise.resolve({ endpoints: [{ url: "ftp://a" }], confirmedAtMs: 1 } as never);
    const error = await rejection(call());
    assert.equal(error.code, Code.Unavailable);
    assert.match(error.rawMessage, /^no answer about the test's list: Cannot list endpoints\[0\] as "url" must be/);
  });

  test("survives a clock that is set back: it is refreshed, and nothing waits for the time to come again", async () => {
    const clock = createManualClock(startMs);
    let offsetMs = 0;
    const stepped = { ...clock, now: () => clock.now() + offsetMs } as ManualClock;
    const { call, source, state } = openOverSource({ clock: stepped });
    await call();
    offsetMs = -3_600_000;
    source.next = ["c"];
    assert.equal(await call(), "c");
    assert.deepEqual([source.reads, state().ageMs, state().stale], [2, 0, false]);
  });
});

describe("an older list", () => {
  /** A client that knows a list confirmed now, and reads with every call. */
  async function openFresh() {
    const clock = createManualClock(startMs);
    let offsetMs = 0;
    const opened = openOverSource({
      clock: { ...clock, now: () => clock.now() + offsetMs } as ManualClock,
      maxAgeMs: 0,
      maxStaleMs: 0,
    });
    const answer = async (list: EndpointSnapshot) => {
      opened.source.read = async () => list;
      await clock.advance(1);
      await opened.call().catch(() => {});
      return opened.state();
    };
    await opened.call();
    const setBack = (ms: number) => {
      offsetMs = -ms;
    };
    return { clock, answer, setBack };
  }

  test("replaces no newer one, full or empty, nor begins the grace of an empty one", async () => {
    const { clock, answer } = await openFresh();
    for (const ids of [["c"], []]) {
      const { endpoints, stale, ageMs } = await answer(snapshot(ids, startMs - 1));
      assert.deepEqual([endpoints.length, ageMs], [2, clock.now() - startMs]);
      assert.equal(stale, true, "older than maxAgeMs, which is 0");
    }
    const { endpoints, stale } = await answer(snapshot(["c"], clock.now() + 1));
    assert.deepEqual([endpoints[0]?.id, stale], ["c", false]);
  });

  test("is heard where it says that its source is stale", async () => {
    const clock = createManualClock(startMs);
    const { call, source, openAnother } = openOverSource({ clock, cache: createSnapshotCache() });
    // To whom no age is too old.
    const { state } = openAnother({ maxAgeMs: 3_600_000 });
    await call();
    assert.equal(state().stale, false);
    source.read = async () => ({ ...snapshot(["c"], startMs - 1), stale: true });
    await clock.advance(60_001);
    await call();
    assert.deepEqual([state().endpoints.length, state().ageMs, state().stale], [2, 60_001, true]);
    source.read = async () => snapshot(["a", "b"], clock.now());
    await clock.advance(60_001);
    await call();
    assert.equal(state().stale, false);
  });

  test("of the same time is taken, as is any where the clock was set back", async () => {
    const { answer, setBack } = await openFresh();
    assert.equal((await answer(snapshot(["c"], startMs))).endpoints[0]?.id, "c");
    setBack(3_600_000);
    assert.equal((await answer(snapshot(["d"], startMs - 3_600_000))).endpoints[0]?.id, "d");
  });
});

describe("a first read", () => {
  test("is one for any number of calls at once", async () => {
    const clock = createManualClock(startMs);
    const { call, source } = openOverSource({ clock });
    source.next = undefined;
    const calls = Array.from({ length: 50 }, () => call());
    await clock.advance(0);
    assert.equal(source.reads, 1);
    source.answer(["a", "b"]);
    const servers = await Promise.all(calls);
    assert.equal(servers.filter((server) => server === "a").length, 25);
    assert.equal(source.reads, 1);
  });

  test("that fails fails its calls as unavailable, with what was asked and why; the next call asks again", async () => {
    const clock = createManualClock(startMs);
    const { call, source, state } = openOverSource({ clock });
    source.next = new TypeError("fetch failed", { cause: new Error("connect ECONNREFUSED 10.0.0.1:8500") });
    const error = await rejection(call());
    assert.equal(error.code, Code.Unavailable);
    assert.equal(error.rawMessage, "no answer about the test's list: fetch failed: connect ECONNREFUSED 10.0.0.1:8500");
    assert.equal(error.cause, source.next);
    assert.deepEqual([state().ageMs, state().stale], [undefined, true]);
    source.next = ["a"];
    assert.equal(await call(), "a");
  });

  test("is waited for until waitTimeoutMs by a call without a deadline", async () => {
    const clock = createManualClock(startMs);
    const { call, source } = openOverSource({ clock, waitTimeoutMs: 3000 });
    source.next = undefined;
    const failing = rejection(call());
    await clock.advance(3000);
    const error = await failing;
    assert.equal(error.code, Code.Unavailable);
    assert.equal(error.rawMessage, "gave up waiting for the first answer about the test's list");
    // The read goes on: the next call finds it done.
    const next = call();
    await clock.advance(0);
    source.answer(["a"]);
    assert.equal(await next, "a");
    assert.equal(source.reads, 1);
  });

  test("is waited for until the deadline by a call that has one, and the error says what for", async () => {
    const clock = createManualClock(startMs);
    const { call, source } = openOverSource({ clock });
    source.next = undefined;
    const error = await rejection(call({ timeoutMs: 30 }));
    assert.equal(error.code, Code.DeadlineExceeded);
    assert.equal(error.rawMessage, "the operation timed out waiting for the first answer about the test's list");
    assert.equal(clock.pending, 0);
  });

  test("goes on for the others when one of its calls is aborted, and ends when the last one is", async () => {
    const clock = createManualClock(startMs);
    const { call, source } = openOverSource({ clock });
    source.next = undefined;
    const controllers = [new AbortController(), new AbortController()];
    const calls = controllers.map(({ signal }) => rejection(call({ signal })));
    await clock.advance(0);
    controllers[0]!.abort();
    assert.equal((await calls[0]!).code, Code.Canceled);
    assert.equal(source.signals[0]?.aborted, false);
    controllers[1]!.abort();
    assert.equal((await calls[1]!).code, Code.Canceled);
    assert.equal(source.signals[0]?.aborted, true);
    assert.equal(clock.pending, 0);
    // Nothing is remembered of a read that nobody wanted.
    source.next = ["a"];
    assert.equal(await call(), "a");
    assert.equal(source.reads, 2);
  });

  test("goes on without its calls where waitUntil holds it", async () => {
    const clock = createManualClock(startMs);
    const held: Promise<unknown>[] = [];
    const { call, source, state } = openOverSource({ clock, waitUntil: (refresh) => void held.push(refresh) });
    source.next = undefined;
    const controller = new AbortController();
    const failing = rejection(call({ signal: controller.signal }));
    await clock.advance(0);
    controller.abort();
    await failing;
    assert.equal(source.signals[0]?.aborted, false);
    source.answer(["a"]);
    await Promise.all(held);
    assert.equal(state().endpoints.length, 1);
    assert.equal(held.length, 1);
  });

  test("that never ends is given up after 30 s, whatever its source does with the signal", async () => {
    const clock = createManualClock(startMs);
    const { call, source } = openOverSource({ clock, waitTimeoutMs: 60_000 });
    source.next = undefined;
    const failing = rejection(call());
    await clock.advance(30_000);
    assert.match((await failing).rawMessage, /no answer about the test's list: no answer within 30000 ms/);
    assert.equal(source.signals[0]?.aborted, true);
    source.next = ["a"];
    assert.equal(await call(), "a");
  });

  test("that a source throws synchronously fails like any other", async () => {
    const clock = createManualClock(startMs);
    const { call, source } = openOverSource({ clock });
    source.read = () => {
      throw new Error("no binding");
    };
    assert.match((await rejection(call())).rawMessage, /no answer about the test's list: no binding/);
  });
});

describe("waitUntil", () => {
  test("is given every read once, as a promise that never rejects", async () => {
    const clock = createManualClock(startMs);
    const held: Promise<unknown>[] = [];
    const { call, source } = openOverSource({ clock, waitUntil: (refresh) => void held.push(refresh) });
    await call();
    assert.equal(held.length, 1);
    await clock.advance(6000);
    source.next = undefined;
    await Promise.all([call(), call(), call()]);
    assert.equal(held.length, 2);
    source.fail(new Error("lost"));
    await Promise.all(held);
  });

  test("that throws costs no call and is logged", async () => {
    const clock = createManualClock(startMs);
    const logger = createRecordingLogger();
    const { call } = openOverSource({
      clock,
      logger,
      waitUntil: () => {
        throw new TypeError("Illegal invocation");
      },
    });
    assert.equal(await call(), "a");
    assert.equal(logger.count("waitUntil has failed"), 1);
  });
});

describe("waitUntil, where it hands back a promise", () => {
  test("that rejects, costs no call, is logged and leaves no rejection unhandled", async () => {
    const clock = createManualClock(startMs);
    const logger = createRecordingLogger();
    const { call } = openOverSource({ clock, logger, waitUntil: () => Promise.reject(new Error("not now")) as never });
    assert.equal(await call(), "a");
    await clock.advance(0);
    assert.equal(logger.count("waitUntil has failed"), 1);
  });
});

describe("an error that is kept", () => {
  test("is plain: name, message and code of what went wrong, and nothing that hangs on it", async () => {
    const clock = createManualClock(startMs);
    const { call, source, state } = openOverSource({ clock });
    class SourceError extends Error {
      override readonly name = "SourceError";
      readonly code = "gone";
      readonly response = new Response("of the request");
    }
    const thrown = new SourceError("no route", { cause: new Error("of the request too") });
    source.next = thrown;
    const error = await rejection(call());
    assert.equal(error.cause, thrown, "the call's own error has it whole");
    const { lastError } = state();
    assert.ok(lastError instanceof Error && lastError !== thrown);
    assert.deepEqual(
      [lastError.name, lastError.message, "code" in lastError && lastError.code, lastError.cause],
      ["SourceError", "no route", "gone", undefined],
    );
    assert.equal("response" in lastError, false);
    // A call that begins within the request of another finds no more than that.
    source.read = () => Promise.reject({ response: new Response("no Error") });
    await rejection(call());
    const other = state().lastError;
    assert.ok(other instanceof Error);
    assert.deepEqual(Object.keys(other), []);
  });
});

describe("an empty answer", () => {
  test("is held for 90 s after one that was not, and stale meanwhile", async () => {
    const clock = createManualClock(startMs);
    const logger = createRecordingLogger();
    const { call, source, state } = openOverSource({ clock, logger });
    await call();
    source.next = [];
    for (let second = 6; second <= 90; second += 6) {
      await clock.advance(6000);
      await call();
    }
    await clock.advance(0);
    assert.equal(state().stale, true);
    assert.equal(state().endpoints.length, 2);
    assert.equal(logger.count("lists no endpoints any more"), 1);
    await clock.advance(6000);
    const error = await rejection(call());
    assert.equal(error.code, Code.Unavailable);
    assert.equal(error.rawMessage, "no instance to call: the test's list lists none");
    assert.deepEqual([state().endpoints.length, state().stale, state().ageMs], [0, false, 0]);
  });

  test("has its grace anew, and no longer, where the clock is set back", async () => {
    const clock = createManualClock(startMs);
    let offsetMs = 0;
    const stepped = { ...clock, now: () => clock.now() + offsetMs } as ManualClock;
    const { call, source, state } = openOverSource({ clock: stepped });
    await call();
    source.next = [];
    await clock.advance(60_001);
    await call();
    offsetMs = -3_600_000;
    for (const [elapsedMs, known] of [
      [0, 2],
      [80_000, 2],
      [10_000, 0],
    ] as const) {
      await clock.advance(elapsedMs);
      await call().catch(() => {});
      await clock.advance(0);
      assert.equal(state().endpoints.length, known, `${elapsedMs} ms later`);
    }
  });

  test("is believed at once where the source has waited out the grace", async () => {
    const clock = createManualClock(startMs);
    const { call, source, state } = openOverSource({ clock });
    await call();
    await clock.advance(60_001);
    source.read = async () => ({ ...snapshot([], clock.now()), isGraceOver: true });
    assert.match((await rejection(call())).rawMessage, /no instance to call/);
    assert.deepEqual([state().endpoints.length, state().stale], [0, false]);
  });

  test("is forgotten when there are endpoints again", async () => {
    const clock = createManualClock(startMs);
    const { call, source, state } = openOverSource({ clock });
    await call();
    for (const answer of [[], ["a"], []]) {
      source.next = answer;
      await clock.advance(61_000);
      await call();
    }
    assert.deepEqual([state().endpoints.length, state().stale], [1, true]);
  });

  test("serves nobody: after 1 s a call waits for the next one", async () => {
    const clock = createManualClock(startMs);
    const { call, source } = openOverSource({ clock });
    source.next = [];
    await rejection(call());
    source.next = undefined;
    await clock.advance(1000);
    assert.match((await rejection(call())).rawMessage, /no instance to call/);
    assert.equal(source.reads, 1);
    await clock.advance(1);
    const waiting = call();
    await clock.advance(100);
    source.answer(["a"]);
    assert.equal(await waiting, "a");
  });

  test("that cannot be read anew fails calls with the reason", async () => {
    const clock = createManualClock(startMs);
    const { call, source } = openOverSource({ clock });
    source.next = [];
    await rejection(call());
    await clock.advance(1001);
    source.next = new Error("gone");
    for (let i = 0; i < 2; i++) {
      assert.equal((await rejection(call())).rawMessage, "no answer about the test's list: gone");
    }
    assert.equal(source.reads, 2);
  });

  test("is believed when it is the first one", async () => {
    const clock = createManualClock(startMs);
    const { call, source } = openOverSource({ clock });
    source.next = [];
    assert.match((await rejection(call())).rawMessage, /no instance to call/);
    assert.match((await rejection(call())).rawMessage, /no instance to call/);
    assert.equal(source.reads, 1);
  });
});

describe("when every endpoint has failed", () => {
  test("the snapshot is read anew once, and newcomers are tried", async () => {
    const clock = createManualClock(startMs);
    const { transport, source, down, hosts } = openOverSource({ clock });
    const client = createClient(EchoService, transport);
    await client.unaryIdempotent({});
    down.set("a", lost()).set("b", lost());
    source.next = ["a", "b", "c"];
    await clock.advance(1000);
    assert.equal((await client.unaryIdempotent({})).server, "c");
    assert.deepEqual(hosts, ["a", "b", "a", "c"]);
    assert.equal(source.reads, 2);
  });

  test("an instance that has moved under its old id is a newcomer", async () => {
    const clock = createManualClock(startMs);
    const { transport, source, down } = openOverSource({ clock });
    const client = createClient(EchoService, transport);
    source.next = ["a"];
    await client.unaryIdempotent({});
    down.set("a", lost());
    source.read = async () =>
      ({ endpoints: [{ url: "http://moved.test:1", id: "a" }], confirmedAtMs: startMs }) as never;
    await clock.advance(1000);
    assert.equal((await client.unaryIdempotent({})).server, "moved");
  });

  test("the fifth attempt is for what reading anew shows", async () => {
    const clock = createManualClock(startMs);
    const { transport, source, down, hosts } = openOverSource({ clock });
    const client = createClient(EchoService, transport);
    source.next = ["a", "b", "c", "d", "e"];
    await client.unaryIdempotent({});
    for (const name of source.next) down.set(name, lost());
    source.next = ["v", "w", "x", "y", "z"];
    await clock.advance(1000);
    assert.equal((await client.unaryIdempotent({})).server, "v");
    assert.deepEqual(hosts, ["a", "b", "c", "d", "e", "v"]);
  });

  test("calls read it once a second, however many they are", async () => {
    const clock = createManualClock(startMs);
    const { transport, source, down } = openOverSource({ clock });
    const client = createClient(EchoService, transport);
    down.set("a", lost()).set("b", lost());
    for (let second = 0; second < 3; second++) {
      for (let calls = 0; calls < 100; calls++) await rejection(client.unaryIdempotent({}));
      assert.equal(source.reads, 1 + second);
      await clock.advance(second === 0 ? 999 : 1000);
      if (second > 0) continue;
      await rejection(client.unaryIdempotent({}));
      assert.equal(source.reads, 1, "999 ms after the answer");
      await clock.advance(1);
    }
  });

  test("it is not read anew where it was read since the call began", async () => {
    const clock = createManualClock(startMs);
    const { openAnother, source } = openOverSource({ clock, cache: createSnapshotCache() });
    await openAnother().call();
    const hanging = Promise.withResolvers<Response>();
    const slow = openAnother({ fetch: () => hanging.promise });
    const failing = rejection(createClient(EchoService, slow.transport).unaryIdempotent({}));
    await clock.advance(6000);
    // The call of another request has it refreshed.
    await openAnother().call();
    await clock.advance(0);
    assert.equal(source.reads, 2);
    await clock.advance(2000);
    hanging.reject(lost());
    await failing;
    assert.equal(source.reads, 2);
  });

  test("and none is new, the call fails with the last error; the source is not asked twice", async () => {
    const clock = createManualClock(startMs);
    const { transport, source, down, hosts } = openOverSource({ clock });
    const client = createClient(EchoService, transport);
    down.set("a", lost()).set("b", lost());
    const error = await rejection(client.unaryIdempotent({}));
    assert.equal(error.code, Code.Unavailable);
    assert.equal(
      error.rawMessage,
      "none of 2 endpoints tried of the test's list has answered, the last one: no answer from http://b.test:1: fetch failed: the connection was lost",
    );
    assert.deepEqual([hosts, source.reads], [["a", "b"], 1]);
    await clock.advance(1000);
    await rejection(client.unaryIdempotent({}));
    assert.deepEqual([hosts, source.reads], [["a", "b", "a", "b"], 2]);
  });

  test("and the source fails too, the call's own error counts", async () => {
    const clock = createManualClock(startMs);
    const { transport, source, down } = openOverSource({ clock });
    const client = createClient(EchoService, transport);
    await client.unaryIdempotent({});
    down.set("a", lost()).set("b", lost());
    source.next = new Error("Consul is gone too");
    await clock.advance(1000);
    assert.match((await rejection(client.unaryIdempotent({}))).rawMessage, /^none of 2 endpoints/);
  });
});

test("state is logged when it changes, not with every call", async () => {
  const clock = createManualClock(startMs);
  const logger = createRecordingLogger();
  const { call, source } = openOverSource({ clock, logger });
  for (const next of [["a"], ["a"], new Error("away"), new Error("away"), ["a"], ["a", "b"]]) {
    source.next = next;
    await clock.advance(6000);
    await call();
    await clock.advance(0);
  }
  assert.deepEqual(
    logger.lines.map(({ level, message }) => `${level} ${message}`),
    [
      "info Endpoints have changed",
      "warn Cannot read endpoints: the last known stand",
      "info Endpoints can be read again",
      "info Endpoints have changed",
    ],
  );
});
