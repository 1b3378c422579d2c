// Sessions over real sockets: bytes arrive whole both ways, many calls at once, and both sides leave in order.

import assert from "node:assert/strict";
import { once } from "node:events";
import * as net from "node:net";
import { describe, test } from "node:test";
import { ConnectionError } from "../../src/http2/connection-error.ts";
import { ErrorCode } from "../../src/http2/error-code.ts";
import { connectH2, ResetError, startH2Echo } from "../support/h2-echo.ts";
import { FrameLog, frame, preface, request } from "../support/h2-wire.ts";

const mebibyte = 1024 * 1024;

describe("Http2Session", () => {
  test("carries 1 MiB both ways, and twenty of them at once", async () => {
    await using server = await startH2Echo();
    await using client = await connectH2(server.port);
    const body = Uint8Array.from({ length: mebibyte }, (_, index) => index * 7 + (index >>> 8));
    const answer = await client.call("/echo", body);
    assert.deepEqual(answer.headers, [":status", "200", "content-type", "application/octet-stream"]);
    assert.deepEqual(answer.trailers, ["grpc-status", "0"]);
    assert.ok(Buffer.from(answer.body).equals(body));
    const answers = await Promise.all(Array.from({ length: 20 }, () => client.call("/echo", body)));
    for (const { body: echoed } of answers) assert.ok(Buffer.from(echoed).equals(body));
  });

  test("carries 1,000 calls at once, twice", async () => {
    await using server = await startH2Echo();
    await using client = await connectH2(server.port);
    for (let round = 0; round < 2; round++) {
      const calls = Array.from({ length: 1000 }, (_, index) => client.call("/echo", Uint8Array.of(index, index >>> 8)));
      for (const [index, { body }] of (await Promise.all(calls)).entries()) {
        assert.deepEqual([...body], [index & 0xff, index >>> 8]);
      }
    }
    assert.equal(server.sessions[0]?.paths.length, 2000);
    assert.equal(client.session.connection.streamCount, 0);
  });

  test("leave() of a server finishes what is under way, refuses what comes later, and closes", async () => {
    await using server = await startH2Echo();
    await using client = await connectH2(server.port);
    const hanging = client.call("/hang");
    const [own] = server.sessions;
    assert.ok(own !== undefined);
    await client.call("/echo", Uint8Array.of(1));
    own.session.leave();
    own.session.leave();
    // The client hears of it before this one leaves, or the server ignores it: unprocessed either way.
    while (!client.session.connection.isExhausted) await new Promise((resolve) => setTimeout(resolve, 5));
    await assert.rejects(client.call("/echo", Uint8Array.of(2)), /no stream can be opened/);
    const [stream] = own.session.connection.streams();
    assert.ok(stream !== undefined);
    own.session.connection.sendHeaders(stream, own.session.connection.prepare([":status", "204"]), undefined, true);
    assert.deepEqual((await hanging).trailers, [":status", "204"]);
    assert.equal(await own.closed, undefined);
    assert.equal(await client.closed, undefined);
  });

  test("leave() of a server lets an answer out that waits for windows and socket", async () => {
    await using server = await startH2Echo();
    for (const bytes of [300_000, 8 * mebibyte]) {
      await using client = await connectH2(server.port);
      const answer = client.call(`/bytes/${bytes}`);
      const own = server.sessions.at(-1);
      while (own !== undefined && own.paths.length === 0) await new Promise((resolve) => setImmediate(resolve));
      own?.session.leave();
      const { body, trailers } = await answer;
      assert.equal(body.length, bytes);
      assert.deepEqual(trailers, ["grpc-status", "0"]);
      assert.equal(await own?.closed, undefined);
    }
  });

  test("leave() of a client waits for its calls, then closes both ends", async () => {
    await using server = await startH2Echo();
    await using client = await connectH2(server.port);
    const call = client.call("/echo", new Uint8Array(mebibyte));
    client.session.leave();
    assert.equal((await call).body.length, mebibyte);
    assert.equal(await client.closed, undefined);
    assert.equal(await server.sessions[0]?.closed, undefined);
  });

  test("destroy() resets the streams of both ends, with the reason at its own", async () => {
    await using server = await startH2Echo();
    await using client = await connectH2(server.port);
    const call = client.call("/hang");
    await client.call("/echo", Uint8Array.of(1));
    const reason = new Error("enough");
    client.session.destroy(reason, ErrorCode.cancel);
    await assert.rejects(call, (error) => {
      assert.ok(error instanceof ResetError);
      assert.equal(error.cause, reason);
      assert.equal(error.code, ErrorCode.cancel);
      return true;
    });
    assert.equal(await client.closed, reason);
    await server.sessions[0]?.closed;
    assert.equal(server.sessions[0]?.session.connection.streamCount, 0);
  });

  test("destroy() of a client sends nothing more of requests that it says were never sent", async () => {
    await using server = await startH2Echo();
    await using client = await connectH2(server.port);
    await client.call("/echo", Uint8Array.of(1));
    // In the turn in which it ends: nothing of it is on the socket yet.
    const call = client.call("/echo", Uint8Array.of(2));
    client.session.destroy(new Error("enough"));
    await assert.rejects(call, (error) => error instanceof ResetError && error.unprocessed);
    await server.sessions[0]?.closed;
    assert.deepEqual(server.sessions[0]?.paths, ["/echo"]);
  });

  test("ends with a ConnectionError when the peer breaks the rules, and the peer hears why", async () => {
    await using server = await startH2Echo();
    const socket = net.connect(server.port, "127.0.0.1");
    const log = new FrameLog();
    socket.on("data", (chunk) => log.add(chunk));
    socket.write(preface());
    socket.write(frame(6, 0, 0, new Uint8Array(7)));
    await once(socket, "close");
    assert.equal(log.goaway?.code, ErrorCode.frameSizeError);
    const reason = await server.sessions[0]?.closed;
    assert.ok(reason instanceof ConnectionError);
    assert.equal(reason.code, ErrorCode.frameSizeError);
  });

  test("closes when the peer closes its half of the connection", async () => {
    await using server = await startH2Echo();
    const socket = net.connect({ port: server.port, host: "127.0.0.1", allowHalfOpen: true });
    socket.on("data", () => {});
    socket.write(preface());
    socket.end(request(1, "/hang"));
    await once(socket, "end");
    socket.destroy();
    await server.sessions[0]?.closed;
    assert.equal(server.sessions[0]?.session.connection.streamCount, 0);
  });

  test("makes no more frames than a socket that nobody reads takes, and goes on when it is read", async () => {
    await using server = await startH2Echo({ limits: { maxPendingBytes: 64 * mebibyte } });
    await using client = await connectH2(server.port, {
      limits: {
        initialWindowBytes: 64 * mebibyte,
        maxWindowBytes: 64 * mebibyte,
        connectionWindowBytes: 64 * mebibyte,
      },
    });
    const { socket } = client;
    socket.pause();
    const call = client.call(`/bytes/${32 * mebibyte}`);
    const started = () => server.sessions[0]?.session.connection;
    while ((started()?.sentBytes ?? 0) === 0 || started()?.isWritable)
      await new Promise((resolve) => setTimeout(resolve, 5));
    // What the system's buffers take, and not all of it.
    assert.ok((started()?.pendingBytes ?? 0) > 16 * mebibyte);
    socket.resume();
    assert.equal((await call).body.length, 32 * mebibyte);
    assert.equal(started()?.pendingBytes, 0);
  });
});
