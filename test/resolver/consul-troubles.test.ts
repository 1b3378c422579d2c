// The resolver and the transport's errors over agents in trouble, on real sockets: no leader, agents lost, rights that are missing.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { HelloService } from "../../gen/HelloService_proto/hello_service_pb.ts";
import { createConsulTransport } from "../../src/client/create-consul-transport.ts";
import { createConsulClient } from "../../src/consul/consul-client.ts";
import { createConsulResolver } from "../../src/resolver/consul-resolver.ts";
import type { ResolverSnapshot } from "../../src/resolver/resolver.ts";
import { type EmbeddedConsulAnswer, startEmbeddedConsul } from "../../src/testing/embedded-consul.ts";
import { startConsulCluster } from "../chaos/consul-cluster.ts";
import { realConsulSkip } from "../support/consul-agent.ts";
import { until } from "../support/eventually.ts";
import { createRecordingLogger } from "../support/recording-logger.ts";

const hello = { ID: "a", Name: "Hello", Address: "10.0.0.1", Port: 1 };

/** What a resolver tells, and its end. */
function follow(options: Parameters<typeof createConsulResolver>[0]) {
  const snapshots: ResolverSnapshot[] = [];
  const errors: unknown[] = [];
  const resolver = createConsulResolver(options);
  const stop = resolver.subscribe({
    onSnapshot: (snapshot) => snapshots.push(snapshot),
    onError: (error) => errors.push(error),
  });
  return {
    resolver,
    errors,
    get latest() {
      return snapshots.at(-1);
    },
    get urls() {
      return snapshots.at(-1)?.endpoints.map(({ url }) => url);
    },
    [Symbol.dispose]: stop,
  };
}

test("createConsulResolver() goes on by any server's answers while there is no leader", async () => {
  await using agent = await startEmbeddedConsul();
  const consul = createConsulClient(agent.address);
  await consul.agent.registerService(hello);
  const logger = createRecordingLogger();
  using followed = follow({ consul, service: "Hello", logger });
  await until(() => followed.urls?.length === 1);
  agent.loseLeader();
  await until(() => followed.latest?.stale === true);
  assert.deepEqual([followed.urls, followed.errors], [["http://10.0.0.1:1"], []]);
  assert.equal(logger.count("Consul has no leader"), 1);
  // The agent goes on; what any server knows of it is heard.
  await consul.agent.registerService({ ...hello, ID: "b", Address: "10.0.0.2" });
  await until(() => followed.urls?.length === 2);
  agent.electLeader();
  await consul.agent.deregisterService("b");
  await until(() => followed.latest?.stale === false && followed.urls?.length === 1);
  assert.equal(logger.count("Consul has a leader again"), 1);
});

test("createConsulResolver() finds its first instances while there is no leader", async () => {
  await using agent = await startEmbeddedConsul();
  const consul = createConsulClient(agent.address);
  await consul.agent.registerService(hello);
  agent.loseLeader();
  using followed = follow({ consul, service: "Hello" });
  await until(() => followed.urls?.length === 1);
  assert.equal(followed.latest?.stale, true);
  using strict = follow({ consul, service: "Hello", consistency: "consistent" });
  await until(() => strict.errors.length > 0);
  assert.equal(strict.latest, undefined);
});

test("createConsulResolver() follows another agent when the one in use is killed", async () => {
  await using one = await startEmbeddedConsul({ nodeName: "one" });
  await using two = await startEmbeddedConsul({ nodeName: "two" });
  for (const { address } of [one, two]) await createConsulClient(address).agent.registerService(hello);
  using followed = follow({ consul: { address: [one.address, two.address] }, service: "Hello" });
  await until(() => followed.latest?.endpoints[0]?.id === "one/a");
  await one.kill();
  await until(() => followed.latest?.endpoints[0]?.id === "two/a");
  assert.deepEqual(followed.errors, []);
  // And hears of changes there, though its index may be lower than the lost one's.
  await createConsulClient(two.address).agent.registerService({ ...hello, ID: "b", Address: "10.0.0.2" });
  await until(() => followed.urls?.length === 2);
});

