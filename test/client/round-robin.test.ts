// Strict round-robin from end to end: three servers of ours, found in Consul, each get exactly a third of the calls, counted from
// the first call of a fresh client.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Client, createClient } from "@connectrpc/connect";
import { createConsulTransport } from "../../src/client/create-consul-transport.ts";
import { type ConsulClient, createConsulClient } from "../../src/consul/consul-client.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { agentKinds, type TestAgent } from "../support/agent-kinds.ts";
import { type EchoServer, registerInstance, startEchoServers } from "../support/echo-server.ts";
import { eventually, pause } from "../support/eventually.ts";

type EchoClient = Client<typeof EchoService>;

/** Makes `total` calls, `inFlight` at a time, and counts the answers of each server. */
async function countAnswers(client: EchoClient, total: number, inFlight: number): Promise<Record<string, number>> {
  const answers: Record<string, number> = {};
  let left = total;
  const call = async () => {
    while (left > 0) {
      left--;
      const { server } = await client.unary({ text: "x" });
      answers[server] = (answers[server] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, call));
  return answers;
}

for (const kind of agentKinds) {
  describe(`createConsulTransport() over three servers and the ${kind.name}`, { skip: kind.skip }, () => {
    let agent: TestAgent;
    let consul: ConsulClient;
    let servers: EchoServer[];
    before(async () => {
      agent = await kind.start();
      consul = createConsulClient(agent.address);
      servers = await startEchoServers("a", "b", "c");
      for (const { name, address } of servers) {
        await registerInstance(consul, { service: "echo", id: name, port: address.port });
      }
    });
    after(async () => {
      await Promise.all(servers.map((server) => server.close()));
      await agent[Symbol.asyncDispose]();
    });

    const each = { a: 1000, b: 1000, c: 1000 };

    // With one in flight over one agent only: it takes the longest, and the calls do not know which agent it is.
    for (const inFlight of kind.name === "embedded agent" ? [1, 64] : [64]) {
      // Nothing but the first answer comes from the agent here.
      if (kind.name === "embedded agent") {
        test(`lands 3,000 calls exactly 1,000 on each with ${inFlight} in flight`, { timeout: 60_000 }, async () => {
          await using transport = createConsulTransport({ service: "echo", consul: agent.address });
          assert.deepEqual(await countAnswers(createClient(EchoService, transport), 3000, inFlight), each);
        });
      }

      test(`lands 3,000 calls exactly 1,000 on each while health answers without changes arrive, with ${inFlight} in flight`, {
        timeout: 60_000,
      }, async () => {
        let healthAnswers = 0;
        const counting = createConsulClient({
          address: agent.address,
          fetch: async (url, init) => {
            const response = await fetch(url, init);
            if (url.includes("/v1/health/service/echo")) healthAnswers++;
            return response;
          },
        });
        await using transport = createConsulTransport({ service: "echo", consul: counting });
        const client = createClient(EchoService, transport);
        let stop = false;
        // An instance that the query hides wakes it with the answer that it had.
        const disturb = async () => {
          await eventually("the first answer", () => healthAnswers > 0);
          while (!stop) {
            await registerInstance(consul, { service: "echo", id: "hidden", port: 1, status: "critical" });
            await consul.agent.deregisterService("hidden");
            await pause(50);
          }
        };
        const disturbing = disturb();
        assert.deepEqual(await countAnswers(client, 3000, inFlight), each);
        // Such answers are read with at most two in a row, then one a second: some came during the calls, and more make no difference.
        assert.ok(healthAnswers >= 3, `${healthAnswers} health answers`);
        await eventually("an answer after the pace has bitten", () => healthAnswers >= 4);
        assert.deepEqual(await countAnswers(client, 300, inFlight), { a: 100, b: 100, c: 100 });
        stop = true;
        await disturbing;
      });
    }

    test("starts every fresh client's round with all three", { timeout: 30_000 }, async () => {
      for (let i = 0; i < 10; i++) {
        await using transport = createConsulTransport({ service: "echo", consul: agent.address });
        assert.deepEqual(await countAnswers(createClient(EchoService, transport), 3, 3), { a: 1, b: 1, c: 1 });
      }
    });
  });
}
