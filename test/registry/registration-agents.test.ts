// Registration against whole agents, over real sockets and real time.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createConsulClient } from "../../src/consul/consul-client.ts";
import type { CheckOptions } from "../../src/registry/check-options.ts";
import type { HealthReport } from "../../src/registry/register-options.ts";
import { registerService } from "../../src/registry/register-service.ts";
import { startEmbeddedConsul } from "../../src/testing/embedded-consul.ts";
import { agentKinds } from "../support/agent-kinds.ts";
import { realConsulSkip, startConsul } from "../support/consul-agent.ts";
import { startConsulProxy } from "../support/consul-proxy.ts";
import { until } from "../support/eventually.ts";
import { createRecordingLogger } from "../support/recording-logger.ts";

const instance = { name: "Hello", host: "127.0.0.1", port: 10000 } as const;
const id = "127.0.0.1:10000:Hello";
/** Heartbeats that make a test short. */
const quick = { type: "ttl", ttlMs: 2000, intervalMs: 400 } as const;
const registerPath = /^\/v1\/agent\/service\/register/;

/** Service ids whose checks all pass. */
async function passingIds(address: string): Promise<string[]> {
  const { data } = await createConsulClient(address).health.service("Hello", { passing: true });
  return data.map(({ Service }) => Service.ID);
}

for (const kind of agentKinds) {
  describe(`registerService() with the ${kind.name}`, () => {
    test("is passing once registered, and gone once closed", { skip: kind.skip }, async () => {
      await using agent = await kind.start();
      await using proxy = await startConsulProxy(agent.address);
      const registration = registerService({ ...instance, consul: proxy.address, meta: { version: "2" } });
      await registration.registered;
      const { data } = await createConsulClient(agent.address).health.service("Hello", { passing: true });
      assert.equal(data.length, 1);
      const [entry] = data;
      assert.deepEqual(
        [entry?.Service.ID, entry?.Service.Address, entry?.Service.Port, entry?.Service.Tags, entry?.Service.Meta],
        [id, "127.0.0.1", 10000, ["Hello"], { version: "2" }],
      );
      let gone = false;
      const seen = registration.gone().then(() => {
        gone = true;
      });
      await until(() => proxy.waiting === 1);
      assert.equal(gone, false);
      await registration.close();
      await seen;
      assert.deepEqual(await passingIds(agent.address), []);
      assert.equal(proxy.count("PUT", registerPath), 1);
    });

    test("comes back to an agent that forgot it, within a heartbeat and with one registration", {
      skip: kind.skip,
    }, async () => {
      await using agent = await kind.start();
      await using proxy = await startConsulProxy(agent.address);
      const logger = createRecordingLogger();
      await using registration = registerService({ ...instance, consul: proxy.address, check: quick, logger });
      await registration.registered;
      await registration.maintenance(true, "while it is away");
      await agent.kill();
      await until(() => logger.count("trying on") === 1);
      await agent.revive();
      const backMs = performance.now();
      await until(async () => {
        const { data } = await createConsulClient(agent.address).health.service("Hello");
        return (
          data[0]?.Checks.some((check) => check.CheckID === `service:${id}` && check.Status === "passing") ?? false
        );
      });
      // A heartbeat, its jitter, and what the agent and a busy machine take.
      assert.ok(performance.now() - backMs < 2000, `${performance.now() - backMs} ms`);
      assert.deepEqual(await passingIds(agent.address), [], "maintenance was lost");
      await registration.maintenance(false);
      assert.deepEqual(await passingIds(agent.address), [id]);
      assert.equal(logger.count("Consul has forgotten"), 1);
      assert.equal(proxy.count("PUT", registerPath), 2);
    });

    test("registers when Consul comes, once", { skip: kind.skip }, async () => {
      await using agent = await kind.start();
      await agent.kill();
      const registration = registerService({ ...instance, consul: agent.address, check: quick });
      await until(() => registration.state.type === "registering" && registration.state.attempts >= 2);
      await agent.revive();
      await registration.registered;
      assert.deepEqual(await passingIds(agent.address), [id]);
      await registration.close();
    });

    test("comes back when somebody else deregistered it, checks by the agent included", {
      skip: kind.skip,
    }, async () => {
      await using agent = await kind.start();
      const client = createConsulClient(agent.address);
      for (const check of [quick, { type: "tcp", intervalMs: 400 }] as const) {
        await using registration = registerService({ ...instance, consul: client, check });
        await registration.registered;
        await client.agent.deregisterService(id);
        await until(async () => (await client.agent.service(id)) !== undefined, 3000);
      }
    });

    test("reports what the health function finds", { skip: kind.skip }, async () => {
      await using agent = await kind.start();
      const client = createConsulClient(agent.address);
      let report: HealthReport = { status: "pass" };
      await using registration = registerService({ ...instance, consul: client, check: quick, health: () => report });
      await registration.registered;
      for (const [status, seen] of [
        ["fail", "critical"],
        ["warn", "warning"],
        ["pass", "passing"],
      ] as const) {
        report = { status, note: `now ${status}` };
        await until(async () => {
          const { Status, Output } = (await client.agent.checks())[`service:${id}`] ?? {};
          return Status === seen && Output === `now ${status}`;
        }, 3000);
      }
    });

    test("replaces the checks that another program left under its id", { skip: kind.skip }, async () => {
      await using agent = await kind.start();
      const client = createConsulClient(agent.address);
      await client.agent.registerService({ ID: id, Name: "Hello", Port: 10000, Address: "127.0.0.1" });
      await client.agent.registerCheck({ ID: id, Name: "left", ServiceID: id, TTL: "20s" });
      assert.deepEqual(await passingIds(agent.address), []);
      await using registration = registerService({ ...instance, consul: client });
      await registration.registered;
      assert.deepEqual(await passingIds(agent.address), [id]);
    });
  });
}

