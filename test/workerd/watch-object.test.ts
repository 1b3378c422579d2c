// The Durable Object in workerd: one blocking query for many isolates, and a snapshot that outlives the object.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createConsulClient } from "../../src/consul/consul-client.ts";
import { agentKinds, type TestAgent } from "../support/agent-kinds.ts";
import { type ConsulProxy, startConsulProxy } from "../support/consul-proxy.ts";
import { type EchoServer, registerInstance, startEchoServers } from "../support/echo-server.ts";
import { eventually, pause } from "../support/eventually.ts";
import type { WorkerReport } from "./worker.ts";
import { startWorkers, type TestWorkerOptions, type TestWorkers } from "./workerd.ts";

const source = "test/workerd/worker.ts";
const blocking = /^\/v1\/health\/service\/.*[?&]index=/;

/** The first has the objects; the others, isolates of their own, ask those of the first. */
function isolates(
  count: number,
  consul: string,
  bindings: Readonly<Record<string, unknown>> = {},
): TestWorkerOptions[] {
  return Array.from({ length: count }, (_, index) => ({
    name: `isolate-${index}`,
    bindings: { CONSUL: consul, OPTIONS: { maxAgeMs: 200 }, ...bindings },
    durableObjects: {
      WATCH: { className: "ServiceWatch", useSQLite: true, ...(index > 0 && { scriptName: "isolate-0" }) },
    },
  }));
}

