// Maintenance: a server out of rotation and back, its clients told to leave, and handlers that learn of it.

import assert from "node:assert/strict";
import { Agent, request } from "node:http";
import { describe, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type HandlerContext } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { Health, HealthCheckResponse_ServingStatus as Status } from "../../gen/grpc/health/v1/health_pb.ts";
import { drainSignal } from "../../src/server/drain-signal.ts";
import { serve } from "../../src/server/serve.ts";
import type { ServeOptions } from "../../src/server/serve-options.ts";
import type { Server } from "../../src/server/server.ts";
import { createManualClock } from "../../src/testing/manual-clock.ts";
import { EchoService, ServerStreamRequestSchema, UnaryRequestSchema } from "../gen/lictor/test/v1/echo_pb.ts";
import { advanceUntil } from "../support/advance-until.ts";
import { type ConsulProcess, realConsulSkip, startConsul } from "../support/consul-agent.ts";
import { createEchoService } from "../support/echo-service.ts";
import { until } from "../support/eventually.ts";
import { call, grpcFrame, grpcHeaders, type Http2Answer, openSession } from "../support/http2-call.ts";
import { http2Kinds } from "../support/http2-kinds.ts";
import { consulError, createScriptedConsul, networkError } from "../support/scripted-consul.ts";
import { serviceEntry } from "../support/service-entry.ts";

const unaryPath = "/lictor.test.v1.EchoService/Unary";

function echo(session: Awaited<ReturnType<typeof openSession>>, delayMs = 0): Promise<Http2Answer> {
  const message = toBinary(UnaryRequestSchema, create(UnaryRequestSchema, { text: "x", delayMs }));
  return call(session, grpcHeaders(unaryPath), grpcFrame(message));
}

/** Reads by events: on Deno connect-node's client loses the end of streams that it reads late. */
function serverStream(
  session: Awaited<ReturnType<typeof openSession>>,
  protocol: "grpc" | "connect",
  delayMs = 0,
): Promise<Http2Answer> {
  const path = "/lictor.test.v1.EchoService/ServerStream";
  const message = toBinary(ServerStreamRequestSchema, create(ServerStreamRequestSchema, { count: 2, delayMs }));
  const connect = { ":method": "POST", ":path": path, "content-type": "application/connect+proto" };
  // Both protocols have the same five bytes before a message.
  return call(session, protocol === "grpc" ? grpcHeaders(path) : connect, grpcFrame(message));
}

function assertEnded({ body, headers, trailers, rstCode }: Http2Answer, text: string): void {
  assert.equal(rstCode, 0);
  assert.ok(body.includes(text), body.toString("latin1"));
  if (headers["content-type"] === "application/connect+proto") assert.ok(!body.includes('"error"'));
  else assert.equal(trailers["grpc-status"], "0");
}

/** A stream that goes on until its server drains, and says goodbye then. */
function streamUntilDrained(onStart: () => void = () => {}): ServeOptions["routes"] {
  return (router) =>
    router.service(EchoService, {
      async *serverStream(_, context: HandlerContext) {
        const signal = context.values.get(drainSignal);
        yield { text: "first" };
        onStart();
        if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve));
        yield { text: "goodbye" };
      },
      unary: ({ text }) => ({ text }),
    });
}

async function readAll(answers: AsyncIterable<{ readonly text: string }>): Promise<string[]> {
  const texts: string[] = [];
  for await (const { text } of answers) texts.push(text);
  return texts;
}