const probes: readonly CheckOptions[] = [
  { type: "grpc", timeoutMs: 1000 },
  { type: "grpc", target: "127.0.0.1:1/a.Service", tls: { verify: false } },
  { type: "http", method: "HEAD", headers: { Accept: "text/plain" }, timeoutMs: 500 },
  { type: "http", url: "https://127.0.0.1:1/healthz", tls: { verify: false } },
  { type: "tcp" },
];

test("registerService() writes every check as Consul 1.8 takes it", { skip: realConsulSkip }, async () => {
  await using agent = await startConsul();
  const client = createConsulClient(agent.address);
  for (const check of probes) {
    await using registration = registerService({ ...instance, consul: client, check });
    await registration.registered;
    const registered = (await client.agent.checks())[`service:${id}`];
    assert.deepEqual([registered?.Status, registered?.Type], ["critical", check.type]);
  }
});

test("registerService() survives an agent that freezes, with one registration", { skip: realConsulSkip }, async () => {
  await using agent = await startConsul();
  await using proxy = await startConsulProxy(agent.address);
  await using registration = registerService({ ...instance, consul: proxy.address, check: quick });
  await registration.registered;
  agent.pause();
  const before = proxy.count("PUT", /update/);
  await until(() => proxy.count("PUT", /update/) >= before + 4);
  agent.resume();
  await until(async () => (await passingIds(agent.address)).length === 1);
  assert.equal(proxy.count("PUT", registerPath), 1);
});

test("registerService() keeps trying where its token may not register", { skip: realConsulSkip }, async () => {
  await using agent = await startConsul({ acl: true });
  const logger = createRecordingLogger();
  let token: string | undefined;
  const consul = createConsulClient({ address: agent.address, token: () => token });
  await using registration = registerService({ ...instance, consul, check: quick, logger });
  await until(() => registration.state.type === "registering" && registration.state.attempts > 3);
  assert.equal(logger.count("trying on"), 1);
  token = agent.managementToken;
  await registration.registered;
});

test("registerService() understands how newer agents say that they forgot", async () => {
  await using agent = await startEmbeddedConsul({ compat: "1.22" });
  const logger = createRecordingLogger();
  await using registration = registerService({ ...instance, consul: agent.address, check: quick, logger });
  await registration.registered;
  await agent.restart();
  await until(async () => (await passingIds(agent.address)).length === 1, 3000);
  assert.equal(logger.count("Consul has forgotten"), 1);
  await createConsulClient(agent.address).agent.deregisterService(id);
  await registration.close();
  assert.equal(logger.count("Cannot deregister"), 0);
});
