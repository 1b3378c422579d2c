// A client starts while Consul is down, and knows of the servers what a client before it has kept.

import type { Scenario } from "../scenario.ts";
import { underLoad } from "./load.ts";

export const coldStart: Scenario = {
  name: "cold-start",
  isQuick: false,
  must: "first call answered",
  async play(stage) {
    const consul = await stage.consul();
    const service = "chaos-cold";
    await Promise.all([0, 1].map((index) => stage.server({ consul: consul.address, service, name: `server${index}` })));
    const args = { rate: 50, store: stage.file("store") };
    const before = await stage.clients({ consul: consul.address, service, args });
    await underLoad(stage, before, () => stage.pause(2000));
    stage.mark("Consul is killed");
    await consul.kill();
    const after = await stage.clients({ consul: consul.address, service, args });
    await underLoad(stage, after, () => stage.pause(5000));
    const firstIds = after.map((_, index) => `cold-start-${before.length + index}-0`);
    return {
      leastCalls: 300,
      check(calls) {
        const failed = calls.filter(({ id, done }) => firstIds.includes(id) && done?.outcome !== "ok");
        return failed.length === 0 ? [] : [`the first call of ${failed.length} clients failed`];
      },
    };
  },
};