for (const http2 of http2Kinds) {
  describe(`drainSignal of serve({ http2: "${http2}" })`, () => {
    for (const protocol of ["grpc", "connect", "connect over HTTP/1.1"] as const) {
      test(`lets streams of ${protocol} end in order before the grace is over`, async () => {
        const started = Promise.withResolvers<void>();
        const server = serve({ http2, routes: streamUntilDrained(started.resolve) });
        const { url } = await server.ready;
        const session = await openSession(url);
        const http1 = createClient(EchoService, createConnectTransport({ baseUrl: url, httpVersion: "1.1" }));
        const reading =
          protocol === "connect over HTTP/1.1" ? readAll(http1.serverStream({})) : serverStream(session, protocol);
        await started.promise;
        const report = await server.drain();
        const answer = await reading;
        if (Array.isArray(answer)) assert.deepEqual(answer, ["first", "goodbye"]);
        else assertEnded(answer, "goodbye");
        assert.deepEqual([report.finished, report.cut], [1, 0]);
        assert.ok(report.tookMs < 5000, `${report.tookMs} ms`);
        session.destroy();
      });
    }

    test("says unavailable to the client of a handler that throws its reason", async () => {
      const started = Promise.withResolvers<void>();
      const server = serve({
        http2,
        routes: (router) =>
          router.service(EchoService, {
            async *serverStream(_, context) {
              const signal = context.values.get(drainSignal);
              yield { text: "first" };
              started.resolve();
              await new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
            },
          }),
      });
      const session = await openSession((await server.ready).url);
      const reading = serverStream(session, "grpc");
      await started.promise;
      assert.equal((await server.drain()).cut, 0);
      const { trailers, rstCode } = await reading;
      assert.deepEqual([trailers["grpc-status"], rstCode], ["14", 0]);
      session.destroy();
    });
  });

  describe(`maintenance() of serve({ http2: "${http2}" })`, () => {
    test("sends the clients away that are connected, and serves those that come anew", async () => {
      const server = serve({ http2, routes: createEchoService() });
      const { url, ...address } = await server.ready;
      const session = await openSession(url);
      const closed = new Promise((resolve) => session.once("close", resolve));
      const slow = echo(session, 100);
      await until(() => server.stats().underWay === 1);
      const report = await server.maintenance("new disks");
      assert.equal((await slow).trailers["grpc-status"], "0");
      await closed;
      assert.deepEqual([report.finished, report.cut], [1, 0]);
      const { state } = server;
      assert.ok(state.type === "maintenance" && state.reason === "new disks" && state.address.port === address.port);
      // Whoever comes all the same is served, and told that this is no server to call.
      const fresh = await openSession(url);
      assert.equal((await echo(fresh)).trailers["grpc-status"], "0");
      assert.equal((await fetch(`${url}/healthz`)).status, 503);
      server.health.setStatus("extra", "SERVING");
      assert.equal(server.health.status("extra"), "NOT_SERVING");
      await server.resume();
      assert.equal(server.state.type, "serving");
      assert.equal(server.health.status("extra"), "SERVING");
      assert.equal((await fetch(`${url}/healthz`)).status, 200);
      // Those who came meanwhile stay.
      assert.equal((await echo(fresh)).trailers["grpc-status"], "0");
      fresh.destroy();
      await server.close();
    });

    test("lets streams end in order, cuts what outlasts the grace, and leaves the calls of new clients alone", async () => {
      const server = serve({ http2, graceMs: 300, routes: createEchoService() });
      const { url } = await server.ready;
      const sessionManager = new Http2SessionManager(url);
      const grpc = createClient(EchoService, createGrpcTransport({ baseUrl: url, sessionManager }));
      const http1 = createClient(EchoService, createConnectTransport({ baseUrl: url, httpVersion: "1.1" }));
      const session = await openSession(url);
      const streams = [serverStream(session, "grpc", 60_000), serverStream(session, "connect", 60_000)];
      const failures = Promise.allSettled([grpc.unary({ delayMs: 60_000 }), http1.unary({ delayMs: 60_000 })]);
      await until(() => server.stats().underWay === 4);
      const draining = server.maintenance();
      await until(() => server.state.type === "maintenance");
      const fresh = await openSession(url);
      const slow = echo(fresh, 600);
      const report = await draining;
      assert.deepEqual([report.finished, report.cut], [0, 4]);
      for (const failure of await failures) {
        assert.equal(failure.status, "rejected");
        assert.equal(ConnectError.from(failure.reason).code, Code.Unavailable, String(failure.reason));
      }
      const [cutGrpc, cutConnect] = await Promise.all(streams);
      assert.equal({ ...cutGrpc?.headers, ...cutGrpc?.trailers }["grpc-status"], "14");
      assert.ok(cutConnect?.body.includes('"unavailable"'), String(cutConnect?.body));
      assert.equal((await slow).trailers["grpc-status"], "0");
      fresh.destroy();
      session.destroy();
      sessionManager.abort();
      await server.close();
    });

    test("ends the streams of health's watchers, who watch again", async () => {
      const server = serve({ http2, routes: createEchoService() });
      const { url } = await server.ready;
      const sessionManager = new Http2SessionManager(url);
      const client = createClient(Health, createGrpcTransport({ baseUrl: url, sessionManager }));
      const seen: Status[] = [];
      const watching = (async () => {
        for await (const { status } of client.watch({})) seen.push(status);
      })();
      await until(() => seen.length === 1);
      const report = await Promise.all([
        server.maintenance(),
        assert.rejects(watching, (error: unknown) => ConnectError.from(error).code === Code.Unavailable),
      ]);
      assert.equal(report[0].cut, 0);
      assert.equal(seen[0], Status.SERVING);
      assert.ok(seen.slice(1).every((status) => status === Status.NOT_SERVING));
      sessionManager.abort();
      await server.close();
    });

    test("closes idle connections of HTTP/1.1, and those under way with their answer", async () => {
      const server = serve({ http2, routes: createEchoService() });
      const { url } = await server.ready;
      const agent = new Agent({ keepAlive: true });
      const post = (delayMs: number) =>
        new Promise<string | undefined>((resolve, reject) => {
          const headers = { "content-type": "application/json" };
          const asked = request(`${url}${unaryPath}`, { method: "POST", agent, headers });
          asked.on("response", (response) => {
            response.resume().on("end", () => resolve(response.headers.connection));
          });
          asked.on("error", reject);
          asked.end(JSON.stringify({ delayMs }));
        });
      assert.notEqual(await post(0), "close");
      const slow = post(150);
      await until(() => server.stats().underWay === 1);
      assert.equal((await server.maintenance()).cut, 0);
      assert.equal(await slow, "close");
      assert.notEqual(await post(0), "close");
      agent.destroy();
      await server.close();
    });
  });
}

