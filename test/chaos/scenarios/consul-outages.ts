// Consul fails, and nobody who calls notices: its agent is killed, wiped, paused or cut off; its leader is killed; it has no quorum.

import { rmSync } from "node:fs";
import { startConsulCluster } from "../consul-cluster.ts";
import type { Terms } from "../judge.ts";
import type { Scenario } from "../scenario.ts";
import type { Stage } from "../stage.ts";
import { underLoad } from "./load.ts";
import { untilListed } from "./until-listed.ts";

/** A heartbeat, and what a request may take. */
const againWithinMs = 5000 + 1000;

const must = "0 failed; registered again within one heartbeat of return";

interface Outage {
  /** Where servers and clients look for Consul, with commas between. */
  readonly serverAgent: string;
  readonly clientAgents: string;
  /** Where the judge asks who is listed. */
  readonly witness: string;
  /** Takes Consul away; resolves when it is gone. */
  begin(): Promise<void> | void;
  /** Brings it back; resolves when it answers. */
  end(): Promise<void> | void;
  readonly forMs: number;
}

async function playOutage(stage: Stage, outage: Outage): Promise<Terms> {
  const { serverAgent, clientAgents, witness, forMs } = outage;
  const service = `chaos-${stage.settings.name}`;
  const servers = await Promise.all(
    [0, 1].map((index) => stage.server({ consul: serverAgent, service, name: `server${index}` })),
  );
  const clients = await stage.clients({ consul: clientAgents, service, args: { rate: 80 } });
  const misses: string[] = [];
  await underLoad(
    stage,
    clients,
    async () => {
      stage.mark("Consul goes");
      await outage.begin();
      await stage.pause(forMs * stage.settings.pace);
      await outage.end();
      stage.mark("Consul is back");
      const tookMs = await untilListed(witness, service, servers.length, 90_000);
      stage.mark(`all servers are listed after ${tookMs} ms`);
      if (tookMs > againWithinMs) misses.push(`registered again after ${tookMs} ms only`);
    },
    // What comes late comes within two heartbeats.
    { afterMs: 12_000 },
  );
  return { leastCalls: 1000, misses };
}

export const consulKilled: Scenario = {
  name: "consul-killed",
  isQuick: false,
  must,
  async play(stage) {
    const consul = await stage.consul({ mode: "server" });
    return playOutage(stage, {
      serverAgent: consul.address,
      clientAgents: consul.address,
      witness: consul.address,
      begin: () => consul.kill(),
      end: () => consul.start(),
      forMs: 60_000,
    });
  },
};

export const consulWiped: Scenario = {
  name: "consul-wiped",
  isQuick: false,
  must,
  async play(stage) {
    const dataDir = stage.file("consul-data");
    const consul = await stage.consul({ mode: "server", dataDir });
    return playOutage(stage, {
      serverAgent: consul.address,
      clientAgents: consul.address,
      witness: consul.address,
      async begin() {
        await consul.kill();
        rmSync(dataDir, { recursive: true, force: true });
      },
      end: () => consul.start(),
      forMs: 20_000,
    });
  },
};

export const consulPaused: Scenario = {
  name: "consul-paused",
  isQuick: false,
  must,
  async play(stage) {
    const consul = await stage.consul();
    return playOutage(stage, {
      serverAgent: consul.address,
      clientAgents: consul.address,
      witness: consul.address,
      begin: () => consul.pause(),
      end: () => consul.resume(),
      forMs: 60_000,
    });
  },
};

export const consulCut: Scenario = {
  name: "consul-cut",
  isQuick: false,
  must,
  async play(stage) {
    const consul = await stage.consul();
    const proxy = await stage.proxy({ target: Number(new URL(consul.address).port) });
    return playOutage(stage, {
      serverAgent: `http://${proxy.address}`,
      clientAgents: `http://${proxy.address}`,
      witness: consul.address,
      // A network that loses everything, and says so to nobody.
      begin: () => proxy.set({ dropped: true }),
      end: () => proxy.heal(),
      forMs: 60_000,
    });
  },
};

export const leaderKilled: Scenario = {
  name: "leader-killed",
  isQuick: false,
  must,
  async play(stage) {
    const cluster = stage.own(await startConsulCluster());
    const leader = await cluster.leader();
    const [follower, other] = cluster.members.filter((member) => member !== leader);
    if (follower === undefined || other === undefined) throw new Error("no followers");
    return playOutage(stage, {
      // An instance belongs to its agent, and is gone with it: that is Consul's own rule. So it is another agent than the one that dies.
      serverAgent: follower.address,
      clientAgents: [leader, other, follower].map(({ address }) => address).join(","),
      witness: follower.address,
      begin: () => leader.kill(),
      end: () => leader.start(),
      forMs: 30_000,
    });
  },
};

export const noQuorum: Scenario = {
  name: "no-quorum",
  isQuick: false,
  must,
  async play(stage) {
    const cluster = stage.own(await startConsulCluster());
    const leader = await cluster.leader();
    const [survivor, other] = cluster.members.filter((member) => member !== leader);
    if (survivor === undefined || other === undefined) throw new Error("no followers");
    return playOutage(stage, {
      serverAgent: survivor.address,
      clientAgents: survivor.address,
      witness: survivor.address,
      async begin() {
        await Promise.all([leader.kill(), other.kill()]);
      },
      async end() {
        await Promise.all([leader.start(), other.start()]);
        await cluster.leader(60_000);
      },
      forMs: 120_000,
    });
  },
};
