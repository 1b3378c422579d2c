import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Code, createClient } from "@connectrpc/connect";
import type { Compression } from "@connectrpc/connect/protocol";
import { createHttp2Connector } from "../../src/connector/http2-connector.ts";
import {
  createSocketConnector,
  type SocketConnectorOptions,
  type SocketOpener,
} from "../../src/connector/socket-connector.ts";
import { callFate } from "../../src/core/call-fate.ts";
import { streamGzip } from "../../src/grpc/compression.ts";
import { Http2Session } from "../../src/http2/session.ts";
import { createManualClock } from "../../src/testing/manual-clock.ts";
import type { Connection, ConnectionState, Connector } from "../../src/transport/connector.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { endpoint } from "../support/endpoints.ts";
import { eventually } from "../support/eventually.ts";
import { joinBytes } from "../support/h2-echo.ts";
import { frame, literals } from "../support/h2-wire.ts";
import { createSocketPair, type MemorySocket } from "../support/memory-socket.ts";
import { rejection } from "../support/rejection.ts";

const url = "http://peer.test:1";

/** A server that takes calls and answers none, and what it was sent. */
interface Peer {
  readonly session: Http2Session;
  readonly socket: MemorySocket;
  readonly pings: number;
  readonly streams: number;
}

/** A connector over sockets in memory. */
function setUp(options: SocketConnectorOptions = {}) {
  const clock = createManualClock();
  const peers: Peer[] = [];
  const open: SocketOpener = async () => {
    const [near, far] = createSocketPair();
    const counts = { pings: 0, streams: 0 };
    const session = new Http2Session({
      role: "server",
      socket: far,
      clock,
      defer: queueMicrotask,
      host: {
        onStream() {
          counts.streams++;
          return { onHeaders() {}, onData() {}, onReset() {}, onDrained() {} };
        },
        onPing: () => counts.pings++,
        onSettings() {},
        onGoaway() {},
        onIdle() {},
        onSlot() {},
        onClosed() {},
      },
    });
    session.start();
    peers.push({
      session,
      socket: far,
      get pings() {
        return counts.pings;
      },
      get streams() {
        return counts.streams;
      },
    });
    return near;
  };
  return { clock, peers, connector: createSocketConnector(open, { clock, ...options }) };
}

function watch(connector: Connector): { connection: Connection; states: ConnectionState[] } {
  const states: ConnectionState[] = [];
  const connection = connector(endpoint("peer", { url }), { onState: (state) => states.push(state) });
  return { connection, states };
}

function reasonOf(states: readonly ConnectionState[]): unknown {
  const last = states.at(-1);
  assert.equal(last?.type, "closed");
  return last?.type === "closed" ? last.reason : undefined;
}

