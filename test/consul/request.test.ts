import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { type ConsulClientOptions, createConsulClient } from "../../src/consul/consul-client.ts";
import { ConsulError, isUnknownCheck } from "../../src/consul/consul-error.ts";
import { createManualClock } from "../../src/testing/manual-clock.ts";
import { type HttpFixture, sendJson, sendText, startHttp } from "../support/http-fixture.ts";

const token = "5ecre7-70ken";

/** What a promise rejects with; fails when it does not. */
async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => assert.fail(`resolved: ${inspect(value)}`),
    (error: unknown) => error,
  );
}

async function consulError(promise: Promise<unknown>): Promise<ConsulError> {
  const error = await rejection(promise);
  assert.ok(error instanceof ConsulError, inspect(error));
  return error;
}

/** Everything of an error that someone may print. */
const printed = (error: unknown): string => inspect(error, { depth: 20, showHidden: true });

/** A signal that counts its listeners. */
function countedSignal(): { signal: AbortSignal; abort(reason: unknown): void; listeners(): number } {
  const controller = new AbortController();
  const { signal } = controller;
  const listeners = new Set<unknown>();
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    listeners.add(args[1]);
    add(...args);
  };
  signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    listeners.delete(args[1]);
    remove(...args);
  };
  return { signal, abort: (reason) => controller.abort(reason), listeners: () => listeners.size };
}

function clientOf(server: HttpFixture, options: ConsulClientOptions = {}) {
  return createConsulClient({ address: server.address, ...options });
}

test("a request carries token, credentials, headers and the common parameters", async () => {
  await using server = await startHttp((_, response) => sendJson(response, []));
  const client = clientOf(server, {
    token,
    basicAuth: { username: "üser", password: "pässword" },
    headers: { "X-Extra": "1" },
    datacenter: "dc one",
    namespace: "team&a",
    partition: "part",
  });
  await client.catalog.datacenters();
  await client.health.service("web", { datacenter: "dc2", passing: true, tags: ["a b", "c"] });
  const [first, second] = server.seen;
  assert.equal(first?.headers["x-consul-token"], token);
  assert.equal(first?.headers.authorization, `Basic ${Buffer.from("üser:pässword", "utf8").toString("base64")}`);
  assert.equal(first?.headers["x-extra"], "1");
  assert.equal(first?.url, "/v1/catalog/datacenters?dc=dc%20one&ns=team%26a&partition=part");
  const query = new URL(second?.url ?? "", server.address).searchParams;
  assert.deepEqual(
    [query.getAll("dc"), query.getAll("tag"), query.get("passing"), query.get("ns")],
    [["dc2"], ["a b", "c"], "true", "team&a"],
  );
});

test("a token function may give promises", async () => {
  await using server = await startHttp((_, response) => sendJson(response, []));
  const client = clientOf(server, { token: async () => "later" });
  await client.catalog.datacenters();
  assert.equal(server.seen[0]?.headers["x-consul-token"], "later");
  const broken = clientOf(server, {
    token: async () => {
      throw new Error("the vault is closed");
    },
  });
  await assert.rejects(broken.catalog.datacenters(), /the vault is closed/);
  await assert.rejects(clientOf(server, { token: async () => "two words" }).catalog.datacenters(), TypeError);
  assert.equal(server.seen.length, 1);
});

test("a token function that gives no token is waited for within the time limit, and until aborted", async () => {
  await using server = await startHttp((_, response) => sendJson(response, []));
  const clock = createManualClock();
  const client = clientOf(server, { clock, token: () => new Promise(() => {}) });
  const late = rejection(client.catalog.datacenters({ timeoutMs: 100 }));
  await clock.advance(100);
  assert.match(String(await late), /gave no token within 100 ms/);
  const { signal, abort, listeners } = countedSignal();
  const aborted = rejection(client.catalog.datacenters({ signal }));
  const reason = new Error("enough");
  abort(reason);
  assert.equal(await aborted, reason);
  assert.deepEqual([server.seen.length, clock.pending, listeners()], [0, 0, 0]);
});

