// The snapshot cache of lictor/edge in workerd: where snapshots come from, how often they are read, and that nothing of one
// request is waited for in another.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";
import { createConsulClient } from "../../src/consul/consul-client.ts";
import { startEmbeddedConsul } from "../../src/testing/embedded-consul.ts";
import { startConsulProxy } from "../support/consul-proxy.ts";
import { type EchoServer, registerInstance, startEchoServers } from "../support/echo-server.ts";
import { eventually, pause } from "../support/eventually.ts";
import { listenOnLoopback } from "../support/loopback.ts";
import type { WorkerReport } from "./worker.ts";
import { startWorkers } from "./workerd.ts";

const source = "test/workerd/worker.ts";
const reads = /^\/v1\/health\/service\//;

describe("The snapshot cache of lictor/edge in workerd", { timeout: 60_000 }, () => {
  let servers: EchoServer[] = [];
  let urls: string[];
  before(async () => {
    servers = await startEchoServers("a", "b");
    urls = servers.map(({ address }) => `http://127.0.0.1:${address.port}`).sort();
  });
  after(async () => {
    await Promise.all(servers.map((server) => server.close()));
  });

  /** An agent that lists both servers, and a proxy that counts what is asked of it. */
  async function startConsul(service: string) {
    const agent = await startEmbeddedConsul();
    const proxy = await startConsulProxy(agent.address);
    const consul = createConsulClient(agent.address);
    for (const { name, address } of servers) await registerInstance(consul, { service, id: name, port: address.port });
    return {
      proxy,
      consul,
      async [Symbol.asyncDispose]() {
        await proxy[Symbol.asyncDispose]();
        await agent.close();
      },
    };
  }

  test("a snapshot out of KV serves, and a new one is seen", async () => {
    await using worker = await startWorkers(source, [
      { kvNamespaces: ["SNAPSHOTS"], bindings: { OPTIONS: { maxAgeMs: 0 } } },
    ]);
    const put = (endpoints: readonly string[]) =>
      worker.putKv("SNAPSHOTS", "Echo", JSON.stringify({ endpoints, confirmedAtMs: Date.now() }));
    const [first = "", second = ""] = urls;
    await put([first]);
    const one = await worker.ask<WorkerReport>("/unary?from=kv&service=Echo&times=4");
    assert.equal(new Set(one.calls.map(({ server }) => server)).size, 1);
    assert.deepEqual(one.discovery.urls, [first]);
    await put([first, second]);
    await eventually("the new list", async () => {
      const { calls, discovery } = await worker.ask<WorkerReport>("/unary?from=kv&service=Echo&times=4");
      return discovery.urls.length === 2 && calls.every(({ error }) => error === undefined);
    });
    await worker.putKv("SNAPSHOTS", "Echo", "{}");
    const kept = await worker.ask<WorkerReport>("/unary?from=kv&service=Echo&times=2");
    assert.deepEqual(kept.discovery.urls, urls, "kept, as what came is no snapshot");
  });

  test("a signed snapshot serves, and one that is forged does not", async () => {
    const key = "not a secret of anybody";
    const snapshot = JSON.stringify({ endpoints: urls, confirmedAtMs: Date.now() });
    let signature = createHmac("sha256", key).update(snapshot).digest("hex");
    const publisher = createServer((_request, response) => response.end(JSON.stringify({ snapshot, signature })));
    await using listening = await listenOnLoopback(publisher);
    const url = `http://127.0.0.1:${listening.port}/`;
    await using worker = await startWorkers(source, [{ bindings: { SIGNED: { url, key } } }]);
    const { calls, discovery } = await worker.ask<WorkerReport>("/unary?from=signed&times=4");
    assert.deepEqual(new Set(calls.map(({ server }) => server)), new Set(["a", "b"]));
    assert.deepEqual(discovery.urls, urls);
    signature = signature.replaceAll(/[0-9]/g, "a");
    await using other = await startWorkers(source, [{ bindings: { SIGNED: { url, key } } }]);
    const forged = await other.ask<WorkerReport>("/unary?from=signed");
    assert.equal(forged.calls[0]?.error?.code, "Unavailable");
    assert.match(forged.calls[0]?.error?.message ?? "", /the signature is wrong/);
  });

  test("50 calls of one request read Consul once", async () => {
    await using consul = await startConsul("Single");
    await using worker = await startWorkers(source, [{ bindings: { CONSUL: consul.proxy.address } }]);
    const { calls } = await worker.ask<WorkerReport>("/unary?from=consul&service=Single&parallel=50");
    assert.ok(calls.every(({ error }) => error === undefined));
    assert.equal(consul.proxy.count("GET", reads), 1);
    await worker.ask<WorkerReport>("/unary?from=consul&service=Single&times=20");
    assert.equal(consul.proxy.count("GET", reads), 1, "young enough for the next request too");
  });

  test("an old snapshot serves at once while waitUntil refreshes it after the response", async () => {
    await using consul = await startConsul("Ageing");
    let pass = Promise.withResolvers<void>();
    pass.resolve();
    await using gate = await startGate(consul.proxy.address, () => pass.promise);
    await using worker = await startWorkers(source, [
      { bindings: { CONSUL: gate.address, OPTIONS: { maxAgeMs: 100 } } },
    ]);
    const ask = () => worker.ask<WorkerReport>("/unary?from=consul&service=Ageing");
    await ask();
    const [, second] = servers;
    await consul.consul.agent.deregisterService(second?.name ?? "");
    await pause(200);
    pass = Promise.withResolvers();
    const old = await ask();
    assert.deepEqual([old.discovery.urls.length, old.waited], [2, 1], "served as it was");
    assert.equal(consul.proxy.count("GET", reads), 1, "the read is held");

    const held = pass;
    pass = Promise.withResolvers();
    held.resolve();
    await eventually(
      "the read after the response",
      () => consul.proxy.requests.at(-1)?.status === 200 && consul.proxy.count("GET", reads) === 2,
    );
    await pause(50);
    // What this request reads itself is held.
    const fresh = await ask();
    assert.equal(fresh.discovery.urls.length, 1, "what the request before has left behind");
    pass.resolve();
  });

  test("a slow Consul holds up no call that has a snapshot", async () => {
    await using agent = await startEmbeddedConsul();
    const consul = createConsulClient(agent.address);
    for (const { name, address } of servers)
      await registerInstance(consul, { service: "Slow", id: name, port: address.port });
    let delayMs = 0;
    await using slow = await startGate(agent.address, () => pause(delayMs));
    const bindings = { CONSUL: slow.address, OPTIONS: { maxAgeMs: 0 } };
    await using worker = await startWorkers(source, [{ bindings }]);
    await worker.ask("/unary?from=consul&service=Slow");
    delayMs = 1000;
    const { calls } = await worker.ask<WorkerReport>("/unary?from=consul&service=Slow&times=5");
    for (const { tookMs, error } of calls) {
      assert.equal(error, undefined);
      assert.ok(tookMs < 900, String(tookMs));
    }
  });

  test("200 requests at once share the cache, and none waits for another's I/O", async () => {
    await using consul = await startConsul("Crowd");
    await using worker = await startWorkers(source, [
      { bindings: { CONSUL: consul.proxy.address, OPTIONS: { maxAgeMs: 0 } } },
    ]);
    for (const round of ["cold", "warm"]) {
      const reports = await Promise.all(
        Array.from({ length: 200 }, (_, index) =>
          worker.ask<WorkerReport>(
            `/${index % 3 === 0 ? "stream" : "unary"}?from=consul&service=Crowd&times=2&count=2`,
          ),
        ),
      );
      const errors = reports.flatMap(({ calls }) => calls.flatMap(({ error }) => error?.message ?? []));
      assert.deepEqual(errors, [], round);
      const each = (name: string) =>
        reports.flatMap(({ calls }) => calls).filter(({ server }) => server === name).length;
      assert.ok(Math.abs(each("a") - each("b")) <= (round === "cold" ? 40 : 2), `${each("a")} and ${each("b")}`);
    }
  });

  test("a request that is given up while it reads leaves nothing for others to wait for", async () => {
    await using consul = await startConsul("GivenUp");
    let isHeld = true;
    await using held = await startGate(consul.proxy.address, () =>
      isHeld ? new Promise(() => {}) : Promise.resolve(),
    );
    await using worker = await startWorkers(source, [{ bindings: { CONSUL: held.address } }]);
    const controller = new AbortController();
    const path = "/unary?from=consul&service=GivenUp";
    const first = fetch(new URL(path, worker.url), { signal: controller.signal });
    await pause(300);
    controller.abort();
    await assert.rejects(first);
    isHeld = false;
    const { calls } = await worker.ask<WorkerReport>(path);
    assert.equal(calls[0]?.error, undefined);
    assert.ok((calls[0]?.tookMs ?? 9999) < 3000);
  });
});

interface Gate extends AsyncDisposable {
  readonly address: string;
}

/** What passes requests on to an agent when it is let through. */
async function startGate(target: string, pass: () => Promise<void>): Promise<Gate> {
  const server = createServer((request, response) => {
    void pass()
      .then(() => fetch(target + request.url))
      .then(async (answer) => {
        response.writeHead(answer.status, { "X-Consul-Index": "1" }).end(await answer.text());
      })
      // The test is over, and the agent is gone.
      .catch(() => response.destroy());
  });
  const listening = await listenOnLoopback(server);
  return {
    address: `http://127.0.0.1:${listening.port}`,
    [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose](),
  };
}
