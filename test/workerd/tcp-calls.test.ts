// Native gRPC out of workerd, by sockets of the request and by the sessions of a Durable Object: every kind of call, against our server
// and grpc-go's.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Code } from "@connectrpc/connect";
import { eventually } from "../support/eventually.ts";
import { type RelayedServer, serverKinds, startRelayed } from "./tcp-servers.ts";
import type { TcpCallReport } from "./tcp-worker.ts";
import { startWorkers, type TestWorkers } from "./workerd.ts";

for (const kind of serverKinds) {
  describe(`gRPC over TCP from workerd, to ${kind.name}`, { skip: kind.skip, timeout: 60_000 }, () => {
    let relayed: RelayedServer;
    let workers: TestWorkers;
    before(async () => {
      relayed = await startRelayed(kind, "a");
      const endpoints = [relayed.url];
      workers = await startWorkers("test/workerd/tcp-worker.ts", [
        {
          bindings: { OPTIONS: { endpoints }, OBJECT_OPTIONS: { endpoints } },
          durableObjects: { SESSIONS: "Sessions" },
        },
      ]);
    });
    after(async () => {
      await workers?.[Symbol.asyncDispose]();
      await relayed?.[Symbol.asyncDispose]();
    });

    for (const [via, way] of [
      ["", "by sockets of the request"],
      ["&object=calls", "by an object's sessions"],
    ] as const) {
      async function call(path: string): Promise<TcpCallReport> {
        const [report, ...more] = await workers.ask<TcpCallReport[]>(path + via);
        assert.equal(more.length, 0);
        return report as TcpCallReport;
      }

      test(`a unary call carries headers and trailers ${way}`, async () => {
        const { texts, server, header, trailer, error } = await call("/unary?text=hi");
        assert.deepEqual([texts, server, error], [["hi"], "a", undefined]);
        assert.deepEqual([header["x-echo-header"], trailer["x-echo-trailer"]], ["hi", "hi"]);
        if (kind.name === "grpc-go") assert.equal(header["x-echo-header-bin"], "aGk");
      });

      test(`messages of 1 MiB come back whole ${way}`, async () => {
        for (const options of ["", "&gzip"]) {
          const { payloadBytes, error } = await call(`/unary?bytes=1048576${options}`);
          assert.deepEqual([payloadBytes, error], [1_048_576, undefined]);
        }
      });

      test(`a message above the limit fails, and says so ${way}`, async () => {
        const { error } = await call("/unary?bytes=4194400");
        assert.equal(error?.code, "ResourceExhausted", error?.message);
      });

      test(`an error carries its code, text, metadata and details ${way}`, async () => {
        for (const path of ["/unary?text=t", "/serverStream?count=2&text=t"]) {
          const { texts, error } = await call(`${path}&failCode=${Code.FailedPrecondition}`);
          assert.deepEqual([texts.length, error?.code], [path.startsWith("/unary") ? 0 : 2, "FailedPrecondition"]);
          assert.equal(error?.message, "asked to fail");
          assert.equal(error?.metadata["x-echo-error"], "yes");
          assert.deepEqual(error?.details, ["detail"]);
        }
      });

      test(`streams of every kind come whole and in order ${way}`, async () => {
        const server = await call("/serverStream?count=500&text=s");
        assert.deepEqual([server.texts.length, server.error], [500, undefined]);
        const client = await call("/clientStream?count=3&text=c");
        assert.deepEqual([client.texts, client.error], [["c0,c1,c2"], undefined]);
        const both = await call("/bidi?count=100&text=");
        assert.deepEqual(
          both.texts,
          Array.from({ length: 100 }, (_, index) => String(index)),
        );
        const turns = await call("/pingPong?count=20");
        assert.deepEqual(
          turns.texts,
          Array.from({ length: 20 }, (_, index) => String(index)),
        );
      });

      test(`a deadline ends a call, here and at the server ${way}`, async () => {
        for (const path of [
          "/unary?delayMs=20000",
          "/serverStream?count=1&delayMs=20000",
          "/bidi?count=2&delayMs=20000",
        ]) {
          const before = relayed.server.canceled;
          const { error, tookMs } = await call(`${path}&timeoutMs=200`);
          assert.equal(error?.code, "DeadlineExceeded");
          assert.ok(tookMs >= 150 && tookMs < 2000, String(tookMs));
          await eventually("the handler to be told", () => relayed.server.canceled > before, 2000);
        }
      });

      test(`an abort ends a call, here and at the server ${way}`, async () => {
        for (const path of [
          "/unary?delayMs=20000",
          "/serverStream?count=1&delayMs=20000",
          "/bidi?count=2&delayMs=20000",
        ]) {
          const before = relayed.server.canceled;
          const { error, tookMs } = await call(`${path}&abortAfterMs=100`);
          assert.equal(error?.code, "Canceled");
          assert.ok(tookMs < 2000, String(tookMs));
          await eventually("the handler to be told", () => relayed.server.canceled > before, 2000);
        }
      });

      test(`an abort in the middle of a stream ends it ${way}`, async () => {
        const before = relayed.server.canceled;
        const { texts, error } = await call("/serverStream?count=1000&delayMs=20&abortAfter=3");
        assert.deepEqual([texts.length, error?.code], [3, "Canceled"]);
        await eventually("the handler to be told", () => relayed.server.canceled > before, 2000);
      });

      test(`the caller's messages end with a call that fails, ends late or is aborted ${way}`, async () => {
        for (const [query, code] of [
          // grpc-go's program fails no stream of both ways.
          ...(kind.name === "grpc-go"
            ? []
            : ([[`failCode=${Code.FailedPrecondition}`, "FailedPrecondition"]] as const)),
          ["timeoutMs=200", "DeadlineExceeded"],
          ["abortAfterMs=100", "Canceled"],
        ] as const) {
          const { texts, error } = await call(`/endless?text=x&${query}`);
          assert.deepEqual([texts.at(-1), error?.code], ["ended", code]);
        }
      });

      test(`a stream that the Worker leaves ends with its request ${way}`, async () => {
        const before = relayed.server.canceled;
        const { texts, tookMs } = await call("/leave?count=1000&delayMs=20");
        assert.equal(texts.length, 1);
        assert.ok(tookMs < 2000, String(tookMs));
        await eventually("the handler to be told", () => relayed.server.canceled > before, 2000);
      });

      test(`calls run side by side ${way}`, async () => {
        const reports = await workers.ask<TcpCallReport[]>(`/unary?text=p&delayMs=100&parallel=50${via}`);
        assert.deepEqual(
          reports.flatMap(({ error }) => error ?? []),
          [],
        );
        for (const { tookMs } of reports) assert.ok(tookMs < 1500, String(tookMs));
      });
    }

    test("a deadline outlives the requests beside it", async () => {
      // The timer of one that has ended fires no more: whoever relied on it would wait for ever.
      const short = workers.ask<TcpCallReport[]>("/unary?delayMs=100&timeoutMs=400");
      const long = workers.ask<TcpCallReport[]>("/unary?delayMs=20000&timeoutMs=700");
      assert.equal((await short)[0]?.error, undefined);
      assert.equal((await long)[0]?.error?.code, "DeadlineExceeded");
    });

    test("a request makes one connection for all its calls, and closes it", async () => {
      await eventually("the object's connection alone", () => relayed.open <= 1);
      const { accepted, open } = relayed;
      await workers.ask<TcpCallReport[]>("/unary?times=5&parallel=5");
      assert.equal(relayed.accepted - accepted, 1);
      await eventually("the end of it", () => relayed.open === open, 2000);
    });

    test("calls of an object share one connection over requests", async () => {
      const { accepted } = relayed;
      for (let request = 0; request < 5; request++) {
        const [report] = await workers.ask<TcpCallReport[]>(`/unary?object=shared&text=${request}`);
        assert.deepEqual(report?.texts, [String(request)]);
      }
      await Promise.all(Array.from({ length: 5 }, () => workers.ask("/unary?object=shared&delayMs=50")));
      assert.equal(relayed.accepted - accepted, 1);
    });
  });
}