test("createConsulResolver() asks an agent that is overloaded again when it says, not before", async () => {
  let answer: EmbeddedConsulAnswer | undefined;
  const askedAtMs: number[] = [];
  await using agent = await startEmbeddedConsul({
    onRequest: ({ path }) => {
      if (path.startsWith("/v1/health")) askedAtMs.push(performance.now());
      return answer;
    },
  });
  await createConsulClient(agent.address).agent.registerService(hello);
  answer = { status: 429, text: "Your IP is issuing too many concurrent connections", headers: { "Retry-After": "2" } };
  using followed = follow({ consul: agent.address, service: "Hello" });
  await until(() => followed.errors.length === 1);
  answer = undefined;
  await followed.resolver.refresh();
  assert.equal(askedAtMs.length, 1);
  await until(() => followed.urls?.length === 1);
  const [first = 0, second = 0] = askedAtMs;
  assert.ok(second - first > 1900, "asked too soon");
});

test("createConsulResolver() says of an empty list what the token may lack", async () => {
  const tokens = [{ secret: "strong", management: true }, { secret: "weak" }];
  await using old = await startEmbeddedConsul({ tokens });
  await using newer = await startEmbeddedConsul({ compat: "1.22", tokens });
  await using open = await startEmbeddedConsul({ compat: "1.22" });
  for (const { address } of [old, newer]) {
    await createConsulClient({ address, token: "strong" }).agent.registerService(hello);
  }
  const logger = createRecordingLogger();
  const why = async (address: string, token?: string, service = "Hello") => {
    const consul = { address, ...(token === undefined ? {} : { token }) };
    using followed = follow({ consul, service, logger });
    await until(() => followed.latest !== undefined);
    return followed.latest?.whyEmpty;
  };
  assert.match((await why(newer.address, "weak")) ?? "", /hides instances from this token.*service:read and node:read/);
  assert.match((await why(newer.address)) ?? "", /denies by default and was sent no token/);
  assert.equal(logger.count("was sent no token"), 1);
  assert.match((await why(old.address, "weak")) ?? "", /the token may lack service:read or node:read/);
  // Nothing is hidden: there is none.
  assert.equal(await why(newer.address, "strong", "Nobody"), undefined);
  assert.equal(await why(open.address), undefined);
  assert.equal(await why(newer.address, "strong"), undefined);
});

test("a call that finds no instance says what the token may lack", async () => {
  await using agent = await startEmbeddedConsul({
    compat: "1.22",
    tokens: [{ secret: "s", management: true }, { secret: "weak" }],
  });
  await createConsulClient({ address: agent.address, token: "s" }).agent.registerService(hello);
  const consul = { address: agent.address, token: "weak" };
  await using transport = createConsulTransport({ service: "Hello", consul, waitTimeoutMs: 100 });
  await assert.rejects(
    createClient(HelloService, transport).sayHello({}, { timeoutMs: 2000 }),
    /lists none: it hides instances from this token, which needs service:read and node:read/,
  );
});

test("watch() of a key goes on while there is no leader", async () => {
  await using agent = await startEmbeddedConsul();
  const { kv } = createConsulClient(agent.address);
  await kv.put("key", "one");
  agent.loseLeader();
  const values: string[] = [];
  for await (const entry of kv.watch("key")) {
    values.push(new TextDecoder().decode(entry?.value));
    if (values.length === 2) break;
    agent.electLeader();
    await kv.put("key", "two");
  }
  assert.deepEqual(values, ["one", "two"]);
});

test("createConsulResolver() keeps its instances while a real cluster loses its leader and its quorum", {
  skip: realConsulSkip,
  timeout: 60_000,
}, async () => {
  await using cluster = await startConsulCluster();
  const addresses = cluster.members.map(({ address }) => address);
  const consul = createConsulClient({ address: addresses });
  await consul.agent.registerService({ Name: "Hello", ID: "a", Address: "10.0.0.1", Port: 1 });
  using followed = follow({ consul: { address: addresses }, service: "Hello" });
  await until(() => followed.urls?.length === 1);
  const isKept = () => followed.urls?.length === 1;
  const leader = await cluster.leader();
  await leader.kill();
  await followed.resolver.refresh();
  assert.ok(isKept(), "lost with the leader");
  // One is left, which cannot lead.
  const [other, last] = cluster.members.filter((member) => member !== leader);
  await other?.kill();
  await until(() => followed.latest?.stale === true, 20_000);
  assert.ok(isKept(), "lost with the quorum");
  // Who comes now finds them too.
  using late = follow({ consul: { address: addresses, timeoutMs: 9000 }, service: "Hello" });
  await until(() => late.urls?.length === 1, 10_000);
  assert.equal(last?.address !== undefined && late.latest?.stale, true);
});
