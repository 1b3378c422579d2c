// Whole edge calls through Consul: a real agent and the embedded one, our own server, and sources as users write them.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Code, createClient } from "@connectrpc/connect";
import { createConsulClient } from "../../src/consul/consul-client.ts";
import { createEdgeTransport } from "../../src/edge/create-edge-transport.ts";
import type { EdgeTransportOptions } from "../../src/edge/edge-options.ts";
import { parseSnapshot, type SnapshotSource } from "../../src/edge/snapshot.ts";
import { createSnapshotCache } from "../../src/edge/snapshot-cache.ts";
import { startEmbeddedConsul } from "../../src/testing/embedded-consul.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { agentKinds } from "../support/agent-kinds.ts";
import { registerInstance, startEchoServer, startEchoServers } from "../support/echo-server.ts";
import { eventually } from "../support/eventually.ts";
import { rejection } from "../support/rejection.ts";
import { serviceEntry } from "../support/service-entry.ts";

const service = "EdgeEcho";

function open(options: EdgeTransportOptions) {
  const transport = createEdgeTransport(options);
  return { client: createClient(EchoService, transport), discovery: () => transport.discovery() };
}

for (const kind of agentKinds) {
  describe(`over the ${kind.name}`, { skip: kind.skip }, () => {
    test("calls go round what Consul lists, follow changes, and go on without Consul", async () => {
      await using agent = await kind.start();
      const consul = createConsulClient(agent.address);
      const servers = await startEchoServers("a", "b", "c");
      for (const { name, address } of servers)
        await registerInstance(consul, { service, id: name, port: address.port });
      const { client, discovery } = open({ service, consul: agent.address, maxAgeMs: 0 });
      const round = async (calls: number) => {
        let names = "";
        for (let i = 0; i < calls; i++) names += (await client.unaryIdempotent({})).server;
        return names;
      };
      assert.equal(await round(6), "abcabc");
      await consul.agent.deregisterService("b");
      await eventually("the change is seen", async () => (await round(2)) !== "" && discovery().endpoints.length === 2);
      assert.doesNotMatch(await round(4), /b/);
      await agent.kill();
      await eventually("the loss is seen", async () => (await round(1)) !== "" && discovery().lastError !== undefined);
      assert.equal((await round(4)).length, 4);
      const { endpoints, stale, ageMs = 0 } = discovery();
      assert.deepEqual([endpoints.length, stale, ageMs > 0], [2, true, true]);
      // Back with nothing remembered: the empty answer is not believed, the calls go on.
      await agent.revive();
      await eventually("the agent is read again", async () => (await round(1)) !== "" && !("lastError" in discovery()));
      assert.deepEqual([discovery().endpoints.length, discovery().stale], [2, true]);
      for (const server of servers) await server.close();
    });

    test("what our own server announces is found by a target", async () => {
      await using agent = await kind.start();
      await using server = await startEchoServer("announced", { consul: agent.address, service });
      const { host } = new URL(agent.address);
      const { client } = open({ target: `consul://${host}/${service}` });
      await eventually("it is listed and answers", async () => {
        return (await client.unaryIdempotent({}, { timeoutMs: 2000 })).server === server.name;
      });
    });

    test("Consul away from the start is said, with what was asked of whom", async () => {
      await using agent = await kind.start();
      await agent.kill();
      const error = await rejection(open({ service, consul: agent.address }).client.unary({}));
      assert.equal(error.code, Code.Unavailable);
      assert.ok(
        error.rawMessage.startsWith(`no answer about service "EdgeEcho" of Consul at ${agent.address}: Cannot read`),
        error.rawMessage,
      );
    });
  });
}

test("50 calls at once make one read, and two clients of one cache no second one", async () => {
  let reads = 0;
  await using agent = await startEmbeddedConsul({
    onRequest: ({ path }) => {
      if (path.startsWith("/v1/health/service/")) reads++;
      return undefined;
    },
  });
  await using server = await startEchoServer("one");
  await registerInstance(createConsulClient(agent.address), { service, id: "one", port: server.address.port });
  reads = 0;
  const cache = createSnapshotCache();
  const { client } = open({ service, consul: agent.address, cache });
  await Promise.all(Array.from({ length: 50 }, () => client.unary({})));
  await open({ service, consul: { address: agent.address }, cache }).client.unary({});
  assert.equal(reads, 1);
});

