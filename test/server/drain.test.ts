import assert from "node:assert/strict";
import { Agent, request } from "node:http";
import type { ClientHttp2Session } from "node:http2";
import { connect } from "node:net";
import { describe, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { serve } from "../../src/server/serve.ts";
import { createManualClock } from "../../src/testing/manual-clock.ts";
import { EchoService, UnaryRequestSchema } from "../gen/lictor/test/v1/echo_pb.ts";
import { advanceUntil } from "../support/advance-until.ts";
import { createEchoService } from "../support/echo-service.ts";
import { call, grpcFrame, grpcHeaders, type Http2Answer, openSession } from "../support/http2-call.ts";
import { http2Kinds } from "../support/http2-kinds.ts";

const unaryPath = "/lictor.test.v1.EchoService/Unary";

function echo(session: ClientHttp2Session, delayMs = 0): Promise<Http2Answer> {
  const message = toBinary(UnaryRequestSchema, create(UnaryRequestSchema, { text: "x", delayMs }));
  return call(session, grpcHeaders(unaryPath), grpcFrame(message));
}

/** Resolves when `count` calls have reached their handlers. */
function countCalls(count: number): { reached: Promise<void>; onCall: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  let left = count;
  return {
    reached: promise,
    onCall() {
      if (--left === 0) resolve();
    },
  };
}

/** Each call was answered, or refused by facts of HTTP/2 that tell its client that it was not processed. */
function assertServedOrUnprocessed(answers: readonly Http2Answer[]): void {
  for (const { status, trailers, rstCode, error } of answers) {
    if (trailers["grpc-status"] === "0") continue;
    assert.equal(status, undefined);
    const code = (error as NodeJS.ErrnoException | undefined)?.code;
    // REFUSED_STREAM, from the server or by GOAWAY's last id; or never sent, as the session had seen GOAWAY.
    assert.ok(
      rstCode === 7 || code === "ERR_HTTP2_GOAWAY_SESSION" || code === "ERR_HTTP2_INVALID_SESSION",
      `rstCode ${rstCode}, ${error}`,
    );
  }
}

for (const http2 of http2Kinds) {
  describe(`drain() of serve({ http2: "${http2}" })`, () => {
    test("finishes calls under way and reports them", async () => {
      const { reached, onCall } = countCalls(3);
      const server = serve({ http2, routes: createEchoService({ onCall }) });
      const { url } = await server.ready;
      const session = await openSession(url);
      const calls = [echo(session, 150), echo(session, 200), echo(session, 200)];
      await reached;
      const report = await server.drain();
      for (const answer of await Promise.all(calls)) {
        assert.equal(answer.trailers["grpc-status"], "0");
        assert.equal(answer.rstCode, 0);
      }
      assert.equal(report.finished, 3);
      assert.equal(report.cut, 0);
      assert.ok(report.tookMs >= 100 && report.tookMs < 2000, `${report.tookMs} ms`);
      assert.deepEqual(server.state, { type: "closed", report });
    });

    test("fails no call that was sent before its client heard of it: the others are refused as unprocessed", async () => {
      const server = serve({ http2, routes: createEchoService() });
      const { url } = await server.ready;
      const sessions = await Promise.all(Array.from({ length: 4 }, () => openSession(url)));
      const answers: Http2Answer[] = [];
      let over = false;
      const loops = sessions.map(async (session) => {
        // Several at a time, so that some are always on the wire.
        const worker = async () => {
          while (!over && !session.closed && !session.destroyed) {
            const answer = await echo(session, answers.length % 7 === 0 ? 5 : 0);
            answers.push(answer);
            if (answer.trailers["grpc-status"] !== "0") return;
          }
        };
        await Promise.all(Array.from({ length: 8 }, worker));
      });
      while (answers.length < 500) await new Promise((resolve) => setTimeout(resolve, 5));
      const report = await server.drain();
      over = true;
      await Promise.all(loops);
      assert.equal(report.cut, 0);
      assertServedOrUnprocessed(answers);
      for (const session of sessions) session.destroy();
    });

    test("tells idle connections so that a request that crosses with it is known to be unprocessed", async () => {
      for (let round = 0; round < 10; round++) {
        const server = serve({ http2, routes: createEchoService() });
        const { url } = await server.ready;
        const sessions = await Promise.all(Array.from({ length: 8 }, () => openSession(url)));
        await Promise.all(sessions.map((session) => echo(session)));
        // Sent in the same turn as the drain begins, or a few turns later.
        const draining = server.drain();
        for (let turn = 0; turn < round; turn++) await new Promise((resolve) => setImmediate(resolve));
        const answers = await Promise.all(sessions.map((session) => echo(session)));
        assertServedOrUnprocessed(answers);
        assert.equal((await draining).cut, 0);
        for (const session of sessions) session.destroy();
      }
    });

    test("cuts calls that outlast the grace: their signal aborts and they fail with unavailable", async () => {
      const signals: AbortSignal[] = [];
      const { reached, onCall } = countCalls(4);
      const server = serve({
        http2,
        graceMs: 100,
        routes: createEchoService({
          onCall(_, signal) {
            signals.push(signal);
            onCall();
          },
        }),
      });
      const { url } = await server.ready;
      const session = await openSession(url);
      const sessionManager = new Http2SessionManager(url);
      const grpc = createClient(EchoService, createGrpcTransport({ baseUrl: url, sessionManager }));
      const http1 = createClient(EchoService, createConnectTransport({ baseUrl: url, httpVersion: "1.1" }));
      const failures = Promise.allSettled([
        grpc.unary({ delayMs: 60_000 }),
        http1.unary({ delayMs: 60_000 }),
        (async () => {
          for await (const _ of grpc.serverStream({ count: 2, delayMs: 60_000 }));
        })(),
      ]);
      const raw = echo(session, 60_000);
      await reached;
      const report = await server.drain();
      assert.equal(report.cut, 4);
      assert.equal(report.finished, 0);
      for (const signal of signals) assert.equal(ConnectError.from(signal.reason).code, Code.Unavailable);
      for (const failure of await failures) {
        assert.equal(failure.status, "rejected");
        assert.equal(ConnectError.from(failure.reason).code, Code.Unavailable, String(failure.reason));
      }
      // In the one block of headers, where nothing was sent before.
      const { headers, trailers } = await raw;
      assert.equal({ ...headers, ...trailers }["grpc-status"], "14");
      sessionManager.abort();
    });

    test("cuts calls whose handler ignores its signal", async () => {
      const { reached, onCall } = countCalls(2);
      const server = serve({
        http2,
        graceMs: 50,
        routes(router) {
          router.service(EchoService, {
            unary: () => {
              onCall();
              return new Promise(() => {});
            },
            async *serverStream() {
              onCall();
              await new Promise(() => {});
            },
          });
        },
      });
      const { url } = await server.ready;
      const sessionManager = new Http2SessionManager(url);
      const client = createClient(EchoService, createGrpcTransport({ baseUrl: url, sessionManager }));
      const failures = Promise.allSettled([
        client.unary({}),
        (async () => {
          for await (const _ of client.serverStream({}));
        })(),
      ]);
      await reached;
      const report = await server.drain();
      assert.equal(report.cut, 2);
      assert.ok(report.tookMs < 1500, `${report.tookMs} ms`);
      for (const failure of await failures) {
        assert.equal(failure.status, "rejected");
        assert.equal(ConnectError.from(failure.reason).code, Code.Unavailable, String(failure.reason));
      }
      sessionManager.abort();
    });

    test("never ends a cut request as if it were complete", async () => {
      const server = serve({
        http2,
        routes: createEchoService(),
        graceMs: 50,
        fallback: () =>
          new Response(
            new ReadableStream({
              start: (controller) => controller.enqueue(new TextEncoder().encode("the first half")),
            }),
          ),
      });
      const { url } = await server.ready;
      const session = await openSession(url);
      const started = Promise.withResolvers<void>();
      const cut = new Promise<{ orderly: boolean }>((resolve) => {
        const stream = session.request({ ":path": "/" });
        let ended = false;
        let failed = false;
        stream.on("data", () => started.resolve());
        stream.on("end", () => {
          ended = true;
        });
        stream.on("error", () => {
          failed = true;
        });
        stream.on("close", () => resolve({ orderly: ended && !failed && stream.rstCode === 0 }));
      });
      const http1Started = Promise.withResolvers<void>();
      const http1 = fetch(url).then(async (response) => {
        const reader = response.body!.getReader();
        await reader.read();
        http1Started.resolve();
        await reader.read();
      });
      await Promise.all([started.promise, http1Started.promise]);
      const failure = assert.rejects(http1);
      assert.equal((await server.drain()).cut, 2);
      assert.deepEqual(await cut, { orderly: false });
      await failure;
    });

    test("is idempotent: every call gives the same promise, close() too", async () => {
      const server = serve({ http2, routes: createEchoService() });
      const first = server.drain();
      assert.equal(server.drain(), first);
      assert.equal(server.close(), first);
      await first;
      assert.equal(server.drain(), first);
      await server[Symbol.asyncDispose]();
    });

    test("is quick where nothing is under way", async () => {
      const server = serve({ http2, routes: createEchoService() });
      const { url } = await server.ready;
      const session = await openSession(url);
      await echo(session);
      const idle = connect(Number(new URL(url).port), "127.0.0.1");
      idle.on("error", () => {});
      await new Promise((resolve) => idle.once("connect", resolve));
      const { tookMs } = await server.drain();
      assert.ok(tookMs < 900, `${tookMs} ms`);
      idle.destroy();
    });

    test("sends GOAWAY to idle HTTP/2 connections and ends them", async () => {
      const server = serve({ http2, routes: createEchoService() });
      const { url } = await server.ready;
      const session = await openSession(url);
      await echo(session);
      const closed = new Promise((resolve) => session.once("close", resolve));
      await server.drain();
      await closed;
    });

    test("closes the port once the clients were told", async () => {
      const server = serve({ http2, routes: createEchoService() });
      const { url } = await server.ready;
      await server.drain();
      await assert.rejects(fetch(`${url}/healthz`));
    });

    test("tells HTTP/1.1 clients to close, and closes idle connections", async () => {
      const { reached, onCall } = countCalls(1);
      const server = serve({ http2, routes: createEchoService({ onCall }) });
      const { url } = await server.ready;
      const agent = new Agent({ keepAlive: true });
      const post = (delayMs: number) =>
        new Promise<string | undefined>((resolve, reject) => {
          const call = request(`${url}${unaryPath}`, {
            method: "POST",
            agent,
            headers: { "content-type": "application/json" },
          });
          call.on("response", (response) => {
            response.resume().on("end", () => resolve(response.headers.connection));
          });
          call.on("error", reject);
          call.end(JSON.stringify({ delayMs }));
        });
      const slow = post(150);
      await reached;
      assert.notEqual(await post(0), "close");
      const report = await server.drain();
      assert.equal(await slow, "close");
      assert.equal(report.cut, 0);
      assert.equal(report.finished, 1);
      agent.destroy();
    });

    test("does not wait longer than the grace for clients that do not answer, by the server's clock", async () => {
      const clock = createManualClock();
      const server = serve({ http2, routes: createEchoService(), clock, graceMs: 3_600_000 });
      const { url } = await server.ready;
      const { port } = new URL(url);
      // Speaks HTTP/2, then nothing: answers neither the PING nor the end of the connection.
      const silent = connect({ port: Number(port), host: "127.0.0.1", allowHalfOpen: true });
      silent.on("error", () => {});
      const preface = Buffer.concat([
        Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
      ]);
      silent.write(preface);
      await new Promise((resolve) => silent.once("data", resolve));
      silent.pause();
      const draining = server.drain();
      let done = false;
      void draining.then(() => {
        done = true;
      });
      await clock.advance(900);
      assert.equal(done, false);
      const report = await advanceUntil(clock, draining);
      assert.equal(report.cut, 0);
      assert.equal(clock.pending, 0);
      silent.destroy();
    });
  });
}
