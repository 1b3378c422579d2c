// What only the embedded agent has: the clock that tests turn, its life, its limits, faults. What it shares with real agents
// is in test/consul/contract*.test.ts.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { test } from "node:test";
import {
  createManualClock,
  type EmbeddedConsulOptions,
  type EmbeddedConsulRequest,
  type ManualClock,
  startEmbeddedConsul,
} from "../../src/testing/index.ts";
import type { CheckShape } from "../support/consul-shapes.ts";
import { asking } from "../support/contract-agent.ts";
import { until } from "../support/eventually.ts";

/** An agent whose time the test turns. */
async function startManual(options: EmbeddedConsulOptions = {}) {
  const clock = createManualClock();
  const consul = await startEmbeddedConsul({ clock, random: () => 0.5, ...options });
  const agent = asking(consul.address);
  return {
    clock,
    consul,
    ...agent,
    register: (body: object) => agent.put("/v1/agent/service/register", body),
    status: async (id: string) => (await agent.get("/v1/agent/checks")).json<Record<string, CheckShape>>()[id]?.Status,
    /** What the catalog says of a check, which may be older than what the agent says. */
    cataloged: async (name: string) => (await agent.get(`/v1/health/checks/${name}`)).json<CheckShape[]>()[0],
    [Symbol.asyncDispose]: () => consul.close(),
  };
}

/** Starts a blocking query, and resolves when the agent holds it. */
async function hold(agent: Awaited<ReturnType<typeof startManual>>, path: string) {
  const before = agent.consul.openQueries;
  const answer = agent.get(path);
  await until(() => agent.consul.openQueries === before + 1, 5000);
  return { answer };
}

/** Whether a promise has settled once what is under way on the sockets has had its time. */
async function hasSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  void promise.finally(() => {
    settled = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 20));
  return settled;
}

test("startEmbeddedConsul() turns a TTL check critical exactly when its time is over, and not before", async () => {
  await using agent = await startManual();
  await agent.register({ Name: "web", Check: { TTL: "2s", Status: "passing" } });
  await agent.clock.advance(1999);
  assert.equal(await agent.status("service:web"), "passing");
  await agent.put("/v1/agent/check/pass/service:web?note=alive");
  await agent.clock.advance(1999);
  assert.equal(await agent.status("service:web"), "passing");
  await agent.clock.advance(1);
  const check = await agent.cataloged("web");
  assert.deepEqual(
    [check?.Status, check?.Output],
    ["critical", "TTL expired (last output before timeout follows): alive"],
  );
});

test("startEmbeddedConsul() restarts a TTL when the service is registered again", async () => {
  await using agent = await startManual();
  const body = { Name: "web", Check: { TTL: "2s", Status: "passing" } };
  await agent.register(body);
  await agent.clock.advance(1500);
  await agent.register(body);
  await agent.clock.advance(1500);
  assert.equal(await agent.status("service:web"), "passing");
  await agent.clock.advance(500);
  assert.equal(await agent.status("service:web"), "critical");
});

test("startEmbeddedConsul() reaps a service when it was critical for a minute at least, at the next half minute", async () => {
  await using agent = await startManual();
  const isThere = async () => (await agent.get("/v1/agent/services")).text.includes('"web"');
  await agent.clock.advance(5000);
  await agent.register({ Name: "web", Check: { TTL: "10s", Status: "passing", DeregisterCriticalServiceAfter: "1s" } });
  await agent.register({ Name: "kept", Check: { TTL: "10s" } });
  // Critical at 15 s; a minute later is 75 s; the reaper looks at 90 s.
  await agent.clock.advance(84_999);
  assert.equal(await isThere(), true);
  await agent.clock.advance(1);
  assert.equal(await isThere(), false);
  assert.deepEqual((await agent.get("/v1/health/service/web")).json(), []);
  assert.equal((await agent.get("/v1/health/service/kept")).json<unknown[]>().length, 1);
});