test("what one token may see is not shown to another by their common cache", async () => {
  await using server = await startEchoServer("one");
  const entry = serviceEntry({ id: "one", service: { Address: "127.0.0.1", Port: server.address.port } });
  const asked: (string | null)[] = [];
  const fetch = async (_url: string, { headers }: RequestInit) => {
    const token = new Headers(headers).get("X-Consul-Token");
    asked.push(token);
    return Response.json(token === "may" ? [entry] : []);
  };
  const cache = createSnapshotCache();
  const call = (token: string) => open({ service, cache, consul: { token, fetch } }).client.unary({});
  assert.equal((await call("may")).server, "one");
  assert.match((await rejection(call("may-not"))).rawMessage, /no instance to call/);
  assert.equal((await call("may")).server, "one");
  assert.deepEqual(asked, ["may", "may-not"]);
});

test("what a token function returns for one is not shown to who gets another of it", async () => {
  await using server = await startEchoServer("one");
  const entry = serviceEntry({ id: "one", service: { Address: "127.0.0.1", Port: server.address.port } });
  let current = "may";
  const token = () => current;
  const fetch = async (_url: string, { headers }: RequestInit) =>
    Response.json(new Headers(headers).get("X-Consul-Token") === "may" ? [entry] : []);
  const cache = createSnapshotCache();
  const request = () => open({ service, cache, consul: { token, fetch } }).client;
  const kept = request();
  assert.equal((await kept.unary({})).server, "one");
  current = "may-not";
  for (const client of [request(), kept]) {
    assert.match((await rejection(client.unary({}))).rawMessage, /no instance to call/);
  }
  current = "may";
  for (const client of [request(), kept]) assert.equal((await client.unary({})).server, "one");
});

describe("a source of the user's", () => {
  test("may read a KV store", async () => {
    await using server = await startEchoServer("stored");
    const namespace = new Map<string, string>([
      ["echo", JSON.stringify({ endpoints: [server.address.url], confirmedAtMs: Date.now() - 30_000 })],
    ]);
    // As a Worker's KV binding: get(key, "json").
    const kv = { get: async (key: string) => JSON.parse(namespace.get(key) ?? "null") as unknown };
    const source: SnapshotSource = {
      description: 'key "echo" of KV',
      identity: "kv echo",
      read: async () => parseSnapshot(await kv.get("echo")),
    };
    const { client, discovery } = open({ source });
    assert.equal((await client.unary({})).server, "stored");
    const { ageMs = 0, stale } = discovery();
    assert.ok(ageMs >= 30_000 && stale);
    namespace.delete("echo");
    const missing = await rejection(open({ source: { ...source, identity: "other" } }).client.unary({}));
    assert.match(
      missing.rawMessage,
      /^no answer about key "echo" of KV: Cannot use a snapshot as it must be an object/,
    );
  });

  test("may check a signature over JSON that comes by HTTPS", async () => {
    await using server = await startEchoServer("signed");
    const keys = await crypto.subtle.generateKey("Ed25519", false, ["sign", "verify"]);
    const { publicKey, privateKey } = keys as CryptoKeyPair;
    const body = JSON.stringify({ endpoints: [server.address.url], confirmedAtMs: Date.now() });
    const signature = await crypto.subtle.sign("Ed25519", privateKey, new TextEncoder().encode(body));
    let served = body;
    const source: SnapshotSource = {
      description: "the signed list at https://lists.test/echo.json",
      async read() {
        const isSigned = await crypto.subtle.verify("Ed25519", publicKey, signature, new TextEncoder().encode(served));
        if (!isSigned) throw new Error("its signature is not ours");
        return parseSnapshot(JSON.parse(served));
      },
    };
    const { client, discovery } = open({ source, maxAgeMs: 0 });
    assert.equal((await client.unary({})).server, "signed");
    served = body.replace(server.address.url, "http://evil.test:1");
    await eventually("the forgery is refused", async () => {
      await client.unary({});
      return discovery().lastError !== undefined;
    });
    assert.match(String(discovery().lastError), /its signature is not ours/);
    assert.equal((await client.unary({})).server, "signed");
  });
});
