// A server with `overload`, asked in every way that it can be: who is answered, who is refused, and how each protocol says so.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import { Health } from "../../../gen/grpc/health/v1/health_pb.ts";
import type { OverloadOptions } from "../../../src/server/overload/overload-options.ts";
import { serve } from "../../../src/server/serve.ts";
import type { ServeOptions } from "../../../src/server/serve-options.ts";
import { EchoService, UnaryRequestSchema } from "../../gen/lictor/test/v1/echo_pb.ts";
import { createEchoService } from "../../support/echo-service.ts";
import { until } from "../../support/eventually.ts";
import { call, grpcFrame, grpcHeaders, type Http2Answer, openSession } from "../../support/http2-call.ts";
import { http2Kinds } from "../../support/http2-kinds.ts";

const unaryPath = "/lictor.test.v1.EchoService/Unary";

/** A server whose handlers wait until they are let go. */
async function openHeld(overload: OverloadOptions, options: Partial<ServeOptions> = {}) {
  const held: (() => void)[] = [];
  let ran = 0;
  const server = serve({
    graceMs: 0,
    overload,
    routes(router) {
      router.service(EchoService, {
        async unary({ text }) {
          ran++;
          await new Promise<void>((resolve) => held.push(resolve));
          return { text };
        },
        async *bidi(requests) {
          ran++;
          for await (const { text } of requests) yield { text };
        },
      });
    },
    ...options,
  });
  const { url } = await server.ready;
  return {
    server,
    url,
    get ran() {
      return ran;
    },
    /** Lets go of those that run, and of those that will. */
    release() {
      for (const resolve of held.splice(0)) resolve();
    },
    running: (count: number) => until(() => server.stats().overload?.running === count),
    queued: (count: number) => until(() => server.stats().overload?.queued === count),
  };
}

function unary(session: Awaited<ReturnType<typeof openSession>>, timeout?: string): Promise<Http2Answer> {
  const message = grpcFrame(toBinary(UnaryRequestSchema, create(UnaryRequestSchema, { text: "x" })));
  return call(session, grpcHeaders(unaryPath, timeout === undefined ? {} : { "grpc-timeout": timeout }), message);
}

