import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import type { AgentServiceRegistration } from "../../src/consul/agent.ts";
import { createConsulClient } from "../../src/consul/consul-client.ts";
import { createHelloService } from "../../src/hello/hello-service.ts";
import { serve } from "../../src/server/serve.ts";
import type { ServeOptions } from "../../src/server/serve-options.ts";
import type { Server } from "../../src/server/server.ts";
import { createManualClock } from "../../src/testing/manual-clock.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { advanceUntil } from "../support/advance-until.ts";
import { makeCertificates } from "../support/certificates.ts";
import { type ConsulProcess, realConsulSkip, startConsul } from "../support/consul-agent.ts";
import { createEchoService } from "../support/echo-service.ts";
import { createRecordingLogger } from "../support/recording-logger.ts";
import { createScriptedConsul, networkError } from "../support/scripted-consul.ts";
import { serviceEntry } from "../support/service-entry.ts";

/** What a server with these options registers. */
async function registered(options: Partial<ServeOptions>): Promise<AgentServiceRegistration> {
  const consul = createScriptedConsul();
  await using server = serve({ routes: createEchoService(), consul: consul.client, drainMarginMs: 0, ...options });
  await server.ready;
  await server.registration?.registered;
  const [registration] = [...consul.services.values()];
  assert.ok(registration);
  return registration;
}

describe("serve() with consul", () => {
  test("registers the one routed service by its name, with the announced address", async () => {
    const { Name, Address, Port, ID, Check } = await registered({ advertise: { host: "10.1.2.3", port: 4321 } });
    assert.deepEqual(
      { Name, Address, Port, ID },
      {
        Name: "EchoService",
        Address: "10.1.2.3",
        Port: 4321,
        ID: "10.1.2.3:4321:EchoService",
      },
    );
    assert.equal(Check?.TTL, "20s");
  });

  test("registers what service says", async () => {
    const registration = await registered({
      service: { name: "other", id: "me", tags: ["a", "b"], meta: { k: "v" }, weights: { passing: 5, warning: 2 } },
    });
    assert.equal(registration.Name, "other");
    assert.equal(registration.ID, "me");
    assert.deepEqual(registration.Tags, ["a", "b"]);
    assert.deepEqual(registration.Meta, { k: "v", lictor: "1" });
    assert.deepEqual(registration.Weights, { Passing: 5, Warning: 2 });
    assert.equal((await registered({ service: "short" })).Name, "short");
  });

  test("says in Meta that it is lictor's, unless it takes fewer PINGs than clients then send", async () => {
    assert.deepEqual((await registered({})).Meta, { lictor: "1" });
    assert.deepEqual((await registered({ service: { meta: { lictor: "no" } } })).Meta, { lictor: "no" });
    assert.deepEqual((await registered({ keepalive: { minTimeMs: 10_000 } })).Meta, { lictor: "1" });
    assert.deepEqual((await registered({ keepalive: { minTimeMs: 10_001 } })).Meta, {});
    const full = Object.fromEntries(Array.from({ length: 64 }, (_, i) => [`k${i}`, "v"]));
    assert.deepEqual((await registered({ service: { meta: full } })).Meta, full);
  });

  test("has Consul probe a TLS port by TLS, unless the check says otherwise", async () => {
    const tls = makeCertificates().server;
    const grpc = await registered({ tls, service: { check: { type: "grpc" } } });
    assert.equal(grpc.Check?.GRPCUseTLS, true);
    const http = await registered({ tls, service: { check: { type: "http" } } });
    assert.match(http.Check?.HTTP ?? "", /^https:/);
    const plain = await registered({ tls, service: { check: { type: "grpc", tls: false } } });
    assert.notEqual(plain.Check?.GRPCUseTLS, true);
  });

  test("throws for a bad registration before any port is open", () => {
    const { client } = createScriptedConsul();
    const routes = createEchoService();
    const both = (router: Parameters<typeof routes>[0]) => {
      routes(router);
      createHelloService()(router, undefined);
    };
    for (const [options, pattern] of [
      [{ routes, consul: client, service: "no/name" }, /"name"/],
      [{ routes, consul: client, service: { meta: { "bad key": "v" } } }, /"meta"/],
      [{ routes, consul: client, advertise: { host: "not a host" } }, /"host"/],
      [{ routes: both, consul: client }, /"service" must name/],
      [{ routes, service: "unused" }, /"consul"/],
    ] as const) {
      assert.throws(
        () => serve(options),
        (error: unknown) => error instanceof TypeError && pattern.test(error.message),
        String(pattern),
      );
    }
  });

  test("heartbeats say what health says", async () => {
    const consul = createScriptedConsul();
    const clock = createManualClock();
    const server = serve({ routes: createEchoService(), consul: consul.client, clock, random: () => 0.5 });
    await server.ready;
    await clock.advance(0);
    const [instance] = [...consul.services.values()];
    assert.equal(instance?.status, "passing");
    server.health.setStatus("", "NOT_SERVING");
    await clock.advance(6000);
    assert.equal(instance?.status, "critical");
    server.health.setStatus("", "SERVING");
    await clock.advance(6000);
    assert.equal(instance?.status, "passing");
    await advanceUntil(clock, server.close(), 500);
    assert.equal(clock.pending, 0);
  });

  test("serves while Consul is away, and registers when it comes", async () => {
    const consul = createScriptedConsul();
    const clock = createManualClock();
    consul.failure = networkError();
    const server = serve({ routes: createEchoService(), consul: consul.client, clock });
    const { url } = await server.ready;
    assert.equal((await fetch(`${url}/healthz`)).status, 200);
    await clock.advance(60_000);
    assert.equal(server.registration?.state.type, "registering");
    consul.failure = undefined;
    await clock.advance(6_000);
    assert.equal(server.registration?.state.type, "registered");
    assert.equal(consul.services.size, 1);
    await advanceUntil(clock, server.close(), 500);
  });
});

