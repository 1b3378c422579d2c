// A service config in Consul's store: what is told of the key, and what transports make of it.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Code, createClient } from "@connectrpc/connect";
import { consulServiceConfig } from "../../src/client/consul-service-config.ts";
import { createConsulTransport } from "../../src/client/create-consul-transport.ts";
import { type ConsulClient, createConsulClient } from "../../src/consul/consul-client.ts";
import type { KvEntry, WatchKeyOptions } from "../../src/consul/kv.ts";
import { createHelloClient } from "../../src/hello/create-hello-client.ts";
import { createHelloService } from "../../src/hello/hello-service.ts";
import { serve } from "../../src/server/serve.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { agentKinds, type TestAgent } from "../support/agent-kinds.ts";
import { registerInstance, startEchoServer } from "../support/echo-server.ts";
import { eventually } from "../support/eventually.ts";
import { createRecordingLogger } from "../support/recording-logger.ts";
import { rejection } from "../support/rejection.ts";

/** Lets requests of up to so many bytes pass. */
const upTo = (bytes: number): string =>
  JSON.stringify({ methodConfig: [{ name: [{}], maxRequestMessageBytes: bytes }] });
const long = { text: "x".repeat(50) };

for (const kind of agentKinds) {
  describe(`consulServiceConfig() over the ${kind.name}`, { skip: kind.skip, timeout: 60_000 }, () => {
    let agent: TestAgent;
    let consul: ConsulClient;
    before(async () => {
      agent = await kind.start();
      consul = createConsulClient(agent.address);
    });
    after(() => agent[Symbol.asyncDispose]());

    test("tells what the key holds, from now on and when it changes", async () => {
      const source = consulServiceConfig({ consul, key: "tells/config" });
      assert.equal(source.description, `key "tells/config" of Consul at ${consul.address}`);
      const told: unknown[] = [];
      const end = source.subscribe({ onConfig: (json) => told.push(json), onError: (error) => told.push(error) });
      await eventually("it is told that there is none", () => told.length === 1);
      await consul.kv.put("tells/config", "{}");
      await eventually("it is told of the first", () => told.length === 2);
      await consul.kv.put("tells/config", "not JSON: ü");
      await eventually("it is told of the second", () => told.length === 3);
      await consul.kv.delete("tells/config");
      await eventually("it is told that there is none", () => told.length === 4);
      assert.deepEqual(told, [undefined, "{}", "not JSON: ü", undefined]);
      end();
      end();
      await consul.kv.put("tells/config", "{}");
    });

    test("gives a transport its policies from the first call on, and applies what changes", {
      timeout: 30_000,
    }, async () => {
      await using server = await startEchoServer("a", { consul, service: "applied" });
      assert.ok(server);
      await consul.kv.put("applied/config", upTo(10));
      const logger = createRecordingLogger();
      const settings = { service: "applied", consul: agent.address, serviceConfig: { consulKey: "applied/config" } };
      await using transport = createConsulTransport({ ...settings, logger });
      const client = createClient(EchoService, transport);
      const refused = await rejection(client.unary(long));
      assert.equal(refused.code, Code.ResourceExhausted);
      const passes = async () => (await client.unary(long)).text === long.text;
      await consul.kv.put("applied/config", upTo(100));
      await eventually("the new config is applied", passes);
      await consul.kv.put("applied/config", '{"methodConfig": [{"name": [{}], "timeout": "soon"}]}');
      await eventually(
        "the bad config is refused",
        () => logger.count("cannot be used: the last good one stands") === 1,
      );
      const refusal = logger.lines.find(({ message }) => message.includes("cannot be used"));
      assert.match(String(refusal?.fields.error), /methodConfig\[0\]\.timeout must be a duration/);
      await assert.rejects(client.unary({ text: "x".repeat(200) }), /larger than/);
      await consul.kv.delete("applied/config");
      await eventually(
        "there is no config any more",
        async () => (await client.unary({ text: "x".repeat(200) })).text !== "",
      );
    });

    test("keeps the config through an outage of Consul, and hears of changes after", { timeout: 30_000 }, async () => {
      await using server = await startEchoServer("b");
      await registerInstance(consul, { service: "outage", id: "b", port: server.address.port });
      await consul.kv.put("outage/config", upTo(10));
      const logger = createRecordingLogger();
      const settings = { service: "outage", consul: agent.address, serviceConfig: { consulKey: "outage/config" } };
      await using transport = createConsulTransport({ ...settings, logger });
      const client = createClient(EchoService, transport);
      await assert.rejects(client.unary(long), /larger than/);
      await agent.kill();
      await eventually("the loss is noticed", () => logger.count("The service config cannot be read") === 1);
      await assert.rejects(client.unary(long), /larger than/);
      await agent.revive();
      await consul.kv.put("outage/config", upTo(100));
      await eventually("the new config is applied", async () => (await client.unary(long)).text === long.text, 20_000);
      assert.equal(logger.count("The service config can be read again"), 1);
    });
  });
}

