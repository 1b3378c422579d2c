// Resolving against whole agents, over real sockets and real time.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createConsulClient } from "../../src/consul/consul-client.ts";
import type { Endpoint } from "../../src/core/endpoint.ts";
import { createConsulResolver } from "../../src/resolver/consul-resolver.ts";
import type { ResolverSnapshot } from "../../src/resolver/resolver.ts";
import { watchService } from "../../src/resolver/watch-service.ts";
import { startEmbeddedConsul } from "../../src/testing/embedded-consul.ts";
import { agentKinds } from "../support/agent-kinds.ts";
import { realConsulSkip, startConsul } from "../support/consul-agent.ts";
import { startConsulProxy } from "../support/consul-proxy.ts";
import { until } from "../support/eventually.ts";
import { createRecordingLogger } from "../support/recording-logger.ts";

/** The service's part of an endpoint's id: agents call their nodes differently. */
const idOf = ({ id }: Endpoint): string => id.slice(id.indexOf("/") + 1);

/** Ends what a test began, however the test ends: a watch left open would keep the process. */
function atEnd(...ends: readonly (() => void)[]): Disposable {
  return {
    [Symbol.dispose]() {
      for (const end of ends) end();
    },
  };
}

function collect() {
  const snapshots: ResolverSnapshot[] = [];
  return {
    snapshots,
    get urls() {
      return snapshots.at(-1)?.endpoints.map(({ url }) => url);
    },
    onSnapshot: (snapshot: ResolverSnapshot) => {
      snapshots.push(snapshot);
    },
    onError: () => {},
  };
}

for (const kind of agentKinds) {
  describe(`createConsulResolver() with the ${kind.name}`, () => {
    test("holds one blocking query for every resolver and watch of a service, and lets it go", {
      skip: kind.skip,
    }, async () => {
      await using agent = await kind.start();
      await using proxy = await startConsulProxy(agent.address);
      const client = createConsulClient(agent.address);
      await client.agent.registerService({ ID: "a", Name: "Hello", Address: "10.0.0.1", Port: 1 });
      const listeners = [collect(), collect(), collect()] as const;
      const resolvers = listeners.map((_, index) =>
        createConsulResolver({
          consul: index === 0 ? proxy.address : createConsulClient({ address: proxy.address }),
          service: index === 0 ? "Hello" : "hello",
        }),
      );
      const unsubscribes = resolvers.map((resolver, index) => resolver.subscribe(listeners[index] ?? collect()));
      using _ = atEnd(...unsubscribes);
      const watch = watchService({ consul: proxy.address, service: "Hello" })[Symbol.asyncIterator]();
      using __ = atEnd(() => void watch.return?.());
      assert.deepEqual((await watch.next()).value?.added.map(idOf), ["a"]);
      await until(() => proxy.waiting === 1);
      await client.agent.registerService({ ID: "b", Name: "Hello", Address: "10.0.0.2", Port: 2 });
      const update = (await watch.next()).value;
      assert.deepEqual(update?.added.map(idOf), ["b"]);
      for (const { urls } of listeners) assert.deepEqual(urls, ["http://10.0.0.1:1", "http://10.0.0.2:2"]);
      await client.agent.deregisterService("a");
      assert.deepEqual((await watch.next()).value?.removed.map(idOf), ["a"]);
      await until(() => proxy.waiting === 1);
      // The first read and one after each change, however many ask; with room for an agent that wakes us for nothing.
      assert.ok(proxy.count("GET", /health\/service/) <= 6, `${proxy.requests.length} reads`);
      await watch.return?.();
      for (const unsubscribe of unsubscribes) unsubscribe();
      await until(() => proxy.waiting === 0);
    });

    test("lists what may be called and where", { skip: kind.skip }, async () => {
      await using agent = await kind.start();
      const client = createConsulClient(agent.address);
      const logger = createRecordingLogger();
      const passing = { TTL: "60s", Status: "passing" } as const;
      const register = (ID: string, more: object) =>
        client.agent.registerService({ ID, Name: "Hello", Port: 80, Check: passing, ...more });
      await register("a-node-address", {});
      await register("b-ipv6", { Address: "::1" });
      await register("c-ipv6-brackets", { Address: "[fd00::1]", Tags: ["x", "y"] });
      await register("d-no-port", { Address: "10.0.0.4", Port: 0 });
      await register("e-no-host", { Address: "not a host!!" });
      await register("f-warning", {
        Address: "10.0.0.6",
        Check: { TTL: "60s", Status: "warning" },
        Weights: { Passing: 9, Warning: 3 },
      });
      await register("g-critical", { Address: "10.0.0.7", Check: { TTL: "60s" } });
      await register("h-maintenance", { Address: "10.0.0.8" });
      await client.agent.serviceMaintenance("h-maintenance", true);

      const listed = async (options: object): Promise<readonly Endpoint[]> => {
        const watch = watchService({ consul: client, service: "Hello", logger, ...options })[Symbol.asyncIterator]();
        const { value } = await watch.next();
        await watch.return?.();
        return value?.endpoints ?? [];
      };
      const all = await listed({});
      assert.deepEqual(all.map(idOf), ["a-node-address", "b-ipv6", "c-ipv6-brackets"]);
      assert.match(all[0]?.url ?? "", /^http:\/\/[0-9.]+:80$/);
      assert.deepEqual(
        all.slice(1).map(({ url }) => url),
        ["http://[::1]:80", "http://[fd00::1]:80"],
      );
      assert.equal(all[0]?.zone, "dc1");
      assert.equal(logger.count("cannot be called"), 2);
      const warning = (await listed({ passingOnly: false })).find((endpoint) => endpoint.health === "warning");
      assert.deepEqual([warning?.url, warning?.weight], ["http://10.0.0.6:80", 3]);
      assert.deepEqual((await listed({ tags: ["x", "y"], scheme: "https" })).map(idOf), ["c-ipv6-brackets"]);
      assert.deepEqual(await listed({ tags: ["x", "z"] }), []);
      assert.deepEqual((await listed({ consistency: "stale", near: "_agent" })).length, 3);
    });

    test("keeps the last list while the agent is away, and follows the one that comes back empty", {
      skip: kind.skip,
    }, async () => {
      await using agent = await kind.start();
      const client = createConsulClient(agent.address);
      await client.agent.registerService({ ID: "a", Name: "Hello", Address: "10.0.0.1", Port: 1 });
      const listener = collect();
      const resolver = createConsulResolver({ consul: client, service: "Hello" });
      using _ = atEnd(resolver.subscribe(listener));
      await until(() => listener.urls?.length === 1);
      await agent.kill();
      await until(() => listener.snapshots.at(-1)?.stale === true);
      assert.deepEqual(listener.urls, ["http://10.0.0.1:1"]);
      await agent.revive();
      await resolver.refresh();
      await until(() => listener.snapshots.at(-1)?.stale === false);
      assert.deepEqual(listener.urls, []);
      await client.agent.registerService({ ID: "a", Name: "Hello", Address: "10.0.0.1", Port: 2 });
      await until(() => listener.urls?.[0] === "http://10.0.0.1:2");
    });
  });
}