describe("drain() with consul", () => {
  interface Scene extends AsyncDisposable {
    readonly consul: ReturnType<typeof createScriptedConsul>;
    readonly clock: ReturnType<typeof createManualClock>;
    readonly server: Server;
    readonly url: string;
    /** Whether a new connection is still answered, and with what health. */
    healthz(): Promise<number | "refused">;
  }

  async function openScene(options: Partial<ServeOptions> = {}): Promise<Scene> {
    const consul = createScriptedConsul();
    const clock = createManualClock();
    const server = serve({ routes: createEchoService(), consul: consul.client, clock, service: "Hello", ...options });
    const { url } = await server.ready;
    return {
      consul,
      clock,
      server,
      url,
      healthz: () =>
        fetch(`${url}/healthz`, { headers: { connection: "close" } }).then(
          async ({ status, body }) => {
            await body?.cancel();
            return status;
          },
          () => "refused",
        ),
      async [Symbol.asyncDispose]() {
        await advanceUntil(clock, server.close(), 1000);
      },
    };
  }

  test("deregisters while still serving, waits until it is gone and a margin more, and only then closes the port", async () => {
    await using scene = await openScene({ drainMarginMs: 3000 });
    const { consul, clock, server, healthz, url } = scene;
    await clock.advance(0);
    await server.registration?.registered;
    consul.setHealth([serviceEntry({ id: server.registration?.id ?? "", node: "node-1" })]);
    const client = createClient(EchoService, createConnectTransport({ baseUrl: url, httpVersion: "1.1" }));
    const draining = server.drain();
    await clock.advance(0);
    assert.equal(server.state.type, "draining");
    assert.equal(consul.services.size, 0);
    // Deregistered, but still listed: health says no, calls are answered.
    assert.equal(await healthz(), 503);
    assert.equal((await client.unary({ text: "late" })).text, "late");
    await clock.advance(1000);
    assert.equal(await healthz(), 503);
    consul.setHealth([]);
    await clock.advance(2900);
    // Gone, but within the margin.
    assert.equal((await client.unary({ text: "later" })).text, "later");
    const { cut } = await advanceUntil(clock, draining);
    assert.equal(cut, 0);
    assert.equal(await healthz(), "refused");
    assert.equal(clock.pending, 0);
  });

  test("waits at most 5 s for Consul to list it no more", async () => {
    await using scene = await openScene({ drainMarginMs: 0 });
    const { consul, clock, server, healthz } = scene;
    await clock.advance(0);
    await server.registration?.registered;
    consul.setHealth([serviceEntry({ id: server.registration?.id ?? "", node: "node-1" })]);
    const draining = server.drain();
    await clock.advance(4900);
    assert.equal(await healthz(), 503);
    await advanceUntil(clock, draining);
    assert.equal(await healthz(), "refused");
  });

  test("neither waits for Consul nor keeps a margin where it was never registered", async () => {
    await using scene = await openScene({ drainMarginMs: 60_000 });
    const { consul, clock, server } = scene;
    consul.failure = networkError();
    await clock.advance(5000);
    const draining = server.drain();
    const { tookMs } = await advanceUntil(clock, draining);
    // Neither the 5 s for Consul nor the minute of the margin.
    assert.ok(tookMs < 5000, `${tookMs} ms`);
  });

  test("ends though Consul is away since", async () => {
    await using scene = await openScene({ drainMarginMs: 1000 });
    const { consul, clock, server } = scene;
    await clock.advance(0);
    await server.registration?.registered;
    consul.failure = networkError();
    const draining = server.drain();
    const { cut, tookMs } = await advanceUntil(clock, draining);
    assert.equal(cut, 0);
    assert.ok(tookMs < 15_000, `${tookMs} ms`);
  });
});

describe("serve() with a real Consul agent", { skip: realConsulSkip }, () => {
  let agent: ConsulProcess;
  before(async () => {
    agent = await startConsul();
  });
  after(() => agent.stop());

  for (const type of ["ttl", "grpc", "http", "tcp"] as const) {
    test(`passes a ${type} check, and is gone before its last answer`, { timeout: 30_000 }, async () => {
      const consul = createConsulClient({ address: agent.address });
      const logger = createRecordingLogger();
      const name = `Hello-${type}`;
      const check = type === "ttl" ? { type } : ({ type, intervalMs: 1000 } as const);
      const server = serve({
        routes: createHelloService(),
        consul: agent.address,
        service: { name, check },
        drainMarginMs: 50,
        logger,
      });
      const { url, announced } = await server.ready;
      let index: string | undefined;
      for (;;) {
        const answer = await consul.health.service(name, { passing: true, ...(index && { index, waitMs: 10_000 }) });
        index = answer.index;
        const [entry] = answer.data;
        if (entry === undefined) continue;
        assert.equal(entry.Service.Address, announced.host);
        assert.equal(entry.Service.Port, announced.port);
        break;
      }
      const draining = server.drain();
      const watched = (async () => {
        for (;;) {
          const { data, index: next } = await consul.health.service(name, { ...(index && { index, waitMs: 10_000 }) });
          index = next;
          if (data.length === 0) return (await fetch(`${url}/healthz`)).status;
        }
      })();
      // Whoever sees it gone can still call it.
      assert.equal(await watched, 503);
      assert.equal((await draining).cut, 0);
      assert.equal(logger.count("Closed"), 1);
      assert.deepEqual(Object.keys(await consul.agent.services()), []);
    });
  }
});