describe("maintenance() with consul", () => {
  interface Scene extends AsyncDisposable {
    readonly consul: ReturnType<typeof createScriptedConsul>;
    readonly clock: ReturnType<typeof createManualClock>;
    readonly server: Server;
  }

  async function openScene(options: Partial<ServeOptions> = {}): Promise<Scene> {
    const consul = createScriptedConsul();
    const clock = createManualClock();
    const random = () => 0.5;
    const service = "Hello";
    const server = serve({ routes: createEchoService(), consul: consul.client, clock, random, service, ...options });
    await server.ready;
    await clock.advance(0);
    await server.registration?.registered;
    consul.setHealth([serviceEntry({ id: server.registration?.id ?? "", node: "node-1" })]);
    return {
      consul,
      clock,
      server,
      async [Symbol.asyncDispose]() {
        await advanceUntil(clock, server.close(), 1000);
        assert.equal(clock.pending, 0);
      },
    };
  }

  test("asks the clients to leave only when Consul lists the instance as working no more, and a margin later", async () => {
    await using scene = await openScene({ drainMarginMs: 3000 });
    const { consul, clock, server } = scene;
    const session = await openSession(server.address?.url ?? "");
    let isTold = false;
    session.on("goaway", () => {
      isTold = true;
    });
    session.on("close", () => {
      isTold = true;
    });
    const slow = echo(session, 50);
    await until(() => server.stats().underWay === 1);
    const draining = server.maintenance("disks");
    await until(() => consul.count("maintenance") === 1);
    assert.equal((await slow).trailers["grpc-status"], "0");
    const [instance] = [...consul.services.values()];
    assert.equal(instance?.maintenance, "disks");
    await clock.advance(1000);
    assert.equal(isTold, false);
    const entry = serviceEntry({ id: server.registration?.id ?? "", node: "node-1" });
    consul.setHealth([{ ...entry, Checks: entry.Checks.map((check) => ({ ...check, Status: "critical" as const })) }]);
    await clock.advance(2900);
    assert.equal((await echo(session)).trailers["grpc-status"], "0");
    assert.equal(isTold, false);
    // It ended while nobody had been asked to leave yet.
    assert.equal((await advanceUntil(clock, draining)).finished, 1);
    assert.equal(isTold, true);
    assert.equal(server.registration?.state.type, "maintenance");
    // The heartbeats go on, and say what health said before.
    const beats = consul.count("update");
    await clock.advance(20_000);
    assert.ok(consul.count("update") > beats);
    assert.equal(instance?.status, "passing");
    await server.resume();
    assert.equal(instance?.maintenance, undefined);
    assert.equal(server.registration?.state.type, "registered");
    session.destroy();
  });

  test("waits no longer than 5 s for what Consul lists", async () => {
    await using scene = await openScene({ drainMarginMs: 0 });
    const report = await advanceUntil(scene.clock, scene.server.maintenance(), 100);
    assert.ok(report.tookMs >= 5000 && report.tookMs < 7000, `${report.tookMs} ms`);
  });

  test("waits for Consul while it is away, until resume() or drain()", async () => {
    for (const end of ["resume", "drain"] as const) {
      await using scene = await openScene({ drainMarginMs: 0 });
      const { consul, clock, server } = scene;
      consul.failure = networkError();
      const draining = server.maintenance();
      await clock.advance(60_000);
      assert.equal(server.state.type, "maintenance");
      consul.failure = undefined;
      const ended: Promise<unknown> = end === "resume" ? server.resume() : server.drain();
      await assert.rejects(draining, /Cannot finish maintenance as/);
      await advanceUntil(clock, ended, 500);
      assert.equal(server.state.type, end === "resume" ? "serving" : "closed");
    }
  });

  test("comes to nothing where Consul refuses it", async () => {
    await using scene = await openScene();
    const { consul, server, clock } = scene;
    consul.failure = consulError(403, "Permission denied");
    await assert.rejects(advanceUntil(clock, server.maintenance()), /Permission denied/);
    consul.failure = undefined;
    assert.equal(server.state.type, "serving");
    assert.equal(server.health.status(""), "SERVING");
  });

  test("drain() neither waits nor keeps a margin for a server that is out already", async () => {
    await using scene = await openScene({ drainMarginMs: 3000 });
    const { consul, clock, server } = scene;
    const draining = server.maintenance();
    await clock.advance(0);
    consul.setHealth([]);
    await advanceUntil(clock, draining);
    const { tookMs } = await advanceUntil(clock, server.drain());
    assert.ok(tookMs < 2500, `${tookMs} ms`);
    await assert.rejects(server.maintenance(), /the server is leaving/);
    await assert.rejects(server.resume(), /the server is leaving/);
  });
});

describe("maintenance() with a real Consul agent", { skip: realConsulSkip }, () => {
  test("takes the instance out of rotation, and puts it back", { timeout: 30_000 }, async () => {
    const agent: ConsulProcess = await startConsul();
    try {
      const server = serve({ routes: createEchoService(), consul: agent.address, drainMarginMs: 50 });
      await server.registration?.registered;
      await server.ready;
      await server.registration?.registered;
      const passing = async () => {
        const answer = await fetch(`${agent.address}/v1/health/service/EchoService?passing`);
        return ((await answer.json()) as unknown[]).length;
      };
      await until(async () => (await passing()) === 1);
      const report = await server.maintenance("disks");
      assert.ok(report.tookMs < 5000, `${report.tookMs} ms`);
      assert.equal(await passing(), 0);
      await server.resume();
      await until(async () => (await passing()) === 1);
      await server.close();
    } finally {
      await agent.stop();
    }
  });
});