test("a request that is denied is repeated once when the token function gives another token by then", async () => {
  await using server = await startHttp(({ headers }, response) =>
    headers["x-consul-token"] === "new" ? sendJson(response, []) : sendText(response, 403, "ACL not found"),
  );
  const tokens = ["old", "new", "old", "old", "old", "older"];
  const client = clientOf(server, { token: () => tokens.shift() });
  await client.catalog.datacenters();
  assert.equal((await consulError(client.catalog.datacenters())).status, 403);
  assert.equal((await consulError(client.catalog.datacenters())).status, 403);
  assert.deepEqual(
    server.seen.map(({ headers }) => headers["x-consul-token"]),
    ["old", "new", "old", "old", "older"],
  );
});

test("an error tells how long Consul asks to be left alone", async () => {
  const headers: Record<string, string>[] = [
    { "Retry-After": "7" },
    { "Retry-After": "86400" },
    { "Retry-After": "Sun, 22 Nov 2026 01:00:05 GMT", Date: "Sun, 22 Nov 2026 01:00:00 GMT" },
    { "Retry-After": "Sun, 22 Nov 2026 00:00:00 GMT", Date: "Sun, 22 Nov 2026 01:00:00 GMT" },
    { "Retry-After": "soon" },
    {},
  ];
  await using server = await startHttp((_, response) => {
    response.writeHead(429, headers.shift());
    response.end("slow down");
  });
  const client = clientOf(server);
  const waits: (number | undefined)[] = [];
  while (headers.length > 0) waits.push((await consulError(client.catalog.datacenters())).retryAfterMs);
  assert.deepEqual(waits, [7000, 60_000, 5000, 0, undefined, undefined]);
});

test("a token function is asked before every request, and none is sent when it gives none", async () => {
  await using server = await startHttp((_, response) => sendJson(response, []));
  const tokens: (string | undefined)[] = ["first", "second", undefined, ""];
  const client = clientOf(server, { token: () => tokens.shift() });
  for (let count = 0; count < 4; count++) await client.catalog.datacenters();
  assert.deepEqual(
    server.seen.map(({ headers }) => headers["x-consul-token"]),
    ["first", "second", undefined, undefined],
  );
});

test("what a token function throws rejects the request, and nothing is sent", async () => {
  await using server = await startHttp((_, response) => sendJson(response, []));
  const reason = new Error("vault is sealed");
  const client = clientOf(server, {
    token: () => {
      throw reason;
    },
  });
  assert.equal(await rejection(client.catalog.datacenters()), reason);
  assert.equal(server.seen.length, 0);
});

test("a path prefix of the address comes before every path", async () => {
  await using server = await startHttp((_, response) => sendJson(response, []));
  await createConsulClient(`${server.address}/consul/`).catalog.datacenters();
  assert.equal(server.seen[0]?.url, "/consul/v1/catalog/datacenters");
});

test("a body is sent whole, with its length", async () => {
  await using server = await startHttp((request, response) =>
    request.url.startsWith("/v1/kv") ? sendJson(response, true) : response.end(),
  );
  const client = clientOf(server);
  await client.agent.registerService({ Name: "ü" });
  await client.kv.put("k", new Uint8Array([0, 255, 10]));
  await client.kv.put("k", "☃");
  await client.kv.put("k", "");
  assert.deepEqual(JSON.parse(server.seen[0]?.body.toString() ?? ""), { Name: "ü" });
  assert.equal(server.seen[0]?.headers["content-type"], "application/json");
  assert.deepEqual([...(server.seen[1]?.body ?? [])], [0, 255, 10]);
  assert.equal(server.seen[2]?.body.toString(), "☃");
  assert.equal(server.seen[3]?.body.length, 0);
  for (const { headers } of server.seen) {
    assert.equal(headers["transfer-encoding"], undefined);
    assert.ok(headers["content-length"] !== undefined);
  }
});

test("an error status becomes a ConsulError with Consul's own text", async () => {
  await using server = await startHttp((_, response) => sendText(response, 403, "Permission denied\n"));
  const error = await consulError(clientOf(server).agent.registerService({ Name: "web" }));
  assert.equal(error.name, "ConsulError");
  assert.equal(error.code, "http");
  assert.equal(error.method, "PUT");
  assert.equal(error.path, "/v1/agent/service/register");
  assert.equal(error.address, server.address);
  assert.equal(error.status, 403);
  assert.equal(error.text, "Permission denied");
  assert.equal(
    error.message,
    `Cannot register a service: PUT /v1/agent/service/register at ${server.address} answered 403: Permission denied`,
  );
});