test("createConsulResolver() sees an empty list, not an error, with a token that may read nothing", {
  skip: realConsulSkip,
}, async () => {
  await using agent = await startConsul({ acl: true });
  const [weak, strong] = [{}, { token: agent.managementToken ?? "" }].map((rights) =>
    createConsulClient({ address: agent.address, ...rights }),
  );
  assert.ok(weak !== undefined && strong !== undefined);
  await strong.agent.registerService({ ID: "a", Name: "Hello", Address: "10.0.0.1", Port: 1 });
  const listeners = [collect(), collect()] as const;
  using _ = atEnd(
    ...[weak, strong].map((consul, index) =>
      createConsulResolver({ consul, service: "Hello" }).subscribe(listeners[index] ?? collect()),
    ),
  );
  await until(() => listeners.every(({ snapshots }) => snapshots.length === 1));
  assert.deepEqual(
    listeners.map(({ urls }) => urls),
    [[], ["http://10.0.0.1:1"]],
  );
});

test("createConsulResolver() warns where a newer agent says that the token's rights hide instances", async () => {
  await using agent = await startEmbeddedConsul({
    compat: "1.22",
    tokens: [{ secret: "strong", management: true }, { secret: "weak" }],
  });
  const strong = createConsulClient({ address: agent.address, token: "strong" });
  await strong.agent.registerService({ ID: "a", Name: "Hello", Address: "10.0.0.1", Port: 1 });
  const logger = createRecordingLogger();
  const listener = collect();
  const weak = createConsulClient({ address: agent.address, token: "weak" });
  using _ = atEnd(createConsulResolver({ consul: weak, service: "Hello", logger }).subscribe(listener));
  await until(() => listener.snapshots.length === 1);
  assert.deepEqual(listener.urls, []);
  assert.equal(logger.count("service:read and node:read"), 1);
});