test("startEmbeddedConsul() counts a check's critical time anew when it has passed meanwhile", async () => {
  await using agent = await startManual();
  await agent.register({ Name: "web", Check: { TTL: "10s", DeregisterCriticalServiceAfter: "1m" } });
  await agent.clock.advance(60_000);
  await agent.put("/v1/agent/check/pass/service:web");
  await agent.clock.advance(60_000);
  assert.equal(await agent.status("service:web"), "critical");
  await agent.clock.advance(30_000);
  assert.equal(await agent.status("service:web"), undefined);
});

test("startEmbeddedConsul() brings a change of output alone to the catalog minutes later", async () => {
  await using agent = await startManual();
  await agent.register({ Name: "web", Check: { TTL: "1h" } });
  await agent.put("/v1/agent/check/pass/service:web?note=one");
  const { index } = await agent.get("/v1/health/service/web");
  await agent.put("/v1/agent/check/pass/service:web?note=two");
  await agent.clock.advance(299_999);
  assert.equal((await agent.cataloged("web"))?.Output, "one");
  assert.equal((await agent.get("/v1/health/service/web")).index, index);
  await agent.clock.advance(1);
  assert.equal((await agent.cataloged("web"))?.Output, "two");
  assert.ok((await agent.get("/v1/health/service/web")).index > index);
});

test("startEmbeddedConsul() ends a wait when its time and its jitter are over", async () => {
  const waits: readonly (readonly [wait: string, endMs: number])[] = [
    ["10s", 10_312.5],
    ["0s", 309_375],
    ["", 309_375],
    ["-1s", 309_375],
    ["1h", 618_750],
  ];
  for (const [wait, endMs] of waits) {
    await using agent = await startManual();
    const { answer } = await hold(agent, `/v1/health/service/web?index=9999&wait=${wait}`);
    await agent.clock.advance(endMs - 0.5);
    assert.equal(await hasSettled(answer), false, wait);
    await agent.clock.advance(0.5);
    assert.equal((await answer).status, 200);
    assert.equal(agent.consul.openQueries, 0);
  }
});

test("startEmbeddedConsul() probes first at a random moment, then once an interval, and stops with its check", async () => {
  let hits = 0;
  const target = createServer((_request, response) => {
    hits++;
    response.writeHead(hits === 2 ? 500 : 200).end();
  });
  target.listen(0, "127.0.0.1");
  await once(target, "listening");
  const HTTP = `http://127.0.0.1:${(target.address() as AddressInfo).port}/`;
  await using agent = await startManual();
  const turns = (count: number) => until(() => hits === count && isIdle(agent.clock), 5000);
  // The reaper's timer and the next probe's: the last probe is over.
  const isIdle = (clock: ManualClock) => clock.pending === 2;
  await agent.register({ Name: "web", Check: { HTTP, Interval: "10s", Timeout: "1s" } });
  await agent.clock.advance(4999);
  assert.equal(hits, 0);
  await agent.clock.advance(1);
  await turns(1);
  assert.equal(await agent.status("service:web"), "passing");
  await agent.clock.advance(10_000);
  await turns(2);
  assert.equal(await agent.status("service:web"), "critical");
  await agent.put("/v1/agent/service/deregister/web");
  await agent.clock.advance(60_000);
  assert.equal(hits, 2);
  target.close();
});

test("startEmbeddedConsul() waits for as many failures as the check allows", async () => {
  await using agent = await startManual();
  const check = { TCP: "127.0.0.1:1", Interval: "10s", Status: "passing", FailuresBeforeCritical: 2 };
  await agent.register({ Name: "web", Check: check });
  await agent.clock.advance(5000);
  await until(() => agent.clock.pending === 2, 5000);
  assert.equal(await agent.status("service:web"), "passing");
  await agent.clock.advance(10_000);
  await until(async () => (await agent.status("service:web")) === "critical", 5000);
});

test("startEmbeddedConsul() gives up a probe when its timeout is over", async () => {
  const silent = createServer(() => {});
  silent.listen(0, "127.0.0.1");
  await once(silent, "listening");
  const { port } = silent.address() as AddressInfo;
  await using agent = await startManual();
  await agent.register({
    Name: "web",
    Check: { HTTP: `http://127.0.0.1:${port}/`, Interval: "10s", Timeout: "3s", Status: "passing" },
  });
  const asked = once(silent, "request");
  await agent.clock.advance(5000);
  await asked;
  assert.equal(await agent.status("service:web"), "passing");
  await agent.clock.advance(3000);
  await until(async () => (await agent.status("service:web")) === "critical", 5000);
  silent.closeAllConnections();
  silent.close();
});

