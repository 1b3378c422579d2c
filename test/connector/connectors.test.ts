import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createServer as createTlsServer } from "node:tls";
import { Code, createClient } from "@connectrpc/connect";
import { compressionGzip } from "@connectrpc/connect-node";
import { type ClientTlsOptions, createNodeHttp2Connector } from "../../src/connector/node-http2-connector.ts";
import { callFate } from "../../src/core/call-fate.ts";
import { createFaultProxy } from "../../src/testing/fault-proxy.ts";
import { createManualClock } from "../../src/testing/manual-clock.ts";
import type { Connection, ConnectionState } from "../../src/transport/connector.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { makeCertificates } from "../support/certificates.ts";
import { closeWhatIsLeft } from "../support/close-what-is-left.ts";
import { type ConnectorKind, connectorKinds } from "../support/connector-kinds.ts";
import { startEchoServer } from "../support/echo-server.ts";
import { endpoint } from "../support/endpoints.ts";
import { eventually, pause } from "../support/eventually.ts";
import * as peers from "../support/h2-peer.ts";
import { literals } from "../support/h2-wire.ts";
import { listenOnLoopback } from "../support/loopback.ts";
import { rejection } from "../support/rejection.ts";

const { frame } = peers;
const { keep, keeping } = closeWhatIsLeft();
const startH2Peer = keeping(peers.startH2Peer);
const startFramePeer = keeping(peers.startFramePeer);
const startTcpPeer = keeping(peers.startTcpPeer);

interface Opened {
  readonly connection: Connection;
  readonly states: string[];
  /** Resolves with the first state of this type. */
  until<T extends ConnectionState["type"]>(type: T): Promise<ConnectionState & { type: T }>;
}

type Options = Parameters<ConnectorKind["create"]>[0] & { readonly meta?: Readonly<Record<string, string>> };

function open(kind: ConnectorKind, url: string, { meta, ...options }: Options = {}): Opened {
  const states: string[] = [];
  const waiters = new Map<string, (state: never) => void>();
  const connection = keep(
    kind.create(options)(endpoint("peer", { url, ...(meta === undefined ? {} : { meta }) }), {
      onState(state) {
        states.push(state.type);
        waiters.get(state.type)?.(state as never);
      },
    }),
  );
  return {
    connection,
    states,
    until: (type) =>
      new Promise((resolve) => {
        if (connection.state.type === type) resolve(connection.state as never);
        else waiters.set(type, resolve);
      }),
  };
}

async function openReady(kind: ConnectorKind, url: string, options?: Options) {
  const opened = open(kind, url, options);
  opened.connection.connect();
  await opened.until("ready");
  return { ...opened, client: createClient(EchoService, opened.connection.transport) };
}