for (const kind of agentKinds) {
  describe(`serviceWatchObject() in workerd, over the ${kind.name}`, { skip: kind.skip, timeout: 60_000 }, () => {
    let agent: TestAgent;
    let proxy: ConsulProxy;
    let servers: EchoServer[] = [];
    before(async () => {
      agent = await kind.start();
      proxy = await startConsulProxy(agent.address);
      servers = await startEchoServers("a", "b");
    });
    after(async () => {
      await proxy?.[Symbol.asyncDispose]();
      await Promise.all(servers.map((server) => server.close()));
      await agent?.[Symbol.asyncDispose]();
    });

    const register = async (service: string, server: EchoServer | undefined) => {
      assert.ok(server);
      const id = `${service}-${server.name}`;
      await registerInstance(createConsulClient(agent.address), { service, id, port: server.address.port });
    };
    const ask = (workers: TestWorkers, service: string, isolate: number, times = 1) =>
      workers.ask<WorkerReport>(`/unary?from=object&service=${service}&times=${times}`, `isolate-${isolate}`);

    test("isolates see a change within a second, over one blocking query", async () => {
      await register("Live", servers[0]);
      await using workers = await startWorkers(source, isolates(3, proxy.address));
      const since = proxy.requests.length;
      const everyone = async () => Promise.all([0, 1, 2].map((isolate) => ask(workers, "Live", isolate)));
      for (const { calls, discovery } of await everyone()) {
        assert.deepEqual([calls[0]?.server, discovery.urls.length, discovery.stale], ["a", 1, false]);
      }
      await eventually("the blocking query", () => proxy.waiting === 1);

      await register("Live", servers[1]);
      const changedAtMs = performance.now();
      await eventually("all to see both", async () =>
        (await everyone()).every(({ discovery }) => discovery.urls.length === 2),
      );
      const tookMs = performance.now() - changedAtMs;
      assert.ok(tookMs < 1000, `${tookMs} ms`);

      const many = await Promise.all(Array.from({ length: 100 }, (_, index) => ask(workers, "Live", index % 3, 2)));
      assert.deepEqual(
        many.flatMap(({ calls }) => calls.flatMap(({ error }) => error ?? [])),
        [],
      );
      assert.equal(proxy.waiting, 1, "one blocking query, whoever asks");
      // What was asked without an index was asked once, by the object.
      assert.equal(proxy.count("GET", /^\/v1\/health\/service\/(?!.*[?&]index=)/, since), 1);
      assert.ok(proxy.count("GET", blocking, since) <= 4);
    });

    test("two objects of one isolate that watch the same, and the Worker beside them, share no I/O", async () => {
      await register("Same", servers[0]);
      await using workers = await startWorkers(source, isolates(1, proxy.address));
      const everyone = () =>
        Promise.all(
          ["from=object&object=Same", "from=object&object=Same%232", "from=consul"].map((from) =>
            workers.ask<WorkerReport>(`/unary?service=Same&${from}`, "isolate-0"),
          ),
        );
      for (const { calls } of await everyone()) assert.equal(calls[0]?.server, "a", calls[0]?.error?.message);
      await eventually("a blocking query of each object", () => proxy.waiting === 2);
      await register("Same", servers[1]);
      await eventually("all to see both", async () => {
        const reports = await everyone();
        assert.deepEqual(
          reports.flatMap(({ calls }) => calls.flatMap(({ error }) => error ?? [])),
          [],
        );
        return reports.every(({ discovery }) => discovery.urls.length === 2);
      });
    });

    test("Consul away: the last snapshot stands, its age grows, and staleness shows", async () => {
      await register("Gone", servers[0]);
      await using workers = await startWorkers(source, isolates(2, proxy.address));
      await ask(workers, "Gone", 0);
      await eventually("the blocking query", () => proxy.waiting === 1);
      await proxy.cut();
      try {
        await eventually("the loss to show", async () => (await ask(workers, "Gone", 0)).discovery.stale);
        await pause(1000);
        const { calls, discovery } = await ask(workers, "Gone", 0);
        assert.equal(calls[0]?.server, "a");
        assert.ok((discovery.ageMs ?? 0) >= 1000, String(discovery.ageMs));
        // One that never asked before is served too.
        const { calls: others } = await ask(workers, "Gone", 1);
        assert.equal(others[0]?.server, "a", others[0]?.error?.message);
      } finally {
        await proxy.restore();
      }
      await eventually(
        "the watch to be live again",
        async () => !(await ask(workers, "Gone", 0)).discovery.stale,
        15_000,
      );
    });

    test("an object that is started again while Consul is down answers with what it has stored", async () => {
      const folder = mkdtempSync(join(tmpdir(), "lictor-workerd-"));
      try {
        await register("Stored", servers[0]);
        const shared = { durableObjectsPersist: folder };
        {
          await using workers = await startWorkers(source, isolates(1, proxy.address), shared);
          assert.equal((await ask(workers, "Stored", 0)).calls[0]?.server, "a");
        }
        await proxy.cut();
        await using workers = await startWorkers(source, isolates(1, proxy.address), shared);
        const { calls, discovery } = await ask(workers, "Stored", 0);
        assert.equal(calls[0]?.server, "a", calls[0]?.error?.message);
        assert.ok((discovery.ageMs ?? 0) > 100, String(discovery.ageMs));
        assert.equal(discovery.stale, true);
        const unknown = await ask(workers, "NeverSeen", 0);
        assert.equal(unknown.calls[0]?.error?.code, "Unavailable");
        assert.match(unknown.calls[0]?.error?.message ?? "", /service "NeverSeen" of Consul at /);
      } finally {
        await proxy.restore();
        rmSync(folder, { recursive: true, force: true });
      }
    });

    test("an idle object lets its query go, and asks again when it is asked", async () => {
      await register("Idle", servers[0]);
      await using workers = await startWorkers(source, isolates(1, proxy.address, { WATCH_OPTIONS: { idleMs: 300 } }));
      await ask(workers, "Idle", 0);
      await eventually("the blocking query", () => proxy.waiting === 1);
      await eventually("its end", () => proxy.waiting === 0, 3000);
      const since = proxy.requests.length;
      await pause(300);
      assert.equal(proxy.requests.length, since, "nothing is asked meanwhile");
      await register("Idle", servers[1]);
      const { discovery } = await ask(workers, "Idle", 0);
      assert.equal(discovery.urls.length, 1, "what the isolate still has");
      await eventually("the change", async () => (await ask(workers, "Idle", 0)).discovery.urls.length === 2, 1000);
    });
  });
}

test("an object whose options are no good says why, without a secret", { timeout: 30_000 }, async () => {
  const bindings = { TOKEN: "s3cret token", WATCH_OPTIONS: {} };
  await using workers = await startWorkers(source, isolates(1, "http://127.0.0.1:1", bindings));
  const { calls } = await workers.ask<WorkerReport>("/unary?from=object&service=Any");
  assert.equal(calls[0]?.error?.code, "Unavailable");
  assert.match(
    calls[0]?.error?.message ?? "",
    /answered 500: Cannot send the Consul token as it must be visible ASCII/,
  );
  assert.doesNotMatch(calls[0]?.error?.message ?? "", /s3cret/);
});