for (const http2 of http2Kinds) {
  describe(`serve({ http2: "${http2}", overload })`, () => {
    test("answers what it can in turn, and refuses the rest before a handler sees it", async () => {
      const scene = await openHeld({ maxConcurrentCalls: 1, maxQueued: 1, queueTimeoutMs: 60_000 }, { http2 });
      const session = await openSession(scene.url);
      const first = unary(session);
      await scene.running(1);
      const second = unary(session);
      await scene.queued(1);
      const refused = await Promise.all([unary(session), unary(session)]);
      for (const { rstCode, headers, trailers } of refused) {
        const status = { ...headers, ...trailers }["grpc-status"];
        // REFUSED_STREAM, or a status that says when to come again.
        if (http2 === "lictor") assert.deepEqual([rstCode, status], [7, undefined]);
        else assert.deepEqual([rstCode, status, headers["grpc-retry-pushback-ms"]], [0, "14", "0"]);
      }
      assert.equal(scene.ran, 1);
      scene.release();
      await scene.running(1);
      await until(() => scene.ran === 2);
      scene.release();
      for (const { headers, trailers } of await Promise.all([first, second])) {
        assert.equal({ ...headers, ...trailers }["grpc-status"], "0");
      }
      assert.deepEqual(scene.server.stats(), {
        underWay: 0,
        overload: { running: 0, queued: 0, limit: 1, shed: 2, expired: 0 },
      });
      session.destroy();
      await scene.server.close();
    });

    test("tells clients when to come again where many are refused", async () => {
      const scene = await openHeld({ maxConcurrentCalls: 1, maxQueued: 0 }, { http2 });
      const session = await openSession(scene.url);
      const first = unary(session);
      await scene.running(1);
      for (let round = 0; round < 2; round++) await Promise.all(Array.from({ length: 50 }, () => unary(session)));
      const { headers, trailers, rstCode } = await unary(session);
      const fields = { ...headers, ...trailers };
      assert.equal(fields["grpc-status"], "14");
      assert.equal(rstCode, 0);
      assert.ok(Number(fields["grpc-retry-pushback-ms"]) >= 25, String(fields["grpc-retry-pushback-ms"]));
      scene.release();
      await first;
      session.destroy();
      await scene.server.close();
    });

    test("never runs a call whose deadline passed while it waited", async () => {
      const scene = await openHeld({ maxConcurrentCalls: 1, queueTimeoutMs: 60_000 }, { http2 });
      const session = await openSession(scene.url);
      const first = unary(session);
      await scene.running(1);
      const { headers, trailers } = await unary(session, "50m");
      assert.equal({ ...headers, ...trailers }["grpc-status"], "4");
      assert.equal(scene.server.stats().overload?.queued, 0);
      scene.release();
      await first;
      assert.equal(scene.ran, 1);
      session.destroy();
      await scene.server.close();
    });

    test("forgets who waited and left", async () => {
      const scene = await openHeld({ maxConcurrentCalls: 1, queueTimeoutMs: 60_000 }, { http2 });
      const session = await openSession(scene.url);
      const other = await openSession(scene.url);
      const first = unary(session);
      await scene.running(1);
      const left = unary(other);
      await scene.queued(1);
      other.destroy();
      await left;
      await scene.queued(0);
      scene.release();
      await first;
      await scene.running(0);
      assert.equal(scene.ran, 1);
      session.destroy();
      await scene.server.close();
    });

    test("says so in each protocol, over HTTP/2 and HTTP/1.1", async () => {
      const scene = await openHeld({ maxConcurrentCalls: 1, maxQueued: 0 }, { http2 });
      const session = await openSession(scene.url);
      const first = unary(session);
      await scene.running(1);
      const baseUrl = scene.url;
      const sessionManager = new Http2SessionManager(baseUrl);
      for (const httpVersion of ["1.1", "2"] as const) {
        for (const transport of [
          createConnectTransport({ baseUrl, httpVersion, sessionManager }),
          createConnectTransport({ baseUrl, httpVersion, sessionManager, useBinaryFormat: true }),
          createGrpcWebTransport({ baseUrl, httpVersion, sessionManager }),
        ]) {
          const client = createClient(EchoService, transport);
          const isRefused = (error: unknown): boolean => {
            const { code, metadata, rawMessage } = ConnectError.from(error);
            assert.deepEqual([code, rawMessage], [Code.Unavailable, "the server is overloaded"]);
            assert.equal(metadata.get("grpc-retry-pushback-ms"), "0");
            return true;
          };
          await assert.rejects(client.unary({ text: "x" }), isRefused);
          if (httpVersion === "1.1") continue;
          await assert.rejects(async () => {
            for await (const _ of client.bidi(requestsOf("x")));
          }, isRefused);
        }
      }
      assert.equal(scene.ran, 1);
      scene.release();
      await first;
      // And none of them when there is room again.
      const client = createClient(EchoService, createConnectTransport({ baseUrl, httpVersion: "1.1" }));
      const answered = client.unary({ text: "y" });
      await until(() => scene.ran === 2);
      scene.release();
      assert.equal((await answered).text, "y");
      await scene.running(0);
      session.destroy();
      sessionManager.abort();
      await scene.server.close();
    });

    test("answers health, and what is exempt, however busy it is", async () => {
      const scene = await openHeld(
        { maxConcurrentCalls: 1, maxQueued: 0, exempt: ["lictor.test.v1.EchoService/Bidi"] },
        { http2 },
      );
      const session = await openSession(scene.url);
      const first = unary(session);
      await scene.running(1);
      const sessionManager = new Http2SessionManager(scene.url);
      const transport = createGrpcTransport({ baseUrl: scene.url, sessionManager });
      assert.equal((await createClient(Health, transport).check({})).status, 1);
      const answers: string[] = [];
      for await (const { text } of createClient(EchoService, transport).bidi(requestsOf("a", "b"))) answers.push(text);
      assert.deepEqual(answers, ["a", "b"]);
      assert.equal((await fetch(`${scene.url}/healthz`)).status, 200);
      scene.release();
      await first;
      session.destroy();
      sessionManager.abort();
      await scene.server.close();
    });

    test("counts streams for what they weigh", async () => {
      for (const [streamWeight, running] of [
        [1, 1],
        [0, 0],
      ] as const) {
        const scene = await openHeld({ maxConcurrentCalls: 3, streamWeight }, { http2 });
        const sessionManager = new Http2SessionManager(scene.url);
        const client = createClient(EchoService, createGrpcTransport({ baseUrl: scene.url, sessionManager }));
        const end = Promise.withResolvers<void>();
        const requests = async function* () {
          yield { text: "a" };
          await end.promise;
        };
        const answers = client.bidi(requests())[Symbol.asyncIterator]();
        await answers.next();
        assert.equal(scene.server.stats().overload?.running, running);
        end.resolve();
        await answers.next();
        await scene.running(0);
        sessionManager.abort();
        await scene.server.close();
      }
    });
  });
}

