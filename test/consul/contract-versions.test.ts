// What newer versions answer otherwise than 1.8: the embedded agent as 1.22, by what was measured on Consul 1.22.7.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type EmbeddedConsul, startEmbeddedConsul } from "../../src/testing/index.ts";
import type { CheckShape, EntryShape } from "../support/consul-shapes.ts";
import { asking } from "../support/contract-agent.ts";

describe("the embedded agent as 1.22", () => {
  let consul: EmbeddedConsul;
  let agent: ReturnType<typeof asking>;
  before(async () => {
    consul = await startEmbeddedConsul({ compat: "1.22" });
    agent = asking(consul.address);
  });
  after(() => consul.close());

  const answer = async (path: string, body?: unknown) => {
    const { status, text } = await agent.put(`/v1/agent/${path}`, body);
    return [status, text];
  };
  const register = (body: object) => answer("service/register", body);
  const checkHint = (id: string) => `Unknown check ID "${id}". Ensure that the check ID is passed, not the check name.`;
  const serviceHint = (id: string) =>
    `Unknown service ID "${id}". Ensure that the service ID is passed, not the service name.`;

  test("answers writes with a content type and no body", async () => {
    const written = await agent.put("/v1/agent/service/register", { Name: "web" });
    assert.deepEqual(
      [written.status, written.text, written.headers["content-type"]],
      [200, "", "application/json; charset=utf-8"],
    );
  });

  test("answers 404 where 1.8 answers 500 or 200 to what it does not know", async () => {
    assert.deepEqual(await answer("check/pass/nope"), [404, checkHint("nope")]);
    assert.deepEqual(await answer("check/update/nope", { Status: "passing" }), [404, checkHint("nope")]);
    assert.deepEqual(await answer("check/deregister/nope"), [404, checkHint("nope")]);
    assert.deepEqual(await answer("service/deregister/nope"), [404, serviceHint("nope")]);
    assert.deepEqual(await answer("check/register", { Name: "c", TTL: "5s", ServiceID: "nope" }), [
      404,
      'ServiceID "nope" does not exist',
    ]);
  });

  test("leaves out a port of 0, and shows what newer versions add", async () => {
    await register({ Name: "added", Check: { TCP: "127.0.0.1:1", Interval: "90s", Timeout: "500ms" } });
    const health = await agent.get("/v1/health/service/added");
    const [entry] = health.json<EntryShape[]>();
    assert.equal(entry && "Port" in entry.Service, false);
    assert.equal(entry?.Service.PeerName, "");
    assert.equal(entry?.Node.Meta["consul-version"], "1.22.7");
    const check = entry?.Checks.find(({ Type }) => Type === "tcp");
    assert.deepEqual([check?.Interval, check?.Timeout], ["1m30s", "500ms"]);
    assert.equal(health.headers["x-consul-default-acl-policy"], "allow");
    assert.equal(health.headers["x-consul-effective-consistency"], "leader");
    assert.equal(health.headers["x-consul-query-backend"], "blocking-query");
    const [listed] = (await agent.get("/v1/health/checks/added")).json<CheckShape[]>();
    assert.equal(listed?.Interval, "1m30s");
  });

  test("takes several ports in place of one", async () => {
    const Ports = [
      { name: "grpc", port: 9000, default: true },
      { name: "admin", port: 9001, default: false },
    ];
    assert.deepEqual(await register({ Name: "ports", Ports }), [200, ""]);
    const [entry] = (await agent.get("/v1/health/service/ports")).json<EntryShape[]>();
    assert.deepEqual([entry?.Service.Ports, entry?.Service.Port], [Ports, undefined]);
    const [status] = await register({ Name: "ports", Ports, Port: 5 });
    assert.equal(status, 400);
  });

  test("refuses partitions, and fields that no version has", async () => {
    const partition = await agent.get("/v1/health/service/x?partition=p");
    assert.deepEqual(
      [partition.status, partition.text],
      [400, 'Bad request: Invalid query parameter: "partition" - Partitions are a Consul Enterprise feature'],
    );
    assert.deepEqual(await register({ Name: "x", Bogus: 1 }), [
      400,
      'Request decode failed: json: unknown field "Bogus"',
    ]);
  });
});

describe("the embedded agent as 1.22 with ACLs", () => {
  let consul: EmbeddedConsul;
  let agent: ReturnType<typeof asking>;
  before(async () => {
    consul = await startEmbeddedConsul({
      compat: "1.22",
      tokens: [
        { secret: "admin", management: true },
        { secret: "weak", service: { other: "write" } },
      ],
    });
    agent = asking(consul.address);
    await agent.put("/v1/agent/service/register", { Name: "web" }, { token: "admin" });
  });
  after(() => consul.close());

  test("tells a weak token that its rights hide something, and tells nobody else", async () => {
    const seen = async (token?: string) => {
      const answer = await agent.get("/v1/health/service/web", token === undefined ? {} : { token });
      return [answer.status, answer.json<unknown[]>().length, answer.headers["x-consul-results-filtered-by-acls"]];
    };
    assert.deepEqual(await seen("admin"), [200, 1, undefined]);
    assert.deepEqual(await seen("weak"), [200, 0, "true"]);
    assert.deepEqual(await seen(), [200, 0, undefined]);
    assert.equal((await agent.get("/v1/health/service/web", { token: "unknown" })).status, 403);
  });

  test("says who lacks which right, and never the secret", async () => {
    const register = (token?: string) =>
      agent.put("/v1/agent/service/register", { Name: "web" }, token === undefined ? {} : { token });
    const anonymous = await register();
    assert.deepEqual(
      [anonymous.status, anonymous.text],
      [
        403,
        "Permission denied: anonymous token lacks permission 'service:write' on \"web\". The anonymous token is used implicitly when a request does not specify a token.",
      ],
    );
    const weak = await register("weak");
    assert.equal(weak.status, 403);
    assert.match(
      weak.text,
      /^Permission denied: token with AccessorID '[-0-9a-f]{36}' lacks permission 'service:write' on "web"$/,
    );
    assert.equal((await agent.put("/v1/agent/check/pass/nope", undefined, { token: "admin" })).status, 404);
  });
});
