// Registration with several agents, over real sockets: one of them goes silent, is lost, and comes back.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createConsulClient } from "../../src/consul/consul-client.ts";
import { registerService } from "../../src/registry/register-service.ts";
import { type EmbeddedConsul, startEmbeddedConsul } from "../../src/testing/embedded-consul.ts";
import { startConsulProxy } from "../support/consul-proxy.ts";
import { pause, until } from "../support/eventually.ts";
import { createRecordingLogger } from "../support/recording-logger.ts";

const instance = { name: "Hello", host: "127.0.0.1", port: 10000 } as const;
const id = "127.0.0.1:10000:Hello";
const quick = { type: "ttl", ttlMs: 3000, intervalMs: 150 } as const;
const registerPath = /^\/v1\/agent\/service\/register/;

/** Service ids that an agent lists, with `passing` only those whose checks pass. */
async function listed(agent: EmbeddedConsul, passing = true): Promise<string[]> {
  const { data } = await createConsulClient(agent.address).health.service("Hello", { passing });
  return data.map(({ Service }) => Service.ID);
}

/** Two agents, the first behind something that can cut it off. Each knows its own catalog only, unlike those of a cluster. */
async function twoAgents() {
  const one = await startEmbeddedConsul({ nodeName: "one" });
  const two = await startEmbeddedConsul({ nodeName: "two" });
  const proxy = await startConsulProxy(one.address);
  const logger = createRecordingLogger();
  return {
    one,
    two,
    proxy,
    logger,
    options: { ...instance, check: quick, logger, consul: { address: [proxy.address, two.address], logger } },
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await Promise.all([one.close(), two.close()]);
    },
  };
}

test("registerService() stays with the first agent while that answers", async () => {
  await using agents = await twoAgents();
  await using registration = registerService(agents.options);
  await registration.registered;
  await pause(600);
  assert.deepEqual([await listed(agents.one), await listed(agents.two, false)], [[id], []]);
});

test("registerService() goes to the next agent before the TTL is over, and leaves the first when it is back", async () => {
  await using agents = await twoAgents();
  const { one, two, proxy, logger } = agents;
  await using registration = registerService(agents.options);
  await registration.registered;
  await proxy.cut();
  await until(async () => (await listed(two)).length === 1);
  // Its last heartbeat is not that old: no client has missed it.
  assert.deepEqual(await listed(one), [id]);
  await until(() => registration.state.type === "registered");
  assert.equal(logger.count("Registering with another Consul agent"), 1);
  await proxy.restore();
  await until(async () => (await listed(one, false)).length === 0);
  await until(() => logger.count("Left the Consul agent used before") === 1);
  // It does not return for that.
  await pause(400);
  assert.deepEqual([await listed(one, false), await listed(two)], [[], [id]]);
  assert.equal(proxy.count("PUT", registerPath), 1);
  await registration.close();
  await registration.gone();
  assert.deepEqual(await listed(two, false), []);
});

test("registerService() goes to the next agent where the first has gone silent", async () => {
  const silent = new Set<string>();
  await using two = await startEmbeddedConsul({ nodeName: "two" });
  await using one = await startEmbeddedConsul({ nodeName: "one" });
  // Takes every request and answers none, as an agent that was stopped does.
  const fetch: typeof globalThis.fetch = (url, init) =>
    silent.has(new URL(String(url)).origin)
      ? new Promise((_, reject) => init?.signal?.addEventListener("abort", () => reject(init.signal?.reason)))
      : globalThis.fetch(url, init);
  const consul = { address: [one.address, two.address], fetch };
  await using registration = registerService({ ...instance, check: quick, consul, failoverAfterMs: 500 });
  await registration.registered;
  silent.add(one.address);
  await until(async () => (await listed(two)).length === 1, 5000);
  assert.deepEqual(await listed(one), [id]);
  silent.clear();
  await until(async () => (await listed(one, false)).length === 0);
});

test("registerService() registers with the next agent where the first was never there", async () => {
  await using agents = await twoAgents();
  await agents.proxy.cut();
  await using registration = registerService(agents.options);
  await registration.registered;
  assert.deepEqual(await listed(agents.two), [id]);
});

test("registerService() goes nowhere else when it is refused", async () => {
  await using strict = await startEmbeddedConsul({ tokens: [{ secret: "other", management: true }] });
  await using open = await startEmbeddedConsul();
  const logger = createRecordingLogger();
  const consul = { address: [strict.address, open.address] };
  await using registration = registerService({ ...instance, check: quick, consul, logger });
  await pause(700);
  assert.equal(registration.state.type, "registering");
  assert.deepEqual(await listed(open, false), []);
  assert.equal(logger.count("another Consul agent"), 0);
});

test("registerService() leaves every agent when it is closed", async () => {
  await using agents = await twoAgents();
  const { one, two, proxy } = agents;
  const registration = registerService({ ...agents.options, check: { ...quick, intervalMs: 1000, ttlMs: 9000 } });
  await registration.registered;
  await proxy.cut();
  await until(async () => (await listed(two)).length === 1);
  await until(() => registration.state.type === "registered");
  await proxy.restore();
  await registration.close();
  assert.deepEqual([await listed(one, false), await listed(two, false)], [[], []]);
  await registration.gone();
});

test("registerService() stays registered where two addresses are one agent's", async () => {
  await using agent = await startEmbeddedConsul({ nodeName: "one" });
  await using proxy = await startConsulProxy(agent.address);
  const logger = createRecordingLogger();
  const consul = { address: [proxy.address, agent.address] };
  await using registration = registerService({ ...instance, check: quick, consul, logger });
  await registration.registered;
  await proxy.cut();
  await until(() => logger.count("Registering with another Consul agent") === 1);
  await proxy.restore();
  await until(() => logger.count("Left the Consul agent used before") === 1);
  await until(async () => (await listed(agent)).length === 1);
  await pause(400);
  assert.deepEqual(await listed(agent), [id]);
});

test("registerService() throws when failoverAfterMs is no positive integer", () => {
  for (const failoverAfterMs of [0, -1, 1.5, Number.NaN]) {
    assert.throws(
      () => registerService({ ...instance, consul: "http://127.0.0.1:1", failoverAfterMs }),
      /"failoverAfterMs" must be an integer of at least 1/,
    );
  }
});