test("Consul's text is cut at 1024 characters", async () => {
  await using server = await startHttp((_, response) => sendText(response, 500, "x".repeat(5000)));
  const error = await consulError(clientOf(server).status.leader());
  assert.equal(error.text?.length, 1024);
  assert.ok(error.message.length < 1300);
});

test("a success other than 200 is an error: the API has none", async () => {
  await using server = await startHttp((_, response) => {
    response.writeHead(204);
    response.end();
  });
  assert.equal((await consulError(clientOf(server).agent.passCheck("c"))).status, 204);
});

test("an agent that does not listen is a network error with its cause", async () => {
  const server = await startHttp(() => {});
  await server[Symbol.asyncDispose]();
  const error = await consulError(clientOf(server).status.leader());
  assert.equal(error.code, "network");
  assert.equal(error.status, undefined);
  assert.ok(error.cause instanceof Error);
  assert.match(error.message, /^Cannot ask for the leader: GET \/v1\/status\/leader at http:.* failed: .*refused/i);
});

test("a connection lost within the answer is a network error", async () => {
  await using server = await startHttp((_, response) => {
    response.writeHead(200, { "Content-Length": "100" });
    response.write("[");
    setImmediate(() => response.destroy());
  });
  assert.equal((await consulError(clientOf(server).catalog.datacenters())).code, "network");
});

test("an answer that is not what the API promises is a decode error", async () => {
  const bodies = ["<html>", "", "{}", '{"a":1}', "[1]", "null", '"x"', '[{"Node":{},"Service":{}}]'];
  let body = "";
  await using server = await startHttp((_, response) => response.end(body));
  const client = clientOf(server);
  for (body of bodies) {
    const error = await consulError(client.health.service("web"));
    assert.equal(error.code, "decode", body);
    assert.equal(error.status, 200);
    assert.equal(error.text, body);
  }
  body = "[]";
  for (const read of [
    client.agent.services(),
    client.agent.self(),
    client.catalog.services(),
    client.status.leader(),
  ]) {
    assert.equal((await consulError(read)).code, "decode");
  }
});

test("a request without an answer fails when its time is over, and not before", async () => {
  await using server = await startHttp(() => {});
  const clock = createManualClock();
  const client = clientOf(server, { clock, timeoutMs: 3000 });
  const counted = countedSignal();
  const failed = consulError(client.status.leader({ signal: counted.signal }));
  await server.arrived(1);
  await clock.advance(2999);
  assert.equal(clock.pending, 1);
  await clock.advance(1);
  const error = await failed;
  assert.equal(error.code, "timeout");
  assert.match(error.message, /gave no answer within 3000 ms$/);
  assert.equal(clock.pending, 0);
  assert.equal(counted.listeners(), 0);
});

test("an answer whose body never ends fails when its time is over", async () => {
  await using server = await startHttp((_, response) => {
    response.writeHead(200, { "Content-Length": "100" });
    response.write("[");
  });
  const clock = createManualClock();
  const failed = consulError(clientOf(server, { clock }).catalog.datacenters({ timeoutMs: 50 }));
  await server.arrived(1);
  await clock.advance(50);
  assert.equal((await failed).code, "timeout");
});

test("a blocking query may take its wait and a sixteenth, and 10 s more", async () => {
  await using server = await startHttp(() => {});
  const clock = createManualClock();
  const client = clientOf(server, { clock, timeoutMs: 10 });
  const failed = consulError(client.health.service("web", { index: "5", waitMs: 32_000 }));
  await server.arrived(1);
  await clock.advance(43_999);
  assert.equal(clock.pending, 1);
  await clock.advance(1);
  assert.equal((await failed).code, "timeout");
  assert.equal(server.seen[0]?.url, "/v1/health/service/web?index=5&wait=32000ms");
});

test("a request leaves no timer and no listener when it is answered", async () => {
  await using server = await startHttp((_, response) => sendJson(response, ["dc1"]));
  const clock = createManualClock();
  const counted = countedSignal();
  await clientOf(server, { clock }).catalog.datacenters({ signal: counted.signal });
  assert.equal(clock.pending, 0);
  assert.equal(counted.listeners(), 0);
});

