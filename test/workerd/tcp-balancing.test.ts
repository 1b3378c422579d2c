// Who is called out of workerd over sockets, and what happens when servers come, leave and die: from requests, and from an object's sessions.

import assert from "node:assert/strict";
import { createServer } from "node:net";
import { after, before, describe, test } from "node:test";
import { createConsulClient } from "../../src/consul/consul-client.ts";
import { startEmbeddedConsul } from "../../src/testing/embedded-consul.ts";
import { registerInstance } from "../support/echo-server.ts";
import { eventually, pause } from "../support/eventually.ts";
import { type RelayedServer, type ServerKind, serverKinds, startRelayed } from "./tcp-servers.ts";
import type { TcpCallReport } from "./tcp-worker.ts";
import { startWorkers, type TestWorkerOptions, type TestWorkers } from "./workerd.ts";

const source = "test/workerd/tcp-worker.ts";

function worker(name: string, options: object, objectOptions: object = options): TestWorkerOptions {
  return {
    name,
    bindings: { OPTIONS: options, OBJECT_OPTIONS: objectOptions },
    durableObjects: { SESSIONS: "Sessions" },
  };
}

const serversOf = (reports: readonly TcpCallReport[]) => reports.map(({ server }) => server).join("");
const errorsOf = (reports: readonly TcpCallReport[]) => reports.flatMap(({ error }) => error ?? []);

/** A connection that ends before it is a second old counts as a failure, after which an object takes its time. */
const provenMs = 1500;

/** A port that refuses. */
async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

const ours = serverKinds[0] as ServerKind;