test("startEmbeddedConsul() refuses what it does not do, by name", async () => {
  await using agent = await startManual();
  const cases: readonly (readonly [body: object, field: string])[] = [
    [{ Name: "x", Kind: "connect-proxy" }, "Kind"],
    [{ Name: "x", Connect: { Native: true } }, "Connect"],
    [{ Name: "x", Proxy: { DestinationServiceName: "y" } }, "Proxy"],
    [{ Name: "x", Check: { AliasService: "y" } }, "AliasService"],
  ];
  for (const [body, field] of cases) {
    const answer = await agent.register(body);
    assert.equal(answer.status, 400);
    assert.match(answer.text, new RegExp(`embedded agent does not support "${field}"`));
  }
  const refused = [
    await agent.put("/v1/kv/x?acquire=session", "v"),
    await agent.get("/v1/catalog/services?filter=x"),
    await agent.get("/v1/agent/service/x?hash=1"),
    await agent.get(`/v1/health/service/x?filter=${encodeURIComponent('Service.ID matches "^a"')}`),
  ];
  for (const { status, text } of refused) assert.match(`${status} ${text}`, /^[45]00 .*embedded agent/);
  assert.equal((await agent.register({ Name: "x", Connect: { Native: false }, Proxy: {} })).status, 200);
});

test("stop() ends idle connections, and the port refuses before the last query is answered", async () => {
  await using agent = await startManual();
  const idle = await open(agent.consul.port);
  const { answer } = await hold(agent, "/v1/health/service/web?index=9999&wait=60s");
  const refused = answer.then(() => assert.rejects(agent.get("/v1/status/leader"), { code: "ECONNREFUSED" }));
  await Promise.all([agent.consul.stop(), once(idle.resume(), "close")]);
  assert.equal((await answer).status, 200);
  await refused;
  assert.equal(agent.clock.pending, 0);
  await agent.consul.stop();
});

test("stop() does not wait for a request whose body never comes", async () => {
  await using agent = await startManual();
  const client = await open(agent.consul.port);
  const closed = new Promise((resolve) => client.on("close", resolve));
  client.write("PUT /v1/kv/x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf");
  // The agent has begun to read it once a later request has been answered.
  await agent.get("/v1/status/leader");
  await agent.consul.stop();
  await closed;
});

test("restart() keeps the port and starts over when it runs, was stopped, or was killed", async () => {
  await using agent = await startManual();
  const { address } = agent.consul;
  const fresh = (await agent.get("/v1/health/service/web")).index;
  for (const end of [async () => {}, () => agent.consul.stop(), () => agent.consul.kill()]) {
    await agent.register({ Name: "web" });
    assert.ok((await agent.get("/v1/health/service/web")).index > fresh);
    await end();
    await agent.consul.restart();
    assert.equal(agent.consul.address, address);
    const answer = await agent.get("/v1/health/service/web");
    assert.deepEqual([answer.json(), answer.index], [[], fresh]);
  }
});

test("close() is for good: it leaves no timer, and restart() rejects", async () => {
  const agent = await startManual();
  await agent.register({ Name: "web", Checks: [{ TTL: "5s" }, { TCP: "127.0.0.1:1", Interval: "5s" }] });
  await Promise.all([agent.consul.close(), agent.consul.close()]);
  assert.equal(agent.clock.pending, 0);
  await assert.rejects(agent.consul.restart(), /closed/);
});

test("startEmbeddedConsul() rejects when its port is taken, or an option is outside its range", async () => {
  await using agent = await startManual();
  await assert.rejects(startEmbeddedConsul({ port: agent.consul.port }), { code: "EADDRINUSE" });
  for (const port of [-1, 65_536, 1.5]) await assert.rejects(startEmbeddedConsul({ port }), RangeError);
  await assert.rejects(startEmbeddedConsul({ maxConnectionsPerClient: 0 }), RangeError);
  // @ts-expect-error: no such version.
  await assert.rejects(startEmbeddedConsul({ compat: "1.9" }), RangeError);
  await assert.rejects(startEmbeddedConsul({ tokens: [{ secret: "" }] }), TypeError);
});