for (const kind of connectorKinds)
  describe(`${kind.name}()`, () => {
    test("opens nothing before connect(), and reports connecting to closed in order", async () => {
      const peer = await startH2Peer();
      const { connection, states, until } = open(kind, peer.url);
      assert.equal(connection.state.type, "idle");
      connection.connect();
      assert.equal(connection.state.type, "connecting");
      await until("ready");
      await connection.close();
      assert.deepEqual(states, ["ready", "closed"]);
      await peer.close();
    });

    test("carries all four kinds of calls", async () => {
      const peer = await startH2Peer({ name: "p" });
      const { connection, client } = await openReady(kind, peer.url);
      assert.equal((await client.unary({ text: "hi" })).server, "p");
      const received: string[] = [];
      for await (const answer of client.serverStream({ text: "s", count: 3 }))
        received.push(`${answer.text}${answer.index}`);
      assert.deepEqual(received, ["s0", "s1", "s2"]);
      async function* texts() {
        for (const text of ["1", "2", "3"]) yield { text };
      }
      assert.equal((await client.clientStream(texts())).text, "1,2,3");
      const echoed: string[] = [];
      for await (const answer of client.bidi(texts())) echoed.push(answer.text);
      assert.deepEqual(echoed, ["1", "2", "3"]);
      await connection.close();
      await peer.close();
    });

    test("carries 4 MiB both ways, and refuses more with resource_exhausted", async () => {
      const peer = await startH2Peer();
      const { connection, client } = await openReady(kind, peer.url);
      const payload = new Uint8Array(4 * 1024 * 1024 - 64).fill(7);
      const answer = await client.unary({ payload });
      assert.equal(answer.payload.length, payload.length);
      assert.ok(answer.payload.every((byte) => byte === 7));
      const error = await rejection(client.unary({ payload: new Uint8Array(4 * 1024 * 1024) }));
      assert.equal(error.code, Code.ResourceExhausted);
      await connection.close();
      await peer.close();
    });

    for (const isLictor of [true, false])
      test(`keepalive finds a server that is gone, by itself where it is lictor's: ${isLictor}`, async () => {
        await using server = await startEchoServer("p");
        await using proxy = await createFaultProxy({ target: server.address.port });
        const clock = createManualClock();
        const options = isLictor ? {} : { keepalive: { timeMs: 10_000, timeoutMs: 5000 } };
        const { connection, client, until } = await openReady(kind, `http://${proxy.address}`, {
          meta: isLictor ? { lictor: "1" } : {},
          clock,
          ...options,
        });
        const failed = rejection(client.unary({ delayMs: 60_000 }));
        await eventually("the call arrives", () => server.calls === 1);
        const { toServerBytes: sent, toClientBytes: received } = proxy.counts;
        await clock.advance(12_500);
        // One PING: RFC 9113, section 6.7.
        await eventually("a PING of 17 bytes", () => proxy.counts.toServerBytes === sent + 17);
        await eventually("its answer", () => proxy.counts.toClientBytes >= received + 17);
        await pause(50);
        await clock.advance(5000);
        assert.equal(connection.state.type, "ready");

        proxy.set({ stalled: true });
        await clock.advance(12_500);
        await clock.advance(5000);
        await until("closed");
        const error = await failed;
        assert.equal(error.code, Code.Unavailable);
        assert.match(error.rawMessage, /the server has not answered a PING in 5000 ms/);
        assert.equal(callFate(error), "maybe-processed");
        await clock.advance(3000);
        assert.equal(clock.pending, 0);
      });

    test("keepalive asks no stranger unless told to, and nobody where it is off", async () => {
      await using server = await startEchoServer("p");
      await using proxy = await createFaultProxy({ target: server.address.port });
      for (const options of [{}, { keepalive: false, meta: { lictor: "1" } }] as const) {
        const clock = createManualClock();
        const { connection, client } = await openReady(kind, `http://${proxy.address}`, { clock, ...options });
        const before = server.calls;
        const failed = rejection(client.unary({ delayMs: 60_000 }));
        await eventually("the call arrives", () => server.calls === before + 1);
        const sent = proxy.counts.toServerBytes;
        await clock.advance(60_000);
        await pause(50);
        assert.equal(proxy.counts.toServerBytes, sent);
        await connection.close();
        await failed;
      }
    });

    test("delivers every message of a stream that is read late", async () => {
      const peer = await startH2Peer();
      const { connection, client } = await openReady(kind, peer.url);
      const iterator = client.serverStream({ text: "s", count: 5 })[Symbol.asyncIterator]();
      await new Promise((resolve) => setTimeout(resolve, 50));
      let count = 0;
      while (!(await iterator.next()).done) count++;
      assert.equal(count, 5);
      await connection.close();
      await peer.close();
    });

    test("metadata that is too large or forbidden fails its own call only", async () => {
      const peer = await startH2Peer({ name: "p" });
      const { connection, client } = await openReady(kind, peer.url);
      const large = await rejection(client.unary({}, { headers: { "x-large": "x".repeat(70_000) } }));
      assert.equal(large.code, Code.ResourceExhausted);
      assert.equal(callFate(large), "unprocessed");
      assert.equal((await client.unary({})).server, "p");
      for (const [name, value] of [
        ["x-name", "gr\u00fc\u00df"],
        ["x-bin", "!"],
      ]) {
        const refused = await rejection(client.unary({}, { headers: [[name, value]] as HeadersInit }));
        assert.equal(refused.code, Code.InvalidArgument);
        assert.match(refused.rawMessage, new RegExp(`^Cannot send the header "${name}"`));
      }
      const near = await client.unary({ text: "near" }, { headers: { "x-large": "x".repeat(8_000) } });
      assert.equal(near.text, "near");
      const slow = setTimeout(() => void connection.close(new Error("drain() hangs")), 2000);
      await connection.drain();
      clearTimeout(slow);
      assert.deepEqual(connection.state, { type: "closed", reason: undefined });
      await peer.close();
    });

    test("a call that is aborted is canceled here and seen as canceled there", async () => {
      const peer = await startH2Peer();
      const { connection, client } = await openReady(kind, peer.url);
      const controller = new AbortController();
      const pending = rejection(client.unary({ delayMs: 1000 }, { signal: controller.signal }));
      await eventually("peer.handled", () => peer.handled > 0);
      controller.abort();
      assert.equal((await pending).code, Code.Canceled);
      await eventually("peer.aborted", () => peer.aborted > 0);
      await connection.close();
      await peer.close();
    });

    test("a passed deadline is deadline_exceeded", async () => {
      const peer = await startH2Peer();
      const { connection, client } = await openReady(kind, peer.url);
      assert.equal((await rejection(client.unary({ delayMs: 1000 }, { timeoutMs: 30 }))).code, Code.DeadlineExceeded);
      await connection.close();
      await peer.close();
    });

    test("a call cut in flight is unavailable and maybe processed; the connection says that it is lost", async () => {
      const peer = await startH2Peer();
      const { client, until } = await openReady(kind, peer.url);
      const pending = rejection(client.unary({ delayMs: 5000 }));
      const stream = (async () => {
        for await (const _ of client.serverStream({ count: 100, delayMs: 50 })) peer.handled;
      })();
      const streaming = rejection(stream);
      await eventually("peer.handled", () => peer.handled >= 2);
      peer.cut();
      for (const error of [await pending, await streaming]) {
        assert.equal(error.code, Code.Unavailable);
        assert.equal(callFate(error), "maybe-processed");
        assert.match(error.rawMessage, /127\.0\.0\.1/);
      }
      await until("closed");
      await peer.close();
    });

    test("a refused stream is unavailable and unprocessed", async () => {
      const refused = new Uint8Array([0, 0, 0, 7]);
      const peer = await startFramePeer((streamId) => frame(3, 0, streamId, refused));
      const { connection, client } = await openReady(kind, peer.url);
      const error = await rejection(client.unary({}));
      assert.equal(error.code, Code.Unavailable);
      assert.equal(callFate(error), "unprocessed");
      await connection.close();
      await peer.close();
    });

    test("a call that was being answered is maybe processed, though the peer then says that it refused it", async () => {
      const head = literals([":status", "200", "content-type", "application/grpc+proto"]);
      const refused = new Uint8Array([0, 0, 0, 7]);
      const peer = await startFramePeer((id) => Buffer.concat([frame(1, 4, id, head), frame(3, 0, id, refused)]));
      const { connection, client } = await openReady(kind, peer.url);
      const error = await rejection(client.unary({}));
      assert.equal(error.code, Code.Unavailable);
      assert.equal(callFate(error), "maybe-processed");
      await connection.close();
      await peer.close();
    });

    test("a call made in the turn in which its connection is closed runs nowhere where it is unprocessed", async () => {
      const peer = await startH2Peer();
      const { connection, client, until } = await openReady(kind, peer.url);
      await client.unary({});
      const call = rejection(client.unary({}));
      await connection.close(new Error("enough"));
      const error = await call;
      assert.equal(error.code, Code.Unavailable);
      await until("closed");
      // What was sent all the same comes before this one's.
      const other = await openReady(kind, peer.url);
      await other.client.unary({});
      if (callFate(error) === "unprocessed") assert.equal(peer.handled, 2);
      await other.connection.close();
      await peer.close();
    });

    test("a call above the last id of GOAWAY is unprocessed, one below it is not", async () => {
      // GOAWAY(last = 1) at the second call, then the socket is cut with both calls open.
      let cut = () => {};
      const peer = await startFramePeer((streamId) => {
        if (streamId === 1) return new Uint8Array(0);
        setTimeout(() => cut(), 20);
        return frame(7, 0, 0, new Uint8Array([0, 0, 0, 1, 0, 0, 0, 0]));
      });
      cut = () => void peer.close();
      const { client, until } = await openReady(kind, peer.url);
      const first = rejection(client.unary({}));
      const second = rejection(client.unary({}));
      assert.deepEqual([callFate(await first), callFate(await second)], ["maybe-processed", "unprocessed"]);
      assert.deepEqual([(await first).code, (await second).code], [Code.Unavailable, Code.Unavailable]);
      await until("closed");
    });

    test("a call that the peer resets has the code that gRPC gives it", async () => {
      const calm = new Uint8Array([0, 0, 0, 11]);
      const peer = await startFramePeer((streamId) => frame(3, 0, streamId, calm));
      const { connection, client } = await openReady(kind, peer.url);
      const error = await rejection(client.unary({}));
      assert.equal(error.code, Code.ResourceExhausted);
      assert.match(error.rawMessage, /ENHANCE_YOUR_CALM/);
      assert.equal(callFate(error), "maybe-processed");
      await connection.close();
      await peer.close();
    });

    test("GOAWAY drains: calls in flight finish, new ones are unprocessed, then it closes", async () => {
      const peer = await startH2Peer();
      const { client, states, until } = await openReady(kind, peer.url);
      const inFlight = client.unary({ text: "last", delayMs: 150 });
      await eventually("peer.handled", () => peer.handled > 0);
      peer.goaway();
      await until("draining");
      assert.equal(callFate(await rejection(client.unary({}))), "unprocessed");
      assert.equal((await inFlight).text, "last");
      await until("closed");
      assert.deepEqual(states, ["ready", "draining", "closed"]);
      await peer.close();
    });

    test("drain() finishes calls in flight, then closes; both are idempotent", async () => {
      const peer = await startH2Peer();
      const { connection, client, states } = await openReady(kind, peer.url);
      const inFlight = client.unary({ text: "last", delayMs: 100 });
      await eventually("peer.handled", () => peer.handled > 0);
      const drained = connection.drain();
      assert.equal(connection.state.type, "draining");
      assert.equal(callFate(await rejection(client.unary({}))), "unprocessed");
      assert.equal((await inFlight).text, "last");
      await drained;
      await connection.drain();
      await connection.close();
      assert.deepEqual(states, ["ready", "draining", "closed"]);
      await peer.close();
    });

    test("an upload that the server refused does not hold up drain()", async () => {
      const peer = await startH2Peer({ maxReceiveBytes: 1024 });
      const { connection, client } = await openReady(kind, peer.url);
      const error = await rejection(client.unary({ payload: new Uint8Array(4 * 1024 * 1024) }));
      assert.equal(error.code, Code.ResourceExhausted);
      const slow = setTimeout(() => void connection.close(new Error("drain() hangs")), 2000);
      await connection.drain();
      clearTimeout(slow);
      assert.deepEqual(connection.state, { type: "closed", reason: undefined });
      await peer.close();
    });

    test("close() fails calls in flight as unavailable", async () => {
      const peer = await startH2Peer();
      const { connection, client } = await openReady(kind, peer.url);
      const pending = rejection(client.unary({ delayMs: 5000 }));
      await eventually("peer.handled", () => peer.handled > 0);
      await connection.close(new Error("enough"));
      assert.equal((await pending).code, Code.Unavailable);
      await peer.close();
    });

    for (const reason of [undefined, new Error("enough")]) {
      test(`close() before the peer has answered ${reason ? "gives its own reason" : "needs no reason"}`, async () => {
        let accepted = 0;
        const peer = await startTcpPeer((socket) => {
          socket.on("error", () => {});
          socket.once("data", () => accepted++);
        });
        const reasons: unknown[] = [];
        for (const isAccepted of [false, true]) {
          const { connection, until } = open(kind, peer.url);
          const before = accepted;
          connection.connect();
          // It has sent its preface by then.
          if (isAccepted) await eventually("what it says first", () => accepted > before);
          const closed = until("closed");
          await connection.close(reason);
          reasons.push((await closed).reason);
        }
        await peer.close();
        assert.deepEqual(reasons, [reason, reason]);
      });
    }

    test("a port where nobody listens closes with the reason", async () => {
      const peer = await startTcpPeer();
      await peer.close();
      const { connection, until } = open(kind, peer.url);
      connection.connect();
      assert.match(String((await until("closed")).reason), /ECONNREFUSED|refused|connect/i);
    });

    test("a peer that does not speak HTTP/2 is never ready", async () => {
      const peer = await startTcpPeer((socket) => socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"));
      const { connection, states, until } = open(kind, peer.url);
      connection.connect();
      assert.ok((await until("closed")).reason instanceof Error);
      assert.deepEqual(states, ["closed"]);
      await peer.close();
    });

    for (const [what, greeting] of [
      ["HTTP/1.1", "HTTP/1.1 400 Bad Request\r\n\r\n"],
      ["HTTP/2 in cleartext", frame(4, 0, 0, new Uint8Array(0))],
      ["something else", new Uint8Array(64)],
      ["a record longer than TLS has them", Uint8Array.of(22, 3, 3, 255, 255, 1, 2, 3)],
    ] as const) {
      test(`a peer that speaks ${what} where TLS is wanted is said not to speak TLS`, async () => {
        const peer = await startTcpPeer((socket) => {
          socket.on("error", () => {});
          socket.write(greeting);
        });
        const url = peer.url.replace("http:", "https:");
        const { connection, states, until } = open(kind, url);
        connection.connect();
        const { reason } = await until("closed");
        assert.ok(reason instanceof Error);
        assert.equal(reason.message, `${url} does not speak TLS`);
        assert.ok(reason.cause instanceof Error, "the library's own word is lost");
        assert.deepEqual(states, ["closed"]);
        await peer.close();
      });
    }

    test("a TLS peer that has no HTTP/2 is said not to speak it", async () => {
      const { ca, server: pair } = makeCertificates();
      const server = createTlsServer({ ...pair, ALPNProtocols: ["http/1.1"] });
      server.on("tlsClientError", () => {});
      await using listening = await listenOnLoopback(server);
      const url = `https://127.0.0.1:${listening.port}`;
      const { connection, until } = open(kind, url, { tls: { ca } });
      connection.connect();
      const { reason } = await until("closed");
      assert.ok(reason instanceof Error);
      assert.equal(reason.message, `${url} does not speak HTTP/2`);
    });

    test("over TLS it proves who it is, and asks for the name that it was given", async () => {
      const { ca, server, client: own, stranger } = makeCertificates();
      const peer = await startH2Peer({
        name: "p",
        tls: { ...server, ca, requestCert: true, rejectUnauthorized: true },
      });
      const { connection, client } = await openReady(kind, peer.url, { tls: { ca, ...own, serverName: "localhost" } });
      const payload = new Uint8Array(300_000).fill(3);
      assert.deepEqual(new Uint8Array((await client.unary({ payload })).payload), payload);
      await connection.close();
      for (const tls of [{ ca, ...stranger }, { ca }, { ca, ...own, serverName: "elsewhere.test" }]) {
        const refused = open(kind, peer.url, { tls });
        refused.connection.connect();
        const { reason } = await refused.until("closed");
        assert.ok(reason instanceof Error);
        // It does, to those whose certificate it likes.
        assert.doesNotMatch(reason.message, /does not speak/);
        assert.deepEqual(refused.states, ["closed"]);
      }
      await peer.close();
    });

    test("carries 200 calls at once", async () => {
      const peer = await startH2Peer({ name: "p" });
      const { connection, client } = await openReady(kind, peer.url);
      const texts = Array.from({ length: 200 }, (_, index) => `t${index}`);
      const answers = await Promise.all(texts.map((text) => client.unary({ text })));
      assert.deepEqual(
        answers.map(({ text }) => text),
        texts,
      );
      await connection.close();
      await peer.close();
    });

    test("a peer with a certificate that is not trusted is told by the library's words", async () => {
      const peer = await startH2Peer({ tls: makeCertificates().server });
      const { connection, until } = open(kind, peer.url);
      connection.connect();
      assert.match(String((await until("closed")).reason), /unable to verify the first certificate/);
      await peer.close();
    });

    test("the longest timeout there is arrives as one that gRPC allows and the peer's timers can wait for", async () => {
      const peer = await startH2Peer();
      const { connection, client } = await openReady(kind, peer.url);
      const timeoutMs = 2 ** 31 - 1;
      assert.equal((await client.unary({ text: "long", delayMs: 30 }, { timeoutMs })).text, "long");
      const texts: string[] = [];
      for await (const { text } of client.serverStream({ text: "s", count: 1, delayMs: 30 }, { timeoutMs }))
        texts.push(text);
      assert.deepEqual(texts, ["s"]);
      await connection.close();
      await peer.close();
    });

    test("a peer that never answers is given up after connectTimeoutMs", async () => {
      const peer = await startTcpPeer();
      const { connection, until } = open(kind, peer.url, { connectTimeoutMs: 50 });
      connection.connect();
      assert.match(String((await until("closed")).reason), /no HTTP\/2 answer.*50 ms/);
      await peer.close();
    });

    test("rejects bad options before anything is opened", () => {
      assert.throws(() => kind.create({ connectTimeoutMs: 0 }), RangeError);
      assert.throws(() => kind.create({ maxReceiveBytes: 1.5 }), RangeError);
      assert.throws(() => kind.create({ tls: { cert: "x" } }), TypeError);
    });

    test("rejects TLS settings that no connection could use, on every runtime", () => {
      const { ca, client: own, stranger } = makeCertificates();
      const bad: readonly [tls: unknown, rule: string][] = [
        [true, '"tls" must be an object of settings, like { ca }: received true'],
        [null, '"tls" must be an object of settings, like { ca }: received null'],
        [{ ca: "tls/ca.pem" }, '"tls.ca" must be a certificate in PEM: received something else'],
        [{ ca: "" }, '"tls.ca" must be a certificate in PEM: received something else'],
        [{ ca: [] }, '"tls.ca" must be a certificate in PEM: received something else'],
        [{ ca: [ca, "x"] }, '"tls.ca" must be a certificate in PEM: received something else'],
        [{ cert: "x", key: own.key }, '"tls.cert" must be a certificate in PEM: received something else'],
        [{ cert: own.cert, key: "x" }, '"tls.key" must be an unencrypted private key in PEM: received something else'],
        [{ cert: own.cert, key: stranger.key }, '"tls.key" must be the key of "tls.cert": received another'],
      ];
      for (const [tls, rule] of bad) {
        assert.throws(() => kind.create({ tls: tls as ClientTlsOptions }), {
          name: "TypeError",
          message: `Cannot create connector as ${rule}`,
        });
      }
      // As files of authorities are: with comments, and several of them.
      kind.create({ tls: { ca: `# one\n\n${ca}\n${own.cert}`, ...own } });
    });
  });

describe("createNodeHttp2Connector()", () => {
  test("takes CANCEL behind the deadline for its passing: the peer's clock may be the faster one", async () => {
    const kind = connectorKinds.find(({ name }) => name === "createNodeHttp2Connector");
    assert.ok(kind);
    const cancel = Uint8Array.of(0, 0, 0, 8);
    for (const [passedMs, code] of [
      [59_000, Code.Canceled],
      [60_000, Code.DeadlineExceeded],
    ] as const) {
      const clock = createManualClock();
      const peer = await startFramePeer((id) => {
        void clock.advance(passedMs);
        return frame(3, 0, id, cancel);
      });
      const { client, connection } = await openReady(kind, peer.url, { clock });
      const error = await rejection(client.unary({}, { timeoutMs: 60_000 }));
      assert.deepEqual([error.code, callFate(error)], [code, "maybe-processed"]);
      await connection.close();
      await peer.close();
    }
  });

  test("refuses options that only createHttp2Connector has", () => {
    const { connectTimeoutMs, ...others } = {
      connectTimeoutMs: 1000,
      maxSendBytes: 1,
      acceptCompression: [],
      sendCompression: compressionGzip,
      compressMinBytes: 0,
    };
    for (const [name, value] of Object.entries(others)) {
      assert.throws(() => createNodeHttp2Connector({ connectTimeoutMs, [name]: value }), {
        name: "TypeError",
        message: `Cannot create connector as "${name}" is an option of createHttp2Connector, not of this one`,
      });
      createNodeHttp2Connector({ connectTimeoutMs, [name]: undefined });
    }
  });
});
