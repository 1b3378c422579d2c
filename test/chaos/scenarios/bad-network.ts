// Connections to servers that are reset at random, and that stand still for a while.

import type { JudgedCall } from "../judge.ts";
import type { Scenario } from "../scenario.ts";
import { proxiedServer } from "./bad-server.ts";
import { underLoad } from "./load.ts";

/** Calls that a reset takes along, on average: a client has a few under way on a connection, streams mostly. */
const maxCut = 4;

function mayBeCut({ isRepeatable, done }: JudgedCall): boolean {
  return !isRepeatable && done?.fate === "maybe-processed";
}

export const resets: Scenario = {
  name: "resets",
  isQuick: false,
  must: "1 % of writes: idempotent 0 failed; 0 run twice otherwise",
  async play(stage) {
    const consul = await stage.consul();
    const service = "chaos-resets";
    const servers = await Promise.all(
      [0, 1, 2].map((index) => proxiedServer(stage, { consul: consul.address, service, name: `server${index}` })),
    );
    const clients = await stage.clients({ consul: consul.address, service, args: { rate: 60 } });
    await underLoad(stage, clients, async () => {
      stage.mark("1 % of writes reset their connection");
      for (const { proxy } of servers) proxy.set({ resetShare: 0.01 });
      await stage.pause(60_000 * stage.settings.pace);
      for (const { proxy } of servers) await proxy.heal();
    });
    const count = servers.reduce((sum, { proxy }) => sum + proxy.counts.resets, 0);
    console.error(`  resets: ${count} made`);
    return {
      leastCalls: 1000,
      misses: count < 20 ? [`only ${count} resets: the fault was not made`] : [],
      check: (calls) => {
        const cut = calls.filter((call) => call.done?.outcome !== "ok" && mayBeCut(call)).length;
        return cut > maxCut * count ? [`${cut} calls were cut by ${count} resets`] : [];
      },
      allow: (call) => (mayBeCut(call) ? "in flight on a connection that was reset, not idempotent" : undefined),
    };
  },
};

export const stalls: Scenario = {
  name: "stalls",
  isQuick: false,
  must: "0 failed (deadline 10 s), 0 run twice",
  async play(stage) {
    const consul = await stage.consul();
    const service = "chaos-stalls";
    const servers = await Promise.all(
      [0, 1, 2].map((index) => proxiedServer(stage, { consul: consul.address, service, name: `server${index}` })),
    );
    const clients = await stage.clients({ consul: consul.address, service, args: { rate: 60 } });
    await underLoad(stage, clients, async () => {
      for (let round = 0; round < 20 * stage.settings.pace; round++) {
        const chosen = servers[Math.floor(stage.random() * servers.length)];
        stage.mark(`${chosen?.server.name} stalls`);
        chosen?.proxy.set({ stalled: true });
        await stage.pause(500 + 2500 * stage.random());
        await chosen?.proxy.heal();
        await stage.pause(500);
      }
    });
    return { leastCalls: 500 };
  },
};
