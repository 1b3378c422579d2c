// lictor/edge in workerd, over Consul: who is found, whose turn it is, and what becomes of servers and agents that go away.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createConsulClient } from "../../src/consul/consul-client.ts";
import { createHelloService } from "../../src/hello/hello-service.ts";
import { serve } from "../../src/server/serve.ts";
import type { Server } from "../../src/server/server.ts";
import { agentKinds, type TestAgent } from "../support/agent-kinds.ts";
import { bundleForWeb } from "../support/bundle.ts";
import { type ConsulProxy, startConsulProxy } from "../support/consul-proxy.ts";
import { type EchoServer, registerInstance, startEchoServer } from "../support/echo-server.ts";
import { eventually, pause } from "../support/eventually.ts";
import { closedPort } from "../support/loopback.ts";
import type { SpawnedCommand } from "../support/spawn-command.ts";
import { spawnOn } from "../support/spawn-on.ts";
import type { WorkerReport } from "./worker.ts";
import { startWorkers, type TestWorkers } from "./workerd.ts";

const source = "test/workerd/worker.ts";
before(() => {
  bundleForWeb(source);
});

/** Which servers answered, in order. */
function servers({ calls }: WorkerReport): (string | undefined)[] {
  return calls.map(({ server, error }) => server ?? error?.code);
}

for (const kind of agentKinds) {
  describe(`lictor/edge in workerd, over the ${kind.name}`, { skip: kind.skip, timeout: 60_000 }, () => {
    let agent: TestAgent;
    let own: Server;
    let other: SpawnedCommand;
    let addresses: string[];
    let workers: TestWorkers;
    before(async () => {
      agent = await kind.start();
      other = spawnOn("bun", "server.ts", ["--consul", agent.address, "--port=0", "--log=warn"]);
      own = serve({ routes: createHelloService(), consul: agent.address, drainMarginMs: 0 });
      const { host, port } = await own.ready;
      await own.registration?.registered;
      addresses = [`${host}:${port}`, ...(await other.ready(1))].sort();
      const { health } = createConsulClient(agent.address);
      await eventually("both pass", async () => {
        return (await health.service("HelloService", { passing: true })).data.length === 2;
      });
      workers = await startWorkers(source, [
        { bindings: { CONSUL: agent.address } },
        { bindings: { CONSUL: agent.address } },
      ]);
    });
    after(async () => {
      await workers?.[Symbol.asyncDispose]();
      await other?.[Symbol.asyncDispose]();
      await own?.close();
      await agent?.[Symbol.asyncDispose]();
    });

    test("createHelloClient() calls the servers on Bun and Node in turn", async () => {
      const report = await workers.ask<WorkerReport>("/hello?from=consul&times=20");
      const answered = servers(report);
      for (const [index, message] of answered.entries()) {
        assert.match(message ?? "", /^Hello! edge!This is Server: /);
        assert.equal(message, answered[index % 2], "strictly in turn");
      }
      assert.deepEqual([...new Set(answered.map((message) => message?.split("Server: ")[1]))].sort(), addresses);
      assert.deepEqual([report.discovery.urls.length, report.discovery.stale], [2, false]);
    });

    test("createHelloClient() keeps the turn from request to request of an isolate", async () => {
      const answered: (string | undefined)[] = [];
      for (let request = 0; request < 6; request++) answered.push(...servers(await workers.ask("/hello?from=consul")));
      assert.equal(new Set(answered.slice(0, 2)).size, 2);
      for (const [index, message] of answered.entries()) assert.equal(message, answered[index % 2]);
    });

    test("createHelloClient() is right in two isolates, each with a cache of its own", async () => {
      for (const name of ["worker-0", "worker-1"]) {
        const answered = servers(await workers.ask("/hello?from=consul&times=10", name));
        assert.equal(new Set(answered).size, 2);
        for (const [index, message] of answered.entries()) assert.equal(message, answered[index % 2]);
      }
    });
  });
}