test("an aborted request rejects with the signal's reason, untouched", async () => {
  await using server = await startHttp(() => {});
  const clock = createManualClock();
  const counted = countedSignal();
  const reason = { mine: true };
  const failed = rejection(clientOf(server, { clock }).status.leader({ signal: counted.signal }));
  await server.arrived(1);
  counted.abort(reason);
  assert.equal(await failed, reason);
  assert.equal(clock.pending, 0);
  assert.equal(counted.listeners(), 0);
});

test("a signal that is aborted already sends nothing", async () => {
  await using server = await startHttp((_, response) => sendJson(response, []));
  const reason = new Error("mine");
  assert.equal(await rejection(clientOf(server).catalog.datacenters({ signal: AbortSignal.abort(reason) })), reason);
  assert.equal(server.seen.length, 0);
});

test("a fetch that heeds no signal cannot hold a request", async () => {
  const clock = createManualClock();
  const client = createConsulClient({ clock, fetch: () => new Promise(() => {}) });
  const reason = new Error("mine");
  const controller = new AbortController();
  const aborted = rejection(client.status.leader({ signal: controller.signal }));
  const timedOut = consulError(client.status.leader());
  controller.abort(reason);
  assert.equal(await aborted, reason);
  await clock.advance(10_000);
  assert.equal((await timedOut).code, "timeout");
});

test("a redirect is not followed, so that the token stays where it was sent", async () => {
  await using other = await startHttp((_, response) => sendJson(response, "leaked"));
  await using server = await startHttp((_, response) => {
    response.writeHead(307, { Location: `${other.address}/elsewhere` });
    response.end();
  });
  const error = await consulError(clientOf(server, { token }).status.leader());
  assert.equal(error.code, "http");
  assert.equal(error.status, 307);
  assert.match(error.message, /redirects are not followed, this one to http:.*\/elsewhere$/);
  assert.equal(other.seen.length, 0);
});

test("no secret gets into an error when Consul echoes it", async () => {
  const password = "pa55word!";
  await using server = await startHttp((request, response) =>
    sendText(response, 500, `token ${request.headers["x-consul-token"]}, ${request.headers.authorization} ${password}`),
  );
  const client = clientOf(server, { token, basicAuth: { username: "me", password } });
  const error = await consulError(client.agent.passCheck(`check-${token}`, { note: token }));
  assert.equal(error.text, "token ***, Basic *** ***");
  assert.equal(error.path, "/v1/agent/check/pass/check-***?note=***");
  for (const secret of [token, password, btoa(`me:${password}`)]) assert.ok(!printed(error).includes(secret));
});

test("no part of a secret gets into an error when Consul's text is cut within it", async () => {
  await using server = await startHttp((_, response) => sendText(response, 500, `${"x".repeat(1020)}${token}`));
  const error = await consulError(clientOf(server, { token }).status.leader());
  assert.ok(!printed(error).includes(token.slice(0, 4)), printed(error));
});

test("no secret gets into an error when it is not JSON that carries it", async () => {
  await using server = await startHttp((_, response) => response.end(`${token} is not JSON`));
  const error = await consulError(clientOf(server, { token }).catalog.datacenters());
  assert.equal(error.code, "decode");
  assert.ok(!printed(error).includes(token), printed(error));
});

test("no secret gets into an error when fetch echoes it", async () => {
  const failures: unknown[] = [
    new TypeError(`invalid header value: ${token}`),
    new TypeError("fetch failed", { cause: new Error(`socket said ${token}`) }),
    Object.assign(new Error("failed"), { request: { headers: [["X-Consul-Token", token]] } }),
    `text ${token}`,
  ];
  for (const failure of failures) {
    const client = createConsulClient({ token, fetch: () => Promise.reject(failure) });
    const error = await consulError(client.status.leader());
    assert.equal(error.code, "network");
    assert.ok(!printed(error).includes(token), printed(error));
  }
  const own = createConsulClient({
    headers: { Authorization: `Bearer ${token}` },
    fetch: () => Promise.reject(new Error(`Bearer ${token}`)),
  });
  assert.ok(!printed(await consulError(own.status.leader())).includes(token));
});

test("the cause is what fetch threw when no secret is in it", async () => {
  const failure = new TypeError("fetch failed", { cause: new Error("read ECONNRESET") });
  const client = createConsulClient({ token, fetch: () => Promise.reject(failure) });
  const error = await consulError(client.status.leader());
  assert.equal(error.cause, failure);
  assert.match(error.message, /failed: read ECONNRESET$/);
});

