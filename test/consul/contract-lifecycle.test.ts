// The end of an agent and its next life, as clients see them. Embedded agent and real 1.8.7.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { realConsulSkip, startConsul } from "../support/consul-agent.ts";
import { asking, contractKinds } from "../support/contract-agent.ts";
import { pause } from "../support/eventually.ts";

for (const kind of contractKinds) {
  describe(`the ${kind.name}`, { skip: kind.skip }, () => {
    test("answers open queries with their index when it stops, then refuses", { timeout: 30_000 }, async () => {
      await using agent = await kind.start();
      await agent.put("/v1/agent/service/register", { Name: "web" });
      const { index } = await agent.get("/v1/health/service/web");
      const watching = agent.get(`/v1/health/service/web?index=${index}&wait=60s`);
      await pause(100);
      await agent.stop();
      const answer = await watching;
      assert.deepEqual([answer.status, answer.index], [200, index]);
      await assert.rejects(agent.get("/v1/status/leader"), { code: "ECONNREFUSED" });
    });

    test("resets open queries when it is killed, then refuses", { timeout: 30_000 }, async () => {
      await using agent = await kind.start();
      // A young agent still changes, and answers.
      let watching: Promise<unknown>;
      let isOpen = false;
      do {
        const { index } = await agent.get("/v1/health/service/web");
        watching = agent.get(`/v1/health/service/web?index=${index}&wait=60s`);
        isOpen = await Promise.race([watching.then(() => false), pause(300).then(() => true)]);
      } while (!isOpen);
      const reset = assert.rejects(watching, { code: "ECONNRESET" });
      await agent.kill();
      await reset;
      await assert.rejects(agent.get("/v1/status/leader"), { code: "ECONNREFUSED" });
    });

    test("has forgotten everything when it starts again, and its index is lower", { timeout: 30_000 }, async () => {
      await using agent = await kind.start();
      for (let n = 0; n < 20; n++) {
        await agent.put("/v1/agent/service/register", { Name: "web", Meta: { n: String(n) }, Check: { TTL: "60s" } });
      }
      const before = await agent.get("/v1/health/service/web");
      await agent.kill();
      await agent.start();
      const after = await agent.get("/v1/health/service/web");
      assert.deepEqual([after.status, after.text.trim()], [200, "[]"]);
      assert.ok(after.index < before.index, `${before.index} -> ${after.index}`);
      const heartbeat = await agent.put("/v1/agent/check/pass/service:web");
      assert.deepEqual([heartbeat.status, heartbeat.text], [500, 'CheckID "service:web" does not have associated TTL']);
    });
  });
}

test("a server with a data directory remembers services, their checks and keys when it is stopped and started", {
  skip: realConsulSkip,
  timeout: 60_000,
}, async () => {
  await using consul = await startConsul({ mode: "server" });
  const agent = asking(consul.address);
  await agent.put("/v1/agent/service/register", { Name: "web", Port: 9, Check: { TTL: "60s" } });
  await agent.put("/v1/agent/check/pass/service:web");
  await agent.put("/v1/kv/kept", "value");
  const before = await agent.get("/v1/health/service/web?passing");
  await consul.stop();
  await assert.rejects(agent.get("/v1/status/leader"), { code: "ECONNREFUSED" });
  await consul.start();
  const after = await agent.get("/v1/health/service/web?passing");
  assert.equal(after.json<unknown[]>().length, 1);
  assert.ok(after.index >= before.index);
  assert.equal((await agent.get("/v1/kv/kept?raw")).text, "value");
  const heartbeat = await agent.put("/v1/agent/check/pass/service:web");
  assert.deepEqual([heartbeat.status, heartbeat.text], [200, ""]);
});
