import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { Health, HealthCheckResponse_ServingStatus as Status } from "../../gen/grpc/health/v1/health_pb.ts";
import { serve } from "../../src/server/serve.ts";
import type { Server } from "../../src/server/server.ts";
import { createEchoService } from "../support/echo-service.ts";
import { http2Kinds } from "../support/http2-kinds.ts";

const echo = "lictor.test.v1.EchoService";

for (const http2 of http2Kinds) {
  describe(`the health service of serve({ http2: "${http2}" })`, () => {
    let server: Server;
    let sessionManager: Http2SessionManager;
    let client: Client<typeof Health>;
    beforeEach(async () => {
      server = serve({ http2, routes: createEchoService(), graceMs: 1000 });
      const { url } = await server.ready;
      sessionManager = new Http2SessionManager(url);
      client = createClient(Health, createGrpcTransport({ baseUrl: url, sessionManager }));
    });
    afterEach(async () => {
      sessionManager.abort();
      await server.close();
    });

    test("Check says SERVING of the server and of each routed service", async () => {
      assert.equal((await client.check({})).status, Status.SERVING);
      assert.equal((await client.check({ service: echo })).status, Status.SERVING);
    });

    test("Check fails with not_found for an unknown service", async () => {
      await assert.rejects(
        client.check({ service: "no.Such" }),
        (error: unknown) => ConnectError.from(error).code === Code.NotFound,
      );
    });

    test("Check says what was set", async () => {
      server.health.setStatus(echo, "NOT_SERVING");
      server.health.setStatus("extra", "UNKNOWN");
      assert.equal((await client.check({ service: echo })).status, Status.NOT_SERVING);
      assert.equal((await client.check({ service: "extra" })).status, Status.UNKNOWN);
      assert.equal((await client.check({})).status, Status.SERVING);
    });

    test("List gives every service with its status", async () => {
      server.health.setStatus(echo, "NOT_SERVING");
      const { statuses } = await client.list({});
      const plain = Object.fromEntries(Object.entries(statuses).map(([service, { status }]) => [service, status]));
      assert.deepEqual(plain, { "": Status.SERVING, [echo]: Status.NOT_SERVING });
    });

    test("List fails with resource_exhausted beyond 100 services", async () => {
      for (let index = 0; index < 98; index++) server.health.setStatus(`extra.${index}`, "SERVING");
      assert.equal(Object.keys((await client.list({})).statuses).length, 100);
      server.health.setStatus("one.more", "SERVING");
      await assert.rejects(
        client.list({}),
        (error: unknown) => ConnectError.from(error).code === Code.ResourceExhausted,
      );
    });

    test("Watch sends the present status, then every change", async () => {
      const stop = new AbortController();
      const seen: number[] = [];
      const changes = (["NOT_SERVING", "SERVING", "UNKNOWN"] as const)[Symbol.iterator]();
      await assert.rejects(async () => {
        for await (const { status } of client.watch({ service: echo }, { signal: stop.signal })) {
          seen.push(status);
          const change = changes.next();
          if (change.done) stop.abort();
          else server.health.setStatus(echo, change.value);
        }
      });
      assert.deepEqual(seen, [Status.SERVING, Status.NOT_SERVING, Status.SERVING, Status.UNKNOWN]);
    });

    test("Watch says SERVICE_UNKNOWN of an unknown service, then what it becomes", async () => {
      const stop = new AbortController();
      const seen: number[] = [];
      await assert.rejects(async () => {
        for await (const { status } of client.watch({ service: "later" }, { signal: stop.signal })) {
          seen.push(status);
          if (seen.length === 1) server.health.setStatus("later", "SERVING");
          else stop.abort();
        }
      });
      assert.deepEqual(seen, [Status.SERVICE_UNKNOWN, Status.SERVING]);
    });

    test("Watch does not repeat a status that is set again", async () => {
      const stop = new AbortController();
      const seen: number[] = [];
      await assert.rejects(async () => {
        for await (const { status } of client.watch({}, { signal: stop.signal })) {
          seen.push(status);
          if (seen.length === 2) stop.abort();
          server.health.setStatus("", "SERVING");
          server.health.setStatus("", "SERVING");
          server.health.setStatus("", "NOT_SERVING");
        }
      });
      assert.deepEqual(seen, [Status.SERVING, Status.NOT_SERVING]);
    });

    test("Watch says NOT_SERVING when the server drains, ends with unavailable and holds nothing up", async () => {
      const seen: number[] = [];
      let report: Promise<{ tookMs: number; cut: number }> | undefined;
      await assert.rejects(
        async () => {
          for await (const { status } of client.watch({})) {
            seen.push(status);
            report ??= server.drain();
          }
        },
        (error: unknown) => ConnectError.from(error).code === Code.Unavailable,
      );
      // Without Consul there is no time between the two, so a slow reader may see the end only.
      assert.equal(seen[0], Status.SERVING);
      const { cut, tookMs } = await report!;
      assert.equal(cut, 0);
      assert.ok(tookMs < 1000, `${tookMs} ms`);
    });

    test("Watchers of clients that went away are forgotten", async () => {
      const stop = new AbortController();
      await assert.rejects(async () => {
        for await (const _ of client.watch({ service: echo }, { signal: stop.signal })) stop.abort();
      });
      sessionManager.abort();
      // A change after that reaches nobody, and nothing is under way once the server has noticed.
      server.health.setStatus(echo, "NOT_SERVING");
      const { cut, tookMs } = await server.close();
      assert.equal(cut, 0);
      assert.ok(tookMs < 900, `${tookMs} ms`);
    });
  });
}

describe("serve()", () => {
  test("refuses routes of the health service: it is served already", () => {
    assert.throws(
      () => serve({ routes: (router) => router.service(Health, {}) }),
      (error: unknown) => error instanceof TypeError && /grpc\.health\.v1\.Health/.test(error.message),
    );
  });

  test("keeps a status that the routes have set", async () => {
    await using server = serve({
      routes(router, self) {
        createEchoService()(router);
        self.health.setStatus(echo, "NOT_SERVING");
      },
    });
    await server.ready;
    assert.equal(server.health.status(echo), "NOT_SERVING");
    assert.equal(server.health.status(""), "SERVING");
    assert.equal(server.health.status("other"), undefined);
  });
});