describe("lictor/edge in workerd, when things go away", { timeout: 60_000 }, () => {
  const [kind] = agentKinds;
  assert.ok(kind);
  let agent: TestAgent;
  let proxy: ConsulProxy;
  before(async () => {
    agent = await kind.start();
    proxy = await startConsulProxy(agent.address);
  });
  after(async () => {
    await proxy[Symbol.asyncDispose]();
    await agent[Symbol.asyncDispose]();
  });

  /** Servers of a service of their own, registered by hand: Consul goes on to list them. */
  async function register(service: string, names: readonly string[]): Promise<EchoServer[]> {
    const consul = createConsulClient(agent.address);
    const started = await Promise.all(names.map((name) => startEchoServer(name)));
    for (const { name, address } of started) {
      await registerInstance(consul, { service, id: name, port: address.port });
    }
    return started;
  }

  test("an endpoint that dies fails no idempotent call, and is avoided", async () => {
    await using worker = await startWorkers(source, [{ bindings: { CONSUL: proxy.address } }]);
    const agentOf = createConsulClient(agent.address);
    await using dying = spawnOn("node", "test/support/serve-echo.ts", [agent.address, "Dying", "dying"]);
    await using staying = await startEchoServer("staying", { consul: agent.address, service: "Dying" });
    await dying.ready(1);
    await eventually("both pass", async () => {
      return (await agentOf.health.service("Dying", { passing: true })).data.length === 2;
    });
    const ask = (path: string) =>
      worker.ask<WorkerReport>(`${path}${path.includes("?") ? "&" : "?"}from=consul&service=Dying`);
    assert.deepEqual(new Set(servers(await ask("/idempotent?times=4"))), new Set(["dying", "staying"]));

    // A call of each kind is under way on both when one is killed.
    const underWay = [ask("/idempotent?delayMs=600&parallel=4"), ask("/unary?delayMs=600&parallel=4")] as const;
    await eventually("the calls to reach the server that stays", () => staying.calls >= 2 + 4);
    await pause(200);
    dying.signal("SIGKILL");
    const [idempotent, unary] = await Promise.all(underWay);
    assert.deepEqual(
      servers(idempotent),
      Array.from({ length: 4 }, () => "staying"),
    );
    assert.deepEqual(servers(unary).toSorted(), ["Unavailable", "Unavailable", "staying", "staying"]);

    // Consul still lists it: its check has not run out.
    const later = await ask("/idempotent?times=20");
    assert.equal(later.discovery.urls.length, 2);
    assert.deepEqual(new Set(servers(later)), new Set(["staying"]));
    assert.deepEqual(new Set(servers(await ask("/unary?times=20"))), new Set(["staying"]), "avoided, so none fails");
    await staying.close();
  });

  test("an endpoint that refuses connections costs idempotent calls nothing", async () => {
    const [alive] = await register("Refusing", ["alive"]);
    assert.ok(alive);
    await using _alive = alive;
    await registerInstance(createConsulClient(agent.address), {
      service: "Refusing",
      id: "a-dead",
      port: await closedPort(),
    });
    await using worker = await startWorkers(source, [{ bindings: { CONSUL: proxy.address } }]);
    const report = await worker.ask<WorkerReport>("/idempotent?from=consul&service=Refusing&times=10");
    assert.equal(report.discovery.urls.length, 2);
    assert.deepEqual(new Set(servers(report)), new Set(["alive"]));
  });

  test("with every endpoint dead, a call fails with unavailable and says who was tried", async () => {
    const port = await closedPort();
    await registerInstance(createConsulClient(agent.address), { service: "Dead", id: "dead", port });
    await using worker = await startWorkers(source, [{ bindings: { CONSUL: proxy.address } }]);
    for (const method of ["idempotent", "unary", "stream"]) {
      const { calls } = await worker.ask<WorkerReport>(`/${method}?from=consul&service=Dead`);
      assert.equal(calls[0]?.error?.code, "Unavailable");
      assert.match(calls[0]?.error?.message ?? "", new RegExp(`127\\.0\\.0\\.1:${port}`));
    }
  });

  test("Consul away: the last snapshot serves, its age grows, and staleness shows", async () => {
    const started = await register("Away", ["a", "b"]);
    await using worker = await startWorkers(source, [
      { bindings: { CONSUL: proxy.address, OPTIONS: { maxAgeMs: 100, maxStaleMs: 60_000 } } },
    ]);
    const ask = (times: number) => worker.ask<WorkerReport>(`/unary?from=consul&service=Away&times=${times}`);
    const fresh = await ask(2);
    assert.deepEqual([fresh.discovery.urls.length, fresh.discovery.stale, fresh.discovery.lastError], [2, false, null]);
    await proxy.cut();
    await pause(300);
    const ages: number[] = [];
    for (let round = 0; round < 5; round++) {
      const { calls, discovery } = await ask(4);
      assert.deepEqual(new Set(calls.map(({ server }) => server)), new Set(["a", "b"]));
      assert.equal(discovery.urls.length, 2);
      assert.equal(discovery.stale, true);
      ages.push(discovery.ageMs ?? -1);
      await pause(150);
    }
    assert.deepEqual(
      ages,
      ages.toSorted((one, other) => one - other),
    );
    assert.ok((ages[0] ?? 0) >= 300 && (ages.at(-1) ?? 0) >= 900, String(ages));
    assert.match((await ask(1)).discovery.lastError ?? "", /^ConsulError: .*Cannot/);

    await proxy.restore();
    await eventually("the snapshot to be fresh again", async () => {
      const { discovery } = await ask(1);
      return !discovery.stale && discovery.lastError === null;
    });
    for (const server of started) await server.close();
  });

  test("Consul away from the start: the call fails with unavailable and says what was asked of whom", async () => {
    const address = `http://127.0.0.1:${await closedPort()}`;
    await using worker = await startWorkers(source, [
      { bindings: { CONSUL: address, TOKEN: "s3cret-token", OPTIONS: { waitTimeoutMs: 2000 } } },
    ]);
    const { calls, discovery } = await worker.ask<WorkerReport>("/hello?from=consul");
    const { code, message = "" } = calls[0]?.error ?? {};
    assert.equal(code, "Unavailable");
    assert.ok(message.includes(`service "HelloService" of Consul at ${address}`), message);
    assert.doesNotMatch(message, /s3cret/);
    assert.equal(discovery.ageMs, null);
  });
});