test("bad arguments are refused before anything is sent", async () => {
  await using server = await startHttp((_, response) => sendJson(response, true));
  const client = clientOf(server);
  const refused: [kind: typeof TypeError | typeof RangeError, call: Promise<unknown>][] = [
    [TypeError, client.agent.passCheck("")],
    [TypeError, client.agent.deregisterService("..")],
    [TypeError, client.health.service("")],
    [TypeError, client.kv.get("")],
    [TypeError, client.kv.get("a/../b")],
    [TypeError, client.kv.put("/a", "x")],
    [TypeError, client.kv.delete("")],
    [TypeError, client.kv.delete("a", { cas: 1, recurse: true })],
    [RangeError, client.kv.put("a", "x", { cas: -1 })],
    [RangeError, client.kv.put("a", "x", { flags: 1.5 })],
    [TypeError, client.health.service("a", { index: "x" })],
    [RangeError, client.health.service("a", { index: "1", waitMs: 0 })],
    [RangeError, client.health.service("a", { index: "1", waitMs: 600_001 })],
    [RangeError, client.status.leader({ timeoutMs: 0 })],
  ];
  for (const [kind, call] of refused) assert.ok((await rejection(call)) instanceof kind);
  assert.equal(server.seen.length, 0);
});

test("a health answer is sorted by node and id, and left as it came when `near` is given", async () => {
  const entry = (node: string, id: string) => ({
    Node: { Node: node, Address: "10.0.0.1", Meta: null },
    Service: { ID: id, Service: "web", Address: "", Tags: null, Meta: null },
    Checks: [],
  });
  const entries = [entry("b", "1"), entry("a", "2"), entry("a", "10"), entry("B", "0")];
  await using server = await startHttp((_, response) => sendJson(response, entries));
  const ids = async (near?: string) =>
    (await clientOf(server).health.service("web", near === undefined ? {} : { near })).data.map(
      ({ Node, Service }) => `${Node.Node}/${Service.ID}`,
    );
  assert.deepEqual(await ids(), ["B/0", "a/10", "a/2", "b/1"]);
  assert.deepEqual(await ids("_agent"), ["b/1", "a/2", "a/10", "B/0"]);
  assert.equal(server.seen[1]?.url, "/v1/health/service/web?near=_agent");
});

test("a query answers with what its headers say, and does without them", async () => {
  let headers: Record<string, string> = {
    "X-Consul-Index": "0",
    "X-Consul-Knownleader": "false",
    "X-Consul-Lastcontact": "12",
    "X-Consul-Results-Filtered-By-ACLs": "true",
  };
  await using server = await startHttp((_, response) => sendJson(response, [], headers));
  const { data: _full, ...full } = await clientOf(server).health.checks("web");
  const agent = server.address;
  // No word of a policy, and no token that rights could hang on: nothing to doubt.
  assert.deepEqual(full, { index: "1", knownLeader: false, lastContactMs: 12, filteredByAcls: true, agent });
  headers = {};
  const { data: _bare, ...bare } = await clientOf(server).health.checks("web");
  assert.deepEqual(bare, {
    index: undefined,
    knownLeader: undefined,
    lastContactMs: undefined,
    filteredByAcls: false,
    agent,
  });
});

test("a query tells when rights may have hidden results without a word of it", async () => {
  let headers: Record<string, string> = {};
  await using server = await startHttp((_, response) => sendJson(response, [], headers));
  const doubt = async (options: ConsulClientOptions) =>
    (await clientOf(server, options).health.service("web")).rightsInDoubt;
  // Before 1.11.
  assert.deepEqual([await doubt({ token }), await doubt({})], ["unsaid", undefined]);
  headers = { "X-Consul-Default-Acl-Policy": "deny" };
  assert.deepEqual([await doubt({ token }), await doubt({})], [undefined, "no-token"]);
  headers = { "X-Consul-Default-Acl-Policy": "allow" };
  assert.deepEqual([await doubt({ token }), await doubt({})], [undefined, undefined]);
});

