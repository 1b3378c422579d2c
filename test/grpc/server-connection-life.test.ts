import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ConnectionLife, type ConnectionLifeLimits } from "../../src/grpc/server/connection-life.ts";
import { ErrorCode } from "../../src/http2/error-code.ts";
import { Http2Session, type SessionHost } from "../../src/http2/session.ts";
import type { Stream, StreamListener } from "../../src/http2/stream.ts";
import { createManualClock } from "../../src/testing/manual-clock.ts";
import { createSocketPair } from "../support/memory-socket.ts";
import { createRecordingLogger } from "../support/recording-logger.ts";

const noLimits: ConnectionLifeLimits = {
  keepaliveTimeMs: Number.POSITIVE_INFINITY,
  keepaliveTimeoutMs: 20_000,
  minPingMs: 0,
  maxAgeMs: Number.POSITIVE_INFINITY,
  maxAgeGraceMs: Number.POSITIVE_INFINITY,
  maxIdleMs: Number.POSITIVE_INFINITY,
};

const quiet: StreamListener = { onHeaders() {}, onData() {}, onReset() {}, onDrained() {} };

/** A server's connection under these limits, and its client. */
function start(limits: Partial<ConnectionLifeLimits>, random: () => number = () => 0.5) {
  const clock = createManualClock();
  const logger = createRecordingLogger();
  const [near, far] = createSocketPair();
  const streams: Stream[] = [];
  const seen = { goaways: [] as (readonly [last: number, code: number, text: string])[], closed: false, reset: false };
  const hostOf = (isServer: boolean): SessionHost => ({
    onStream(stream) {
      life.onStream();
      streams.push(stream);
      return quiet;
    },
    onSettings() {},
    onGoaway(last, code, text) {
      if (!isServer) seen.goaways.push([last, code, text]);
    },
    onPing() {
      if (isServer) life.onPing();
    },
    onIdle() {
      if (isServer) life.onIdle();
    },
    onSlot() {},
    onClosed() {
      if (isServer) {
        life.stop();
        seen.closed = true;
      }
    },
  });
  const defer = queueMicrotask;
  const server = new Http2Session({ role: "server", socket: near, host: hostOf(true), clock, defer });
  const client = new Http2Session({ role: "client", socket: far, host: hostOf(false), clock, defer });
  const life = new ConnectionLife({ session: server, limits: { ...noLimits, ...limits }, clock, random, logger });
  server.start();
  client.start();
  life.start();
  const { connection } = client;
  const request = connection.prepare([":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a"]);
  const answer = server.connection.prepare([":status", "200"]);
  return {
    clock,
    logger,
    client,
    server,
    far,
    near,
    seen,
    settle: () => clock.advance(0),
    open() {
      connection.open({ ...quiet, onReset: () => (seen.reset = true) }, request, undefined, true);
    },
    answerAll() {
      for (const stream of streams.splice(0)) server.connection.sendHeaders(stream, answer, undefined, true);
    },
    async end() {
      client.destroy(undefined);
      server.destroy(undefined);
      await clock.advance(10);
      assert.equal(clock.pending, 0);
    },
  };
}

describe("ConnectionLife", () => {
  test("holds no timer without limits", async () => {
    const pair = start({});
    await pair.settle();
    const before = pair.clock.pending;
    await pair.clock.advance(100_000_000);
    assert.ok(pair.clock.pending <= before);
    assert.equal(pair.seen.closed, false);
    await pair.end();
  });

  test("asks a client to leave at its age, give or take a tenth, and lets its calls go on", async () => {
    for (const [chance, ageMs] of [
      [0, 90_000],
      [0.5, 100_000],
      [0.999_999, 109_999],
    ] as const) {
      const pair = start({ maxAgeMs: 100_000 }, () => chance);
      pair.open();
      await pair.settle();
      await pair.clock.advance(ageMs - 100);
      assert.deepEqual(pair.seen.goaways, []);
      await pair.clock.advance(200);
      // "Nothing is refused yet", and the last one that was taken.
      assert.deepEqual(pair.seen.goaways, [
        [2 ** 31 - 1, ErrorCode.noError, ""],
        [1, ErrorCode.noError, ""],
      ]);
      await pair.clock.advance(1_000_000);
      assert.equal(pair.seen.closed, false);
      pair.answerAll();
      await pair.clock.advance(3000);
      assert.equal(pair.seen.closed, true);
      assert.equal(pair.seen.reset, false);
      await pair.end();
    }
  });

  test("cuts what is left when age and grace are over", async () => {
    const pair = start({ maxAgeMs: 100_000, maxAgeGraceMs: 5000 });
    pair.open();
    await pair.settle();
    await pair.clock.advance(104_000);
    assert.equal(pair.seen.closed, false);
    await pair.clock.advance(2000);
    assert.equal(pair.seen.closed, true);
    assert.equal(pair.seen.reset, true);
    const message = "Connection closed at the end of its age and grace";
    assert.deepEqual(pair.logger.lines, [{ level: "info", message, fields: { cut: 1 } }]);
    await pair.end();
  });

  test("asks a client to leave that makes no call for a time, and none that makes some", async () => {
    const pair = start({ maxIdleMs: 60_000 });
    await pair.settle();
    for (let calls = 0; calls < 4; calls++) {
      await pair.clock.advance(50_000);
      pair.open();
      await pair.settle();
      pair.answerAll();
      await pair.settle();
    }
    assert.deepEqual(pair.seen.goaways, []);
    // One that takes long is not idle.
    pair.open();
    await pair.settle();
    await pair.clock.advance(200_000);
    assert.deepEqual(pair.seen.goaways, []);
    pair.answerAll();
    await pair.settle();
    await pair.clock.advance(59_000);
    assert.deepEqual(pair.seen.goaways, []);
    await pair.clock.advance(2000);
    assert.equal(pair.seen.goaways.length, 2);
    await pair.clock.advance(5000);
    assert.equal(pair.seen.closed, true);
    await pair.end();
  });

  test("closes a client that answers no PING, and none that does", async () => {
    const pair = start({ keepaliveTimeMs: 60_000, keepaliveTimeoutMs: 20_000 });
    await pair.settle();
    await pair.clock.advance(1_000_000);
    assert.equal(pair.seen.closed, false);
    pair.open();
    await pair.settle();
    // Its network is gone: nothing comes from it any more.
    pair.far.stall();
    await pair.clock.advance(60_000 + 15_000 + 20_000);
    assert.equal(pair.seen.closed, true);
    await pair.end();
  });

  test("closes a client at its third PING too many, and tells it why", async () => {
    const pair = start({ minPingMs: 300_000 });
    await pair.settle();
    const ping = async (): Promise<void> => {
      pair.client.connection.ping(() => {});
      await pair.clock.advance(1000);
    };
    for (let pings = 0; pings < 3; pings++) await ping();
    assert.deepEqual(pair.seen.goaways, []);
    await ping();
    assert.deepEqual(pair.seen.goaways, [[0, ErrorCode.enhanceYourCalm, "too_many_pings"]]);
    await pair.clock.advance(1000);
    assert.equal(pair.seen.closed, true);
    await pair.end();
  });

  test("lets clients ask at the pace it allows, and at any where it sets none", async () => {
    for (const minPingMs of [10_000, 0]) {
      const pair = start({ minPingMs });
      await pair.settle();
      for (let pings = 0; pings < 20; pings++) {
        pair.client.connection.ping(() => {});
        await pair.clock.advance(minPingMs === 0 ? 10 : 10_000);
      }
      assert.deepEqual(pair.seen.goaways, []);
      await pair.end();
    }
  });
});
