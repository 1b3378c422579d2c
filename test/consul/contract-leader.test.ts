// Servers without a leader, over raw HTTP: what is answered, and what is not. The embedded agent, and one server of a real cluster of three
// whose two others are gone. https://developer.hashicorp.com/consul/api-docs/features/consistency

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { startEmbeddedConsul } from "../../src/testing/embedded-consul.ts";
import { startConsulCluster } from "../chaos/consul-cluster.ts";
import { realConsulSkip } from "../support/consul-agent.ts";
import { asking } from "../support/contract-agent.ts";
import { until } from "../support/eventually.ts";

/** An agent that can lose its leader, and never finds another. */
interface LeaderlessAgent extends AsyncDisposable {
  readonly address: string;
  loseLeader(): Promise<void>;
}

const kinds: readonly { name: string; skip: string | false; start(): Promise<LeaderlessAgent> }[] = [
  {
    name: "embedded agent",
    skip: false,
    async start() {
      const agent = await startEmbeddedConsul();
      return {
        address: agent.address,
        loseLeader: async () => agent.loseLeader(),
        [Symbol.asyncDispose]: () => agent.close(),
      };
    },
  },
  {
    name: "real agent",
    skip: realConsulSkip,
    async start() {
      const cluster = await startConsulCluster();
      const leader = await cluster.leader();
      const [follower] = cluster.members.filter((member) => member !== leader);
      if (follower === undefined) throw new Error("no follower");
      // A young leader goes on to write what it hears of its members, which moves indexes.
      const servers = "/v1/health/service/consul?passing";
      await until(async () => (await asking(follower.address).get(servers)).json<unknown[]>().length === 3);
      return {
        address: follower.address,
        loseLeader: async () => {
          await Promise.all(cluster.members.map((member) => (member === follower ? undefined : member.kill())));
        },
        [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
      };
    },
  },
];

for (const kind of kinds) {
  describe(`without a leader the ${kind.name}`, { skip: kind.skip }, () => {
    test("answers stale reads, and no others", { timeout: 60_000 }, async () => {
      await using agent = await kind.start();
      const { get, put, ask } = asking(agent.address);
      assert.equal((await put("/v1/agent/service/register", { Name: "web", Port: 1 })).status, 200);
      const path = "/v1/health/service/web";
      // A follower hears of it a moment later than the leader.
      await until(async () => (await get(`${path}?stale`)).json<unknown[]>().length === 1);
      const before = await get(path);
      const waiting = get(`${path}?index=${before.index}&wait=60s`);
      const waitingStale = get(`${path}?stale&index=${before.index}&wait=1s`);
      // Where an assertion before them fails, the agent ends while they wait: the assertion is to be told.
      for (const pending of [waiting, waitingStale]) pending.catch(() => {});
      await agent.loseLeader();

      const cut = await waiting;
      assert.deepEqual([cut.status, cut.index], [500, 1]);
      assert.match(cut.text, /No cluster leader|rpc error/);
      await until(async () => (await get(path)).status === 500);
      // All together, as a real server tries for 7 s before it says so.
      const [plain, key, kept, written] = await Promise.all([
        get(path),
        get("/v1/kv/a"),
        put("/v1/agent/service/register", { Name: "other", Port: 1 }),
        ask("PUT", "/v1/kv/a", { body: "x" }),
      ]);
      assert.deepEqual([plain.status, plain.index, plain.headers["x-consul-knownleader"]], [500, 1, "false"]);
      assert.match(plain.text, /No cluster leader|rpc error/);
      assert.deepEqual([key.status, written.status], [500, 500]);
      // What is the agent's own goes on, for all that the catalog does not hear of it.
      assert.equal(kept.status, 200);
      assert.equal((await get("/v1/agent/service/other")).status, 200);

      const stale = await get(`${path}?stale`);
      assert.deepEqual([stale.status, stale.index, stale.json<unknown[]>().length], [200, before.index, 1]);
      assert.equal((await get("/v1/kv/a?stale")).status, 404);
      const slept = await waitingStale;
      assert.deepEqual([slept.status, slept.index], [200, before.index]);
      await until(async () => (await get(`${path}?stale`)).headers["x-consul-knownleader"] === "false");
      const later = Number((await get(`${path}?stale`)).headers["x-consul-lastcontact"]);
      assert.ok(later > Number(stale.headers["x-consul-lastcontact"]), "the leader was heard of no longer ago");
    });
  });
}
