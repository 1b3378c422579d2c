// A short outage of the agent, which comes back with nothing remembered: no call fails, and every instance registers once.
// The long one, over processes and a real agent, is test/outage.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createConsulClient } from "../../src/consul/consul-client.ts";
import { createHelloClient } from "../../src/hello/create-hello-client.ts";
import { createHelloService } from "../../src/hello/hello-service.ts";
import { serve } from "../../src/server/serve.ts";
import { agentKinds } from "../support/agent-kinds.ts";
import { startConsulProxy } from "../support/consul-proxy.ts";
import { eventually, pause } from "../support/eventually.ts";

for (const kind of agentKinds) {
  describe(`An outage of the ${kind.name}`, { skip: kind.skip }, () => {
    test("that ends with a wiped agent fails no call, and every instance is registered once", {
      timeout: 60_000,
    }, async () => {
      await using agent = await kind.start();
      await using proxy = await startConsulProxy(agent.address);
      const consul = createConsulClient(proxy.address);
      const startServer = async () => {
        const server = serve({
          routes: createHelloService(),
          consul,
          service: { check: { type: "ttl", ttlMs: 1500, intervalMs: 300 } },
          drainMarginMs: 0,
        });
        await server.ready;
        await server.registration?.registered;
        return server;
      };
      await using first = await startServer();
      await using second = await startServer();
      await using client = createHelloClient({ consul });

      let failures = 0;
      const answered = new Map<string, number>();
      const call = async () => {
        try {
          const { message } = await client.sayHello({ name: "x" });
          const server = message.slice(message.lastIndexOf(":") + 1);
          answered.set(server, (answered.get(server) ?? 0) + 1);
        } catch {
          failures++;
        }
      };
      const calls: Promise<void>[] = [];
      const timer = setInterval(() => calls.push(call()), 25);
      const both = [first, second].map((server) => String(server.address?.port)).sort();
      const untilBothAnswer = () => {
        answered.clear();
        return eventually("both answer", () => [...answered.keys()].sort().join() === both.join());
      };
      const listed = async () => Object.keys(await createConsulClient(agent.address).agent.services());

      await untilBothAnswer();
      assert.equal(proxy.count("PUT", /^\/v1\/agent\/service\/register/), 2);

      await agent.kill();
      await proxy.cut();
      // Longer than the TTL: whoever forgot us will not be fooled by an old pass.
      await pause(3000);
      await untilBothAnswer();
      const returned = proxy.requests.length;
      await agent.revive();
      assert.deepEqual(await listed(), []);
      await proxy.restore();

      await eventually("both are registered again", async () => (await listed()).length === 2);
      // Several heartbeats later nothing has registered twice.
      await pause(1500);
      assert.deepEqual((await listed()).sort(), both.map((port) => `127.0.0.1:${port}:HelloService`).sort());
      assert.equal(proxy.count("PUT", /^\/v1\/agent\/service\/register/, returned), 2);
      const { data } = await consul.health.service("HelloService", { passing: true });
      assert.equal(data.length, 2);
      await untilBothAnswer();
      clearInterval(timer);
      await Promise.all(calls);
      assert.equal(failures, 0);
      assert.ok(calls.length > 50, `${calls.length} calls`);
    });
  });
}
