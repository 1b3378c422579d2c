// What a server allows the connections made to it, over real sockets.

import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { describe, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { serve } from "../../src/server/serve.ts";
import { createManualClock } from "../../src/testing/manual-clock.ts";
import { UnaryRequestSchema } from "../gen/lictor/test/v1/echo_pb.ts";
import { makeCertificates } from "../support/certificates.ts";
import { createEchoService } from "../support/echo-service.ts";
import { eventually } from "../support/eventually.ts";
import { call, grpcFrame, grpcHeaders, openSession } from "../support/http2-call.ts";
import { http2Kinds } from "../support/http2-kinds.ts";

const unaryPath = "/lictor.test.v1.EchoService/Unary";
const order = (delayMs: number): Uint8Array =>
  grpcFrame(toBinary(UnaryRequestSchema, create(UnaryRequestSchema, { text: "x", delayMs })));

/** Connects, and resolves when the server has taken the connection or closed it. */
async function knock(port: number): Promise<{ readonly socket: Socket; readonly isOpen: boolean }> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  let answer = "";
  socket.setEncoding("latin1");
  const over = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  const answered = new Promise<void>((resolve) => {
    socket.on("data", (chunk: string) => {
      answer += chunk;
      if (answer.endsWith("SERVING")) resolve();
    });
  });
  socket.write("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
  await Promise.race([over, answered]);
  return { socket, isOpen: answer.endsWith("SERVING") };
}

async function closeAll(sockets: readonly Socket[]): Promise<void> {
  await Promise.all(
    sockets.map((socket) => {
      if (socket.destroyed) return undefined;
      const closed = new Promise((resolve) => socket.once("close", resolve));
      socket.destroy();
      return closed;
    }),
  );
}

for (const options of [{ maxConnections: 2 }, { maxConnectionsPerPeer: 2 }]) {
  describe(`serve(${JSON.stringify(options)})`, () => {
    test("closes connections beyond at once, and takes new ones when others are gone", async () => {
      await using server = serve({ routes: createEchoService(), graceMs: 100, ...options });
      const { port } = await server.ready;
      const knocks = [await knock(port), await knock(port), await knock(port), await knock(port)];
      assert.deepEqual(
        knocks.map(({ isOpen }) => isOpen),
        [true, true, false, false],
      );
      const [first, second] = knocks;
      await closeAll([first!.socket]);
      await eventually("room for another", async () => {
        const again = await knock(port);
        await closeAll([again.socket]);
        return again.isOpen;
      });
      await closeAll([second!.socket]);
    });

    test("counts connections that are still in their handshake", async () => {
      const { server: pair, ca } = makeCertificates();
      await using server = serve({ routes: createEchoService(), graceMs: 100, tls: pair, ...options });
      const { port, url } = await server.ready;
      const shaking = [connect(port, "127.0.0.1"), connect(port, "127.0.0.1")];
      await Promise.all(shaking.map((socket) => new Promise((resolve) => socket.once("connect", resolve))));
      // The server sees them a little later than they do.
      await eventually(
        "a refusal",
        () =>
          openSession(url, { ca }).then(
            (session) => session.destroy() as never,
            () => true,
          ),
        3000,
      );
      await closeAll(shaking);
      await eventually("room for a session", async () => {
        const session = await openSession(url, { ca });
        session.destroy();
        return true;
      });
    });
  });
}

for (const http2 of http2Kinds) {
  test(`serve({ maxConcurrentStreams, http2: "${http2}" }) tells clients of its limit, and refuses what is beyond`, async () => {
    await using server = serve({ http2, routes: createEchoService(), maxConcurrentStreams: 3, graceMs: 100 });
    const { url } = await server.ready;
    const session = await openSession(url);
    await eventually("SETTINGS", () => session.remoteSettings?.maxConcurrentStreams === 3);
    const answers = await Promise.all(
      Array.from({ length: 3 }, () => call(session, grpcHeaders(unaryPath), order(20))),
    );
    assert.deepEqual(
      answers.map(({ trailers }) => trailers["grpc-status"]),
      ["0", "0", "0"],
    );
    session.destroy();
  });
}

describe('serve({ http2: "lictor" })', () => {
  test("refuses streams of a client that does not keep to the limit, as unprocessed", async () => {
    await using server = serve({ http2: "lictor", routes: createEchoService(), maxConcurrentStreams: 2, graceMs: 100 });
    const { url } = await server.ready;
    const session = await openSession(url);
    // Before the client has seen the limit, as all go out with its preface.
    const answers = await Promise.all(
      Array.from({ length: 5 }, () => call(session, grpcHeaders(unaryPath), order(20))),
    );
    for (const { trailers, rstCode } of answers) assert.ok(trailers["grpc-status"] === "0" || rstCode === 7);
    assert.ok(answers.filter(({ trailers }) => trailers["grpc-status"] === "0").length >= 2);
    session.destroy();
  });

  test("finds clients that are gone without a word, by its clock", async () => {
    const clock = createManualClock();
    const server = serve({
      http2: "lictor",
      routes: createEchoService(),
      clock,
      keepalive: { timeMs: 60_000, timeoutMs: 5000 },
    });
    const { port } = await server.ready;
    const silent = connect(port, "127.0.0.1");
    silent.on("error", () => {});
    const received: Buffer[] = [];
    silent.on("data", (chunk) => received.push(chunk));
    const closed = new Promise<void>((resolve) => silent.once("close", () => resolve()));
    // The preface, SETTINGS, and the acknowledgement of the server's.
    silent.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    silent.write(new Uint8Array([0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0]));
    await eventually("the server's SETTINGS", () => Buffer.concat(received).length > 9);
    await clock.advance(50_000);
    assert.equal(silent.destroyed, false);
    await clock.advance(40_000);
    await closed;
    await server.close();
    assert.equal(clock.pending, 0);
  });

  test("asks clients to leave at their age, by its clock, and takes them back on a new connection", async () => {
    const clock = createManualClock();
    const server = serve({
      http2: "lictor",
      routes: createEchoService(),
      clock,
      random: () => 0.5,
      maxConnectionAgeMs: 60_000,
      maxConnectionAgeGraceMs: 5000,
    });
    const { url } = await server.ready;
    const session = await openSession(url);
    const closed = new Promise<void>((resolve) => session.once("close", () => resolve()));
    const answer = await call(session, grpcHeaders(unaryPath), order(0));
    assert.equal(answer.trailers["grpc-status"], "0");
    await clock.advance(59_000);
    assert.equal(session.closed, false);
    await clock.advance(2000);
    await closed;
    const again = await openSession(url);
    assert.equal((await call(again, grpcHeaders(unaryPath), order(0))).trailers["grpc-status"], "0");
    again.destroy();
    await server.close();
    assert.equal(clock.pending, 0);
  });
});
