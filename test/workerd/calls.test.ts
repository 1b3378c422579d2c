// Calls of lictor/edge in workerd, over a fixed list: both protocols, both formats, deadlines, streams, cancellation, errors.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Code, type Interceptor } from "@connectrpc/connect";
import { serve } from "../../src/server/serve.ts";
import type { Server } from "../../src/server/server.ts";
import { createEchoService } from "../support/echo-service.ts";
import { eventually } from "../support/eventually.ts";
import type { CallReport, WorkerReport } from "./worker.ts";
import { startWorkers, type TestWorkers } from "./workerd.ts";

describe("Calls of lictor/edge in workerd", { timeout: 60_000 }, () => {
  const servers: Server[] = [];
  const signals: AbortSignal[] = [];
  const httpMethods: string[] = [];
  let worker: TestWorkers;
  before(async () => {
    for (const server of ["a", "b"]) {
      const onCall = (_method: string, signal: AbortSignal) => signals.push(signal);
      const noteMethod: Interceptor = (next) => (request) => {
        httpMethods.push(request.requestMethod);
        return next(request);
      };
      servers.push(serve({ routes: createEchoService({ server, onCall }), interceptors: [noteMethod] }));
    }
    const endpoints = await Promise.all(
      servers.map(async (server) => {
        const { host, port } = await server.ready;
        return `http://${host}:${port}`;
      }),
    );
    worker = await startWorkers("test/workerd/worker.ts", [{ bindings: { OPTIONS: { endpoints } } }]);
  });
  after(async () => {
    await worker?.[Symbol.asyncDispose]();
    await Promise.all(servers.map((server) => server.close()));
  });

  async function call(path: string): Promise<CallReport> {
    const { calls } = await worker.ask<WorkerReport>(path);
    assert.equal(calls.length, 1);
    return calls[0] as CallReport;
  }

  test("a fixed list is called in turn, and is never stale", async () => {
    const { calls, discovery } = await worker.ask<WorkerReport>("/unary?times=10");
    const [first, second] = calls;
    assert.notEqual(first?.server, second?.server);
    for (const [index, { server }] of calls.entries()) assert.equal(server, calls[index % 2]?.server);
    assert.deepEqual([discovery.urls.length, discovery.ageMs, discovery.stale], [2, 0, false]);
  });

  for (const variant of ["protocol=connect", "protocol=connect&json", "protocol=grpc-web", "protocol=grpc-web&json"]) {
    test(`a unary call carries headers and trailers (${variant})`, async () => {
      const { header, trailer, error } = await call(`/unary?text=hi&${variant}`);
      assert.deepEqual([header, trailer, error], ["hi", "hi", undefined]);
    });

    test(`an error carries its code, its text and its metadata (${variant})`, async () => {
      const { error } = await call(`/unary?failCode=${Code.FailedPrecondition}&${variant}`);
      assert.equal(error?.code, "FailedPrecondition");
      assert.equal(error?.message, "asked to fail");
      assert.equal(error?.metadata["x-echo-error"], "yes");
    });

    test(`an error of a server is not tried elsewhere (${variant})`, async () => {
      const before = signals.length;
      const { error } = await call(`/idempotent?failCode=${Code.Unavailable}&${variant}`);
      assert.equal(error?.code, "Unavailable");
      assert.equal(signals.length - before, 1);
    });

    test(`a server stream comes whole, with an error at its end (${variant})`, async () => {
      const stream = await call(`/stream?count=5&${variant}`);
      assert.deepEqual([stream.messages, stream.error], [5, undefined]);
      const broken = await call(`/stream?count=3&failCode=${Code.DataLoss}&${variant}`);
      assert.deepEqual([broken.messages, broken.error?.code], [3, "DataLoss"]);
      assert.equal(broken.error?.metadata["x-echo-error"], "yes");
    });

    test(`a deadline ends a call, here and at the server (${variant})`, async () => {
      for (const path of ["/unary?delayMs=20000", "/stream?count=1&delayMs=20000"]) {
        const before = signals.length;
        const { error, tookMs } = await call(`${path}&timeoutMs=200&${variant}`);
        assert.equal(error?.code, "DeadlineExceeded");
        assert.ok(tookMs >= 150 && tookMs < 2000, String(tookMs));
        await eventually("the handler to be told", () => signals[before]?.aborted === true, 2000);
      }
    });

    test(`an abort ends a call, here and at the server (${variant})`, async () => {
      const before = signals.length;
      const { error, tookMs } = await call(`/unary?delayMs=20000&abortAfterMs=200&${variant}`);
      assert.equal(error?.code, "Canceled");
      assert.ok(tookMs < 2000, String(tookMs));
      await eventually("the handler to be told", () => signals[before]?.aborted === true, 2000);
    });

    test(`an abort ends a stream in its middle, here and at the server (${variant})`, async () => {
      const before = signals.length;
      const { error, messages } = await call(`/stream?count=1000&delayMs=20&abortAfter=3&${variant}`);
      assert.deepEqual([messages, error?.code], [3, "Canceled"]);
      await eventually("the handler to be told", () => signals[before]?.aborted === true, 2000);
    });
  }

  test("messages of a stream come as they are sent", async () => {
    // Whoever waits for the whole of it never sees the third message.
    const { messages } = await call("/stream?count=1000&delayMs=100&abortAfter=3&timeoutMs=5000");
    assert.equal(messages, 3);
  });

  test("a method without side effects is called by GET where that is asked for", async () => {
    const { server, error } = await call("/idempotent?text=hi&get");
    assert.equal(error, undefined);
    assert.ok(server === "a" || server === "b");
    assert.equal(httpMethods.at(-1), "GET");
    await call("/unary?get");
    assert.equal(httpMethods.at(-1), "POST", "it may have side effects");
  });

  test("200 calls at once in one request all end", async () => {
    const { calls } = await worker.ask<WorkerReport>("/unary?parallel=200");
    assert.equal(calls.filter(({ server }) => server === "a").length, 100);
    assert.equal(calls.filter(({ server }) => server === "b").length, 100);
  });
});