describe("createSocketConnector()", () => {
  test("is ready when the server's settings have come, and says nothing from within connect()", async () => {
    const { clock, connector } = setUp();
    const { connection, states } = watch(connector);
    connection.connect();
    connection.connect();
    assert.deepEqual(states, []);
    await clock.advance(5);
    assert.deepEqual(states, [{ type: "ready", sinceMs: 0 }]);
    await connection.close();
    await connection.close();
    assert.deepEqual(states.at(-1), { type: "closed", reason: undefined });
    await clock.advance(100_000);
    assert.equal(clock.pending, 0);
  });

  test("refuses calls as unprocessed before it is ready and after it has closed", async () => {
    const { clock, connector } = setUp();
    const { connection } = watch(connector);
    const client = createClient(EchoService, connection.transport);
    for (const step of [() => {}, () => connection.connect(), () => connection.close()]) {
      step();
      const error = await rejection(client.unary({}));
      assert.equal(callFate(error), "unprocessed");
      assert.equal(error.rawMessage, `the connection to ${url} takes no new calls`);
    }
    await clock.advance(1);
  });

  test("closes with the opener's own reason", async () => {
    const { connection, states } = watch(createSocketConnector(() => Promise.reject(new Error("no route"))));
    connection.connect();
    await eventually("closed", () => connection.state.type === "closed");
    assert.match(String(reasonOf(states)), /no route/);
    await connection.close();
  });

  test("aborts the opener after connectTimeoutMs, and closes a socket that comes later", async () => {
    const clock = createManualClock();
    const [near, far] = createSocketPair();
    let signal: AbortSignal | undefined;
    const opened = Promise.withResolvers<MemorySocket>();
    const connector = createSocketConnector(
      (_endpoint, itsSignal) => {
        signal = itsSignal;
        return opened.promise;
      },
      { clock, connectTimeoutMs: 50 },
    );
    const { connection, states } = watch(connector);
    connection.connect();
    await clock.advance(49);
    assert.deepEqual(states, []);
    await clock.advance(1);
    assert.match(String(reasonOf(states)), /no HTTP\/2 answer from http:\/\/peer\.test:1 in 50 ms/);
    assert.equal(signal?.aborted, true);
    let isGone = false;
    const gone = connection.close().then(() => {
      isGone = true;
    });
    await clock.advance(0);
    assert.equal(isGone, false);
    opened.resolve(near);
    await gone;
    assert.equal(far.isDestroyed, true);
    assert.equal(clock.pending, 0);
  });

  test("says what a peer is that hangs up or says something else", async () => {
    for (const [act, expected] of [
      [(socket: MemorySocket) => socket.end(), `${url} hung up before it spoke HTTP/2`],
      [(socket: MemorySocket) => socket.write([new Uint8Array(20).fill(72)]), `${url} does not speak HTTP/2`],
      [() => {}, `no HTTP/2 answer from ${url} in 20000 ms`],
    ] as const) {
      const clock = createManualClock();
      const connector = createSocketConnector(
        async () => {
          const [near, far] = createSocketPair();
          far.start({ onBytes() {}, onWritable() {}, onClosed() {} });
          act(far);
          return near;
        },
        { clock },
      );
      const { connection, states } = watch(connector);
      connection.connect();
      await clock.advance(30_000);
      const reason = reasonOf(states);
      assert.ok(reason instanceof Error);
      assert.equal(reason.message, expected);
      await connection.close();
    }
  });

  test("drain() waits for the calls under way", async () => {
    const { clock, connector, peers } = setUp();
    const { connection, states } = watch(connector);
    connection.connect();
    await clock.advance(0);
    const sent = rejection(createClient(EchoService, connection.transport).unary({}));
    await clock.advance(0);
    const drained = connection.drain();
    assert.equal(connection.state.type, "draining");
    await clock.advance(1000);
    assert.equal(states.at(-1)?.type, "draining");
    peers[0]?.session.destroy(new Error("enough"));
    assert.equal((await sent).code, Code.Unavailable);
    await drained;
    await clock.advance(3000);
    assert.equal(clock.pending, 0);
  });

  test("names the code with which a server ends the connection", async () => {
    const { clock, connector, peers } = setUp();
    const { connection, states } = watch(connector);
    connection.connect();
    await clock.advance(0);
    const failed = rejection(createClient(EchoService, connection.transport).unary({}));
    await clock.advance(0);
    peers[0]?.session.connection.goaway(2 ** 31 - 1, 2);
    await clock.advance(0);
    peers[0]?.session.destroy(undefined);
    assert.equal((await failed).rawMessage, `${url}: the server ended the connection with INTERNAL_ERROR`);
    await clock.advance(0);
    assert.match(String(reasonOf(states)), /INTERNAL_ERROR/);
    await connection.close();
  });

  test("waits for a frame that comes slowly, and for one of which nothing comes for a while", async () => {
    const clock = createManualClock();
    const [near, far] = createSocketPair();
    const { connection } = watch(createSocketConnector(async () => near, { clock }));
    far.start({ onBytes() {}, onWritable() {}, onClosed() {} });
    far.write([frame(4, 0, 0), frame(4, 1, 0)]);
    connection.connect();
    await clock.advance(0);
    const answered = createClient(EchoService, connection.transport).unary({});
    await clock.advance(0);
    const answer = joinBytes([
      frame(1, 4, 1, literals([":status", "200", "content-type", "application/grpc"])),
      // UnaryResponse { text: "hi" }
      frame(0, 0, 1, [0, 0, 0, 0, 4, 10, 2, 104, 105]),
      frame(1, 5, 1, literals(["grpc-status", "0"])),
    ]);
    for (const byte of answer) {
      far.write([Uint8Array.of(byte)]);
      await clock.advance(15_000);
    }
    assert.equal((await answered).text, "hi");
    assert.equal(connection.state.type, "ready");
    await connection.close();
    assert.equal(clock.pending, 0);
  });

  test("keepalive finds a server that is gone: its calls are unavailable, the connection closed", async () => {
    const { clock, connector, peers } = setUp({ keepalive: { timeMs: 10_000, timeoutMs: 500 } });
    const { connection, states } = watch(connector);
    connection.connect();
    await clock.advance(0);
    const failed = rejection(createClient(EchoService, connection.transport).unary({}));
    await clock.advance(25_000);
    assert.equal(peers[0]?.pings, 2);
    peers[0]?.socket.stall();
    await clock.advance(13_100);
    const error = await failed;
    assert.equal(error.code, Code.Unavailable);
    assert.equal(error.rawMessage, `${url}: the server has not answered a PING in 500 ms`);
    assert.match(String(reasonOf(states)), /PING/);
    await clock.advance(3000);
    assert.equal(clock.pending, 0);
  });

  test("keepalive asks half as often where a server complains of too many", async () => {
    const { clock, connector, peers } = setUp({ keepalive: { timeMs: 10_000, permitWithoutCalls: true } });
    for (const expected of [3, 1]) {
      const { connection, states } = watch(connector);
      connection.connect();
      await clock.advance(35_000);
      const peer = peers.at(-1);
      assert.equal(peer?.pings, expected);
      peer?.session.connection.goaway(0, 11, "too_many_pings");
      await clock.advance(10);
      assert.match(String(reasonOf(states)), /ENHANCE_YOUR_CALM: "too_many_pings"/);
    }
    await clock.advance(3000);
    assert.equal(clock.pending, 0);
  });

  test("asks servers that say they are lictor's after 10 s with calls under way, and others only where it is told to", async () => {
    const lictor = { lictor: "1" };
    for (const [meta, options, pings] of [
      [lictor, {}, 2],
      [{}, {}, 0],
      [{ lictor: "0" }, {}, 0],
      [lictor, { keepalive: false }, 0],
      [{}, { keepalive: { timeMs: 20_000 } }, 1],
    ] as const) {
      const { clock, connector, peers } = setUp(options);
      const connection = connector(endpoint("peer", { url, meta }), { onState() {} });
      connection.connect();
      await clock.advance(60_000);
      assert.equal(peers[0]?.pings, 0);
      const ended = rejection(createClient(EchoService, connection.transport).unary({}, { timeoutMs: 25_000 }));
      await clock.advance(25_000);
      assert.equal((await ended).code, Code.DeadlineExceeded);
      // The one at once: it had been silent for long.
      assert.equal(peers[0]?.pings, pings === 0 ? 0 : pings + 1, JSON.stringify([meta, options]));
      await connection.close();
      await clock.advance(3000);
      assert.equal(clock.pending, 0);
    }
  });

  test("gives a silent server of lictor's 5 s to answer", async () => {
    const { clock, connector, peers } = setUp();
    const connection = connector(endpoint("peer", { url, meta: { lictor: "1" } }), { onState() {} });
    connection.connect();
    await clock.advance(0);
    peers[0]?.socket.stall();
    const failed = rejection(createClient(EchoService, connection.transport).unary({}));
    await clock.advance(12_500);
    assert.equal(connection.state.type, "ready");
    await clock.advance(5100);
    assert.equal((await failed).code, Code.Unavailable);
    assert.equal(connection.state.type, "closed");
    await clock.advance(3000);
    assert.equal(clock.pending, 0);
  });

  test("rejects options outside their range", () => {
    const open: SocketOpener = () => Promise.reject(new Error("not opened"));
    const bad: readonly SocketConnectorOptions[] = [
      { connectTimeoutMs: 0 },
      { maxReceiveBytes: 0 },
      { maxReceiveBytes: 2 ** 32 },
      { maxSendBytes: 1.5 },
      { compressMinBytes: -1 },
      { keepalive: { timeMs: 9_999 } },
      { keepalive: { timeMs: 10_000, timeoutMs: 0 } },
    ];
    for (const options of bad) assert.throws(() => createSocketConnector(open, options), RangeError);
  });

  test("rejects compressions that are none", () => {
    const open: SocketOpener = () => Promise.reject(new Error("not opened"));
    const bad: readonly [options: object, received: string][] = [
      [
        { acceptCompression: streamGzip },
        '"acceptCompression" must be a list of compressions, like [gzip]: received object',
      ],
      [
        { acceptCompression: ["gzip"] },
        '"acceptCompression" must be a list of compressions, like [gzip]: received a list',
      ],
      [{ sendCompression: "gzip" }, '"sendCompression" must be a compression, like gzip of lictor: received string'],
      [
        { sendCompression: [streamGzip] },
        '"sendCompression" must be a compression, like gzip of lictor: received a list',
      ],
    ];
    for (const [options, rule] of bad) {
      for (const create of [() => createSocketConnector(open, options), () => createHttp2Connector(options)]) {
        assert.throws(create, { name: "TypeError", message: `Cannot create connector as ${rule}` });
      }
    }
    createSocketConnector(open, { acceptCompression: [], sendCompression: streamGzip });
  });

  test("closes where the socket cannot be started", async () => {
    const clock = createManualClock();
    const connector = createSocketConnector(
      async () => {
        const [near] = createSocketPair();
        near.start = () => {
          throw new Error("is locked");
        };
        return near;
      },
      { clock },
    );
    const { connection, states } = watch(connector);
    connection.connect();
    await clock.advance(5);
    assert.match(String(reasonOf(states)), /^Error: is locked$/);
    await connection.close();
    assert.equal(clock.pending, 0);
  });

  test("closes where the session cannot begin, and throws nothing into the socket", async () => {
    let isGood = true;
    const moody: Compression = {
      ...streamGzip,
      get name(): string {
        if (isGood) return "gzip";
        throw new Error("no name today");
      },
    };
    const { clock, connector } = setUp({ acceptCompression: [moody] });
    isGood = false;
    const { connection, states } = watch(connector);
    connection.connect();
    await clock.advance(5);
    assert.match(String(reasonOf(states)), /no name today/);
    await connection.close();
    await clock.advance(3000);
    assert.equal(clock.pending, 0);
  });
});
