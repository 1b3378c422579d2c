// Whole fleets that leave at once, and agents that forget them: over servers and agents, with calls all the while.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { createConsulTransport } from "../../src/client/create-consul-transport.ts";
import { createConsulClient } from "../../src/consul/consul-client.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { agentKinds, type TestAgent } from "../support/agent-kinds.ts";
import { registerInstance, startEchoServer } from "../support/echo-server.ts";
import { eventually, pause } from "../support/eventually.ts";
import { createRecordingLogger } from "../support/recording-logger.ts";

for (const kind of agentKinds) {
  describe(`A fleet that shrinks, by the ${kind.name}`, { skip: kind.skip, timeout: 60_000 }, () => {
    let agent: TestAgent;
    before(async () => {
      agent = await kind.start();
    });
    after(() => agent[Symbol.asyncDispose]());

    function startCaller(service: string) {
      const logger = createRecordingLogger();
      const transport = createConsulTransport({ service, consul: agent.address, logger });
      const client = createClient(EchoService, transport);
      const failures: unknown[] = [];
      const names = new Set<string>();
      let calls = 0;
      const calling = setInterval(() => {
        calls++;
        client.unary({}).then(
          ({ server }) => names.add(server),
          (error: unknown) => failures.push(error),
        );
      }, 5);
      /** Who answers from now on. */
      const until = (expected: string) => {
        names.clear();
        return eventually(`${expected} answer`, () => [...names].sort().join("") === expected);
      };
      return {
        transport,
        logger,
        until,
        failures,
        get calls() {
          return calls;
        },
        async [Symbol.asyncDispose]() {
          clearInterval(calling);
          await transport.close();
        },
      };
    }

    test("is let go at once where all leave together as they should, and no call fails", async () => {
      const service = { name: "together", check: { type: "ttl", ttlMs: 5000, intervalMs: 500 } } as const;
      const start = (name: string) => startEchoServer(name, { consul: agent.address, service, drainMarginMs: 300 });
      const old = await Promise.all([..."abc"].map(start));
      await using caller = startCaller("together");
      await caller.until("abc");
      const reports = await Promise.all(old.map((server) => server.close()));
      assert.deepEqual(
        reports.map(({ cut }) => cut),
        [0, 0, 0],
      );
      await eventually("none is left", () => caller.transport.status().endpoints.length === 0, 5000);
      await using d = await start("d");
      await using e = await start("e");
      await caller.until("de");
      assert.deepEqual(caller.failures, []);
      // Nobody was connected to again who had said that it leaves.
      assert.equal(caller.logger.lines.filter(({ fields }) => fields.state === "connecting").length, 0);
      assert.ok(caller.calls >= 10 && d.calls > 0 && e.calls > 0);
    });

    test("goes on being called where the agent forgets it, and lists one after another again", async () => {
      const servers = await Promise.all([..."abcd"].map((name) => startEchoServer(name)));
      const register = (index: number) =>
        registerInstance(createConsulClient(agent.address), {
          service: "forgotten",
          id: `f${index}`,
          port: servers[index]?.address.port ?? 0,
        });
      for (const index of [0, 1, 2, 3]) await register(index);
      await using caller = startCaller("forgotten");
      await caller.until("abcd");
      await agent.kill();
      // Deno's fetch sends a GET again by itself where a connection was reset: to an agent that is back already, with the index of the last one.
      await eventually("the loss is noticed", () => caller.transport.status().list?.isStale === true);
      await agent.revive();
      await register(2);
      await eventually("the list of one is heard", () => caller.transport.status().list?.listed === 1);
      await caller.until("abcd");
      assert.equal(caller.transport.status().list?.held, 3);
      for (const index of [0, 1, 3]) {
        await register(index);
        await pause(50);
      }
      await eventually("all are listed", () => caller.transport.status().list?.listed === 4);
      assert.equal(caller.transport.status().list?.held, 0);
      await caller.until("abcd");
      assert.deepEqual(caller.failures, []);
      assert.equal(caller.logger.count("endpoint removed"), 0);
      await Promise.all(servers.map((server) => server.close()));
    });
  });
}