describe("balancing over TCP from workerd", { timeout: 60_000 }, () => {
  let servers: RelayedServer[] = [];
  let lone: RelayedServer;
  let workers: TestWorkers;
  before(async () => {
    servers = await Promise.all(["a", "b", "c"].map((name) => startRelayed(ours, name)));
    lone = await startRelayed(ours, "lone");
    // Endpoints are called in the order of their ids.
    servers.sort((one, other) => (one.url < other.url ? -1 : 1));
    const endpoints = servers.map(({ url }) => url);
    const dead = `http://127.0.0.1:${await closedPort()}`;
    workers = await startWorkers(source, [
      worker("one", { endpoints }),
      worker("three", { endpoints, maxConnections: 3 }),
      worker("dead", { endpoints: [dead, ...endpoints.slice(0, 1)] }),
      worker("none", { endpoints: [dead] }, { endpoints: [dead], waitForReady: false }),
      worker("idle", {}, { endpoints: [lone.url], idleMs: 500 }),
      worker("one-server", { endpoints: endpoints.slice(0, 1) }),
      worker("few", { endpoints }, { endpoints, maxConnections: 2 }),
      worker("bad", { endpoints }, { endpoints: ["ftp://nowhere"] }),
    ]);
  });
  after(async () => {
    await workers?.[Symbol.asyncDispose]();
    await Promise.all([...servers, lone].map((server) => server?.[Symbol.asyncDispose]()));
  });
  const ask = (path: string, name: string) => workers.ask<TcpCallReport[]>(path, name);

  test("requests go to the endpoints in turn, all calls of one to the same", async () => {
    const requests: string[] = [];
    for (let index = 0; index < 9; index++) requests.push(serversOf(await ask("/unary?times=3", "one")));
    for (const calls of requests) assert.match(calls, /^(.)\1\1$/);
    const turn = requests.map((calls) => calls[0]);
    assert.equal(new Set(turn.slice(0, 3)).size, 3);
    assert.deepEqual(turn.slice(3), [...turn.slice(0, 3), ...turn.slice(0, 3)]);
  });

  test("calls of a request go to as many endpoints as it may connect to, in strict turn", async () => {
    const before = servers.map(({ accepted }) => accepted);
    const calls = serversOf(await ask("/unary?times=9", "three"));
    assert.equal(new Set(calls.slice(0, 3)).size, 3);
    assert.equal(calls, calls.slice(0, 3).repeat(3));
    assert.deepEqual(
      servers.map(({ accepted }, index) => accepted - (before[index] ?? 0)),
      [1, 1, 1],
    );
  });

  test("calls of an object go to all endpoints in strict turn, over one connection each", async () => {
    const before = servers.map(({ accepted }) => accepted);
    const calls = serversOf(await ask("/unary?times=9&object=x", "one"));
    assert.equal(new Set(calls.slice(0, 3)).size, 3);
    assert.equal(calls, calls.slice(0, 3).repeat(3));
    assert.deepEqual(
      servers.map(({ accepted }, index) => accepted - (before[index] ?? 0)),
      [1, 1, 1],
    );
  });

  test("an object connects to no more endpoints than it may", async () => {
    const calls = serversOf(await ask("/unary?times=9&object=few", "few"));
    assert.equal(new Set(calls).size, 2);
  });

  test("an endpoint that refuses costs no call", async () => {
    for (const via of ["", "&object=x"]) {
      for (let index = 0; index < 3; index++) {
        assert.deepEqual(errorsOf(await ask(`/unary?times=2&parallel=3${via}`, "dead")), []);
      }
    }
  });

  test("where nobody can be reached the error says why", async () => {
    for (const via of ["", "&object=x"]) {
      const [report] = await ask(`/unary?timeoutMs=3000${via}`, "none");
      assert.equal(report?.error?.code, "Unavailable", report?.error?.message);
      assert.match(report?.error?.message ?? "", /annot connect to .*127\.0\.0\.1:\d+.*: proxy request failed/);
    }
  });

  test("a connection that breaks fails its calls; methods without side effects move on", async () => {
    for (const via of ["", "&object=x"]) {
      for (const [path, code] of [
        ["/unary?delayMs=300", "Unavailable"],
        ["/idempotent?delayMs=300", via === "" ? undefined : "Unavailable"],
      ] as const) {
        // Calls through an object wait for its connections, which it replaces after a second where they were lost young.
        assert.deepEqual(errorsOf(await ask(`/unary?times=1${via}`, "one")), []);
        if (via !== "") await pause(provenMs);
        const asked = ask(`${path}${via}`, "one");
        await pause(150);
        for (const server of servers) server.cut();
        const [report] = await asked;
        assert.equal(report?.error?.code, code, report?.error?.message);
      }
    }
  });

  test("no call is lost when servers are started again, one after another", async () => {
    const path = "/unary?times=120&everyMs=50&parallel=2";
    const calls = [ask(path, "one"), ask(path, "three"), ask(`${path}&object=restarts`, "one")];
    for (const server of servers) {
      await pause(provenMs);
      await server.restart();
    }
    for (const reports of await Promise.all(calls)) assert.deepEqual(errorsOf(reports), []);
  });

  test("an object whose one server was started again calls it again", async () => {
    const [server] = servers;
    assert.ok(server);
    const isBack = async () => errorsOf(await ask("/unary?object=again", "one-server")).length === 0;
    assert.ok(await isBack());
    await server.restart();
    await eventually("the sessions to be back", isBack);
    server.cut();
    await eventually("the sessions to be back again", isBack);
  });

  test("an idle object lets its connections go, and connects again when it is called", async () => {
    assert.deepEqual(errorsOf(await ask("/unary?object=idle", "idle")), []);
    assert.deepEqual([lone.open, lone.accepted], [1, 1]);
    await eventually("the end of the connection", () => lone.open === 0, 3000);
    assert.deepEqual(errorsOf(await ask("/unary?object=idle", "idle")), []);
    assert.equal(lone.accepted, 2);
  });

  test("an object whose options are no good says so in every call", async () => {
    for (const path of ["/unary", "/serverStream"]) {
      const [report] = await ask(`${path}?object=x`, "bad");
      assert.equal(report?.error?.code, "FailedPrecondition");
      assert.match(report?.error?.message ?? "", /^Cannot .*http/);
    }
  });
});

test("Consul is read by a request, and watched by an object", { timeout: 60_000 }, async () => {
  await using agent = await startEmbeddedConsul();
  await using one = await startRelayed(ours, "1");
  await using two = await startRelayed(ours, "2");
  const consul = createConsulClient(agent.address);
  const register = (id: string, { url }: RelayedServer) =>
    registerInstance(consul, { service: "Echo", id, port: Number(new URL(url).port) });
  await register("one", one);
  const options = { service: "Echo", consul: agent.address };
  await using workers = await startWorkers(source, [worker("only", { ...options, maxAgeMs: 0 }, options)]);
  const ask = async (via: string) => {
    const reports = await workers.ask<TcpCallReport[]>(`/unary?times=2${via}`);
    assert.deepEqual(errorsOf(reports), []);
    return reports.map(({ server }) => server);
  };
  assert.deepEqual(await ask(""), ["1", "1"]);
  assert.deepEqual(await ask("&object=x"), ["1", "1"]);
  await register("two", two);
  await eventually("the object to call both", async () => new Set(await ask("&object=x")).size === 2, 2000);
  await eventually("requests to call both", async () => new Set([...(await ask("")), ...(await ask(""))]).size === 2);
});