test("createHelloClient() takes a key of the Consul that its target names", { timeout: 30_000 }, async () => {
  const [embedded] = agentKinds;
  assert.ok(embedded);
  await using agent = await embedded.start();
  const consul = createConsulClient(agent.address);
  await using server = serve({ routes: createHelloService(), consul, service: "HelloService", drainMarginMs: 0 });
  await server.ready;
  await server.registration?.registered;
  await consul.kv.put("hello/config", upTo(1));
  const { host } = new URL(agent.address);
  await using hello = createHelloClient({ target: `consul://${host}`, serviceConfig: { consulKey: "hello/config" } });
  const refused = await rejection(hello.sayHello({ name: "somebody", num1: 1, num2: 2 }));
  assert.equal(refused.code, Code.ResourceExhausted);
});

test("consulServiceConfig() refuses bad keys and options before anything is sent", () => {
  const consul = { fetch: () => Promise.reject(new Error("Consul was asked")) };
  for (const key of ["", "/a", "a//b", "a/../b"]) assert.throws(() => consulServiceConfig({ consul, key }), TypeError);
  assert.throws(() => consulServiceConfig({ consul, key: 3 as never }), /"key" must be a string: received number/);
  assert.throws(() => consulServiceConfig({ consul, key: "a", waitMs: 5 }), RangeError);
  const service = "hello";
  assert.throws(() => createConsulTransport({ service, consul, serviceConfig: { consulKey: "" } }), TypeError);
});

test("sources of the same key share one watch while somebody listens", async () => {
  let watches = 0;
  let open = 0;
  const client = createConsulClient("http://127.0.0.1:1");
  async function* watchedByHand(_key: string, { signal }: WatchKeyOptions): AsyncGenerator<KvEntry | undefined> {
    watches++;
    open++;
    try {
      yield undefined;
      await new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
    } finally {
      open--;
    }
  }
  const kv = { ...client.kv, watch: (key: string, options: WatchKeyOptions = {}) => watchedByHand(key, options) };
  const consul: ConsulClient = Object.defineProperty({ ...client, kv }, "identity", { value: "by hand" }) as never;
  const told: unknown[] = [];
  const listener = { onConfig: (json: unknown) => told.push(json), onError: (error: unknown) => told.push(error) };
  const [first, second] = [consulServiceConfig({ consul, key: "k" }), consulServiceConfig({ consul, key: "k" })];
  const ends = [first.subscribe(listener), second.subscribe(listener)];
  await eventually("both are told", () => told.length === 2);
  ends.push(first.subscribe(listener));
  assert.equal(told.length, 3);
  assert.equal(watches, 1);
  const other = consulServiceConfig({ consul, key: "l" }).subscribe(listener);
  assert.equal(watches, 2);
  other();
  for (const end of ends) end();
  await eventually("all are closed", () => open === 0);
  const later = second.subscribe(listener);
  assert.equal(watches, 3);
  // Ended twice, they take nothing from those who came after.
  for (const end of ends) end();
  first.subscribe(listener)();
  assert.equal(watches, 3);
  later();
  await eventually("all are closed", () => open === 0);
});
