// One of three servers is bad in another way than by standing still: unreachable in silence, slow, or failing every call.

import type { FaultProxy } from "../../../src/testing/fault-proxy.ts";
import type { JudgedCall } from "../judge.ts";
import type { Scenario } from "../scenario.ts";
import type { Stage, StageServer } from "../stage.ts";
import { underLoad } from "./load.ts";
import { takenOut } from "./taken-out.ts";

/** A server that is reached through a proxy, which is what Consul lists. */
export interface ProxiedServer {
  readonly server: StageServer;
  readonly proxy: FaultProxy;
}

/** Starts a server behind a proxy of its own. */
export async function proxiedServer(
  stage: Stage,
  options: Omit<Parameters<Stage["server"]>[0], "args">,
): Promise<ProxiedServer> {
  // The server's port is known last, the proxy's first.
  const proxy = await stage.proxy();
  const server = await stage.server({ ...options, args: { "advertise-port": proxy.port } });
  proxy.retarget(Number(server.address.split(":")[1]));
  return { server, proxy };
}

interface Badness {
  readonly name: string;
  readonly withinMs: number;
  readonly slowMs?: number;
  readonly maxProbes?: number;
  readonly mayFail?: (call: JudgedCall) => boolean;
  harm(bad: ProxiedServer): void;
  heal(bad: ProxiedServer): void | Promise<void>;
}

const badnesses: readonly Badness[] = [
  {
    name: "black-hole",
    withinMs: 3000,
    harm: ({ proxy }) => proxy.set({ dropped: true }),
    heal: ({ proxy }) => proxy.heal(),
  },
  {
    // Every answer comes 800 ms late, within the deadline of a second.
    name: "slow",
    withinMs: 10_000,
    slowMs: 700,
    // Only a call can tell: 4 s after it was taken out, and 8 s after that.
    maxProbes: 3,
    harm: ({ server }) => server.order("slow 800"),
    heal: ({ server }) => server.order("well"),
  },
  {
    name: "errors",
    withinMs: 3000,
    // Its answer is all that a call that may run once can have; all others are made again elsewhere.
    mayFail: ({ isRepeatable, done, runs }) => !isRepeatable && done?.outcome === "unavailable" && runs.length === 1,
    harm: ({ server }) => server.order("fail unavailable"),
    heal: ({ server }) => server.order("well"),
  },
];

export const badServers: readonly Scenario[] = badnesses.map(({ name, withinMs, harm, heal, ...terms }) => ({
  name,
  isQuick: false,
  must: `taken out within ${withinMs / 1000} s; no more than the calls in flight there fail or wait; returns`,
  async play(stage) {
    const consul = await stage.consul();
    const service = `chaos-${name}`;
    const servers = await Promise.all(
      [0, 1, 2].map((index) => proxiedServer(stage, { consul: consul.address, service, name: `server${index}` })),
    );
    const bad = servers[0];
    if (bad === undefined) throw new Error("no server");
    const clients = await stage.clients({ consul: consul.address, service, args: { rate: 80, timeout: 1000 } });
    let faultMs = 0;
    let wellMs = 0;
    await underLoad(
      stage,
      clients,
      async () => {
        faultMs = stage.mark(`server0: ${name}`);
        harm(bad);
        await stage.pause(20_000);
        wellMs = stage.mark("server0 is well again");
        await heal(bad);
        await stage.pause(45_000);
      },
      { beforeMs: 3000, afterMs: 0 },
    );
    return {
      leastCalls: 5000,
      ...takenOut({
        faultMs,
        wellMs,
        withinMs,
        deadlineMs: 1000,
        clients: clients.length,
        ledgerName: bad.server.ledgerName,
        mustReturn: true,
        ...terms,
      }),
    };
  },
}));