test("startEmbeddedConsul() resets connections beyond the limit, or answers them 429 as newer versions do", async () => {
  for (const compat of ["1.8", "1.22"] as const) {
    await using agent = await startManual({ compat, maxConnectionsPerClient: 2 });
    const holders = [await open(agent.consul.port), await open(agent.consul.port)];
    const beyond = connect(agent.consul.port, "127.0.0.1");
    let received = "";
    beyond.on("data", (chunk: Buffer) => {
      received += chunk;
    });
    beyond.on("error", () => {});
    const closed = new Promise((resolve) => beyond.on("close", resolve));
    beyond.write("GET /v1/status/leader HTTP/1.1\r\nHost: x\r\n\r\n");
    await closed;
    if (compat === "1.8") assert.equal(received, "");
    else assert.match(received, /^HTTP\/1\.1 429 /);
    for (const socket of holders) socket.destroy();
    await until(async () => (await agent.get("/v1/status/leader").catch(() => undefined))?.status === 200, 5000);
  }
});

test("startEmbeddedConsul() frees the slot of a query that its client has left only when the wait is over", async () => {
  await using agent = await startManual({ maxConnectionsPerClient: 1 });
  const client = await open(agent.consul.port);
  client.write("GET /v1/health/service/web?index=9999&wait=10s HTTP/1.1\r\nHost: x\r\n\r\n");
  await until(() => agent.consul.openQueries === 1, 5000);
  client.destroy();
  await assert.rejects(agent.get("/v1/status/leader"));
  assert.equal(agent.consul.openQueries, 1);
  await agent.clock.advance(11_000);
  await until(async () => (await agent.get("/v1/status/leader").catch(() => undefined))?.status === 200, 5000);
});

test("onRequest() sees every request, and answers in the agent's place when it returns something", async () => {
  const seen: EmbeddedConsulRequest[] = [];
  let isBroken = false;
  await using agent = await startManual({
    onRequest(request) {
      seen.push(request);
      return isBroken ? { status: 500, text: "No cluster leader", headers: { "X-Consul-Index": "1" } } : undefined;
    },
  });
  await agent.put("/v1/agent/service/register?a=b", { Name: "web" }, { token: "t" });
  const [request] = seen;
  assert.deepEqual(
    [request?.method, request?.path, request?.body, request?.headers["x-consul-token"]],
    ["PUT", "/v1/agent/service/register?a=b", '{"Name":"web"}', "t"],
  );
  isBroken = true;
  const answer = await agent.get("/v1/health/service/web");
  assert.deepEqual([answer.status, answer.text, answer.index], [500, "No cluster leader", 1]);
});

test("startEmbeddedConsul() refuses a body beyond 8 MiB", async () => {
  await using agent = await startManual();
  const answer = await agent.put("/v1/agent/service/register", " ".repeat(8 * 1024 * 1024 + 1));
  assert.equal(answer.status, 413);
});

test("startEmbeddedConsul() listens where it is told, as the node it is told to be", async () => {
  await using consul = await startEmbeddedConsul({ host: "::1", datacenter: "east", nodeName: "node-1" });
  assert.equal(consul.address, `http://[::1]:${consul.port}`);
  const response = await fetch(`${consul.address}/v1/agent/self`);
  const { Config } = (await response.json()) as { Config: Record<string, unknown> };
  assert.deepEqual([Config.Datacenter, Config.NodeName, Config.Revision], ["east", "node-1", "lictor-embedded"]);
  const other = await fetch(`${consul.address}/v1/health/service/x?dc=dc1`);
  assert.deepEqual([other.status, await other.text()], [500, "No path to datacenter"]);
});

/** A connection that has had an answer and is idle. */
async function open(port: number): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  socket.write("GET /v1/status/leader HTTP/1.1\r\nHost: x\r\n\r\n");
  await once(socket, "data");
  return socket;
}