describe("serve({ overload })", () => {
  test("counts a handler until it settles, though its call is over before", async () => {
    const scene = await openHeld({ maxConcurrentCalls: 1, queueTimeoutMs: 60_000 });
    const session = await openSession(scene.url);
    const { headers, trailers } = await unary(session, "50m");
    assert.equal({ ...headers, ...trailers }["grpc-status"], "4");
    assert.equal(scene.server.stats().overload?.running, 1);
    scene.release();
    await scene.running(0);
    session.destroy();
    await scene.server.close();
  });

  test("reads the sockets while handlers compute: who comes meanwhile is refused in time", async () => {
    const server = serve({
      graceMs: 0,
      overload: { queueTimeoutMs: 40 },
      routes: (router) =>
        router.service(EchoService, {
          unary() {
            const untilMs = performance.now() + 4;
            while (performance.now() < untilMs);
            return { text: "x" };
          },
        }),
    });
    const session = await openSession((await server.ready).url);
    const answers = await Promise.all(Array.from({ length: 200 }, () => unary(session)));
    const good = answers.filter(({ headers, trailers }) => ({ ...headers, ...trailers })["grpc-status"] === "0").length;
    // Ten at least within 40 ms; all of them would take 800 ms.
    assert.ok(good >= 2 && good <= 150, `${good} answered`);
    assert.equal(server.stats().overload?.shed, 200 - good);
    session.destroy();
    await server.close();
  });

  test("throws for bad options before any port is open", () => {
    const routes = createEchoService();
    const bad: readonly [unknown, RegExp][] = [
      [1, /"overload" must be an object: received 1/],
      [{ maxConcurrentCalls: 0 }, /"overload.maxConcurrentCalls" must be an integer of at least 1, or "adaptive"/],
      [{ maxConcurrentCalls: "auto" }, /"overload.maxConcurrentCalls"/],
      [{ maxQueued: -1 }, /"overload.maxQueued" must be an integer of at least 0/],
      [{ queueTimeoutMs: 0 }, /"overload.queueTimeoutMs" must be milliseconds, 1 to 2147483647/],
      [{ streamWeight: 2 }, /"overload.streamWeight" must be a number from 0 to 1/],
      [{ exempt: "a" }, /"overload.exempt" must be a list/],
      [{ exempt: ["lictor.test.v1.EchoService", "no.Such"] }, /"overload.exempt" must name .*: received "no.Such"/],
    ];
    for (const [overload, message] of bad) {
      assert.throws(
        () => serve({ routes, overload: overload as OverloadOptions }),
        (error: unknown) => (error instanceof TypeError || error instanceof RangeError) && message.test(error.message),
        String(message),
      );
    }
  });

  test("stats() has nothing of overload without it", async () => {
    await using server = serve({ routes: createEchoService() });
    await server.ready;
    assert.deepEqual(server.stats(), { underWay: 0, overload: undefined });
  });
});

async function* requestsOf(...texts: readonly string[]) {
  for (const text of texts) yield { text };
}
