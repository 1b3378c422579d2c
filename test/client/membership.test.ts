// Servers come, go and crash; the client follows Consul, and no call fails for it.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Client, createClient } from "@connectrpc/connect";
import { createConsulTransport } from "../../src/client/create-consul-transport.ts";
import { type ConsulClient, createConsulClient } from "../../src/consul/consul-client.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { agentKinds, type TestAgent } from "../support/agent-kinds.ts";
import { registerInstance, startEchoServer } from "../support/echo-server.ts";
import { eventually } from "../support/eventually.ts";
import { startH2Peer } from "../support/h2-peer.ts";
import { createRecordingLogger } from "../support/recording-logger.ts";

type EchoClient = Client<typeof EchoService>;

/** Names of the servers that answer the next `calls` calls, each once, sorted. */
async function answering(client: EchoClient, calls: number): Promise<string> {
  const names = new Set<string>();
  for (let i = 0; i < calls; i++) names.add((await client.unary({})).server);
  return [...names].sort().join("");
}

const until = (client: EchoClient, names: string) =>
  eventually(`${names} answer`, async () => (await answering(client, 2 * names.length)) === names);

for (const kind of agentKinds) {
  describe(`A client's view of who is there, by the ${kind.name}`, { skip: kind.skip, timeout: 60_000 }, () => {
    let agent: TestAgent;
    let consul: ConsulClient;
    before(async () => {
      agent = await kind.start();
      consul = createConsulClient(agent.address);
    });
    after(() => agent[Symbol.asyncDispose]());

    test("follows servers that come, leave, and come back on other ports, without a failed call", async () => {
      const service = { name: "moving", check: { type: "ttl", ttlMs: 5000, intervalMs: 500 } } as const;
      const a = await startEchoServer("a", { consul, service });
      await using b = await startEchoServer("b", { consul, service });
      await eventually("both pass", async () => {
        return (await consul.health.service("moving", { passing: true })).data.length === 2;
      });
      await using transport = createConsulTransport({ service: "moving", consul });
      const client = createClient(EchoService, transport);
      await until(client, "ab");
      // Any call that failed would fail the test: all of this goes on while servers leave and come.
      await using c = await startEchoServer("c", { consul, service });
      await until(client, "abc");
      const [report] = await Promise.all([a.close(), until(client, "bc")]);
      assert.equal(report.cut, 0);
      await using again = await startEchoServer("a", { consul, service });
      assert.notEqual(again.address.port, a.address.port);
      await until(client, "abc");
      assert.ok([again, b, c].every(({ calls }) => calls > 0));
    });

    test("drops a crashed server when its TTL expires, and takes it back under its id on another port", async () => {
      const crashing = await startH2Peer({ name: "a" });
      await using steady = await startEchoServer("b");
      const portOf = (url: string) => Number(new URL(url).port);
      await registerInstance(consul, { service: "crash", id: "a", port: portOf(crashing.url), ttl: "1s" });
      await registerInstance(consul, { service: "crash", id: "b", port: steady.address.port });
      const logger = createRecordingLogger();
      await using transport = createConsulTransport({ service: "crash", consul, logger });
      const client = createClient(EchoService, transport);
      await until(client, "ab");
      await crashing.close();
      const gone = () => logger.lines.filter(({ message }) => message === "endpoint removed").length;
      assert.equal(gone(), 0);
      await eventually("the crashed server is out of Consul's list", async () => {
        // The connection tells of the crash long before the TTL does.
        assert.equal((await client.unary({})).server, "b");
        return gone() === 1;
      });
      await using revived = await startEchoServer("a");
      await registerInstance(consul, { service: "crash", id: "a", port: revived.address.port });
      // Its status is kept as it was: critical, until it passes.
      await consul.agent.passCheck("service:a");
      await until(client, "ab");
    });

    test("moves to the new address when an instance is registered anew with another port", async () => {
      await using before = await startEchoServer("a");
      await using moved = await startEchoServer("b");
      await registerInstance(consul, { service: "moved", id: "one", port: before.address.port });
      await using transport = createConsulTransport({ service: "moved", consul });
      const client = createClient(EchoService, transport);
      assert.equal(await answering(client, 2), "a");
      await registerInstance(consul, { service: "moved", id: "one", port: moved.address.port });
      await until(client, "b");
    });

    test("finishes the calls of an endpoint that goes away, and sends it no others", async () => {
      await using leaving = await startEchoServer("a");
      await using staying = await startEchoServer("b");
      await registerInstance(consul, { service: "leaving", id: "a", port: leaving.address.port });
      await registerInstance(consul, { service: "leaving", id: "b", port: staying.address.port });
      const logger = createRecordingLogger();
      await using transport = createConsulTransport({ service: "leaving", consul, logger });
      const client = createClient(EchoService, transport);
      const slow = [client.unary({ text: "slow", delayMs: 1000 }), client.unary({ text: "slow", delayMs: 1000 })];
      const stream = client.serverStream({ text: "s", count: 5, delayMs: 200 })[Symbol.asyncIterator]();
      assert.equal((await stream.next()).value?.server, "a");
      await consul.agent.deregisterService("a");
      await eventually("the endpoint is removed", () => logger.count("endpoint removed") === 1);
      assert.equal(await answering(client, 6), "b");
      assert.deepEqual((await Promise.all(slow)).map(({ server }) => server).sort(), ["a", "b"]);
      let rest = 0;
      for (let next = await stream.next(); next.done !== true; next = await stream.next()) rest++;
      assert.equal(rest, 4);
      // One unary call and one stream, as before it left.
      assert.equal(leaving.calls, 2);
    });

    test("closes the connection to an endpoint that went away once its calls are done", async () => {
      await using leaving = await startEchoServer("a");
      await using staying = await startEchoServer("b");
      await registerInstance(consul, { service: "closing", id: "a", port: leaving.address.port });
      await registerInstance(consul, { service: "closing", id: "b", port: staying.address.port });
      const logger = createRecordingLogger();
      await using transport = createConsulTransport({ service: "closing", consul, logger });
      const client = createClient(EchoService, transport);
      await until(client, "ab");
      await consul.agent.deregisterService("a");
      await eventually("the endpoint is removed", () => logger.count("endpoint removed") === 1);
      // A server that still had a connection would wait for it.
      const report = await leaving.close();
      assert.equal(report.cut, 0);
      assert.ok(report.tookMs < 500, `${report.tookMs} ms`);
    });
  });
}