test("a query is sent as asked", async () => {
  await using server = await startHttp((_, response) => sendJson(response, []));
  const { health, kv } = clientOf(server);
  await health.service("a", { index: "0", waitMs: 1000 });
  await health.service("a", { index: "7", consistency: "stale", filter: 'Service.Meta.v == "2"' });
  await kv.list("a/", { consistency: "consistent" });
  await kv.get("a", { index: "18446744073709551615", waitMs: 1500.4 });
  assert.deepEqual(
    server.seen.map(({ url }) => url),
    [
      "/v1/health/service/a",
      "/v1/health/service/a?index=7&stale&filter=Service.Meta.v%20%3D%3D%20%222%22",
      "/v1/kv/a/?consistent&recurse",
      "/v1/kv/a?index=18446744073709551615&wait=1500ms",
    ],
  );
});

test("only Consul's own 404 means that a key or an id is unknown", async () => {
  let withIndex = true;
  await using server = await startHttp((_, response) => {
    response.writeHead(404, withIndex ? { "X-Consul-Index": "9" } : {});
    response.end(withIndex ? "" : "404 page not found");
  });
  const client = clientOf(server);
  const { data, index } = await client.kv.get("missing");
  assert.deepEqual([data, index], [undefined, "9"]);
  assert.deepEqual((await client.kv.list("missing/")).data, []);
  withIndex = false;
  for (const call of [
    client.kv.get("missing"),
    client.kv.list("missing"),
    client.agent.deregisterService("x"),
    client.agent.deregisterCheck("x"),
    client.agent.service("x"),
  ]) {
    assert.equal((await consulError(call)).status, 404);
  }
});

test("removing what the agent does not know is no error in any version's words", async () => {
  let status = 404;
  let text = "";
  await using server = await startHttp((_, response) => sendText(response, status, text));
  const { agent } = clientOf(server);
  text = 'Unknown service ID "x". Ensure that the service ID is passed, not the service name.';
  await agent.deregisterService("x");
  assert.equal(await agent.service("x"), undefined);
  text = 'Unknown check ID "x". Ensure that the check ID is passed, not the check name.';
  await agent.deregisterCheck("x");
  [status, text] = [500, 'Unknown service "x"'];
  await agent.deregisterService("x");
  [status, text] = [500, "No cluster leader"];
  assert.equal((await consulError(agent.deregisterService("x"))).status, 500);
});

test("isUnknownCheck() understands every version and nothing else", async () => {
  let status = 0;
  let text = "";
  await using server = await startHttp((_, response) => sendText(response, status, text));
  const cases: [status: number, text: string, unknown: boolean][] = [
    [500, 'CheckID "x" does not have associated TTL', true],
    [500, 'Unknown check "x"', true],
    [404, 'Unknown check ID "x". Ensure that the check ID is passed, not the check name.', true],
    [404, "404 page not found", false],
    [500, "No cluster leader", false],
    [500, "rpc error making call: TTL of something else", false],
    [403, 'Permission denied: Unknown check "x"', false],
  ];
  for (const [caseStatus, caseText, unknown] of cases) {
    [status, text] = [caseStatus, caseText];
    assert.equal(isUnknownCheck(await consulError(clientOf(server).agent.passCheck("x"))), unknown, caseText);
  }
  assert.equal(isUnknownCheck(new Error('Unknown check "x"')), false);
  assert.equal(isUnknownCheck(undefined), false);
});

test("a value is binary safe and its absence is not an error", async () => {
  const row = { Key: "k", Flags: 7, CreateIndex: 1, ModifyIndex: 2, LockIndex: 0 };
  const rows: unknown[] = [];
  await using server = await startHttp((_, response) => sendJson(response, rows, { "X-Consul-Index": "2" }));
  const { kv } = clientOf(server);
  const bytes = Uint8Array.from({ length: 256 }, (_, byte) => byte);
  rows.push({ ...row, Value: Buffer.from(bytes).toString("base64"), Session: "s-1" });
  assert.deepEqual((await kv.get("k")).data, {
    key: "k",
    value: bytes,
    flags: 7,
    createIndex: 1,
    modifyIndex: 2,
    session: "s-1",
  });
  rows[0] = { ...row, Value: null };
  assert.deepEqual((await kv.get("k")).data?.value, new Uint8Array());
  rows[0] = { ...row, Value: "not base64!" };
  assert.equal((await consulError(kv.get("k"))).code, "decode");
});
