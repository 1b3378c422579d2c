// The agent is killed, and comes back having forgotten everything.

import type { Scenario } from "../scenario.ts";
import { rotated, underLoad } from "./load.ts";
import { untilListed } from "./until-listed.ts";

/** A heartbeat, and what a request may take. */
const againWithinMs = 5000 + 1000;

export const consulRestart: Scenario = {
  name: "consul-restart",
  isQuick: true,
  must: "0 failed; registered again within one heartbeat of return",
  async play(stage) {
    // In memory alone: a restart forgets everything.
    const consul = await stage.consul({ mode: "dev" });
    const service = "chaos-consul";
    const servers = await Promise.all(
      [0, 1].map((index) => stage.server({ consul: consul.address, service, name: `server${index}` })),
    );
    const clients = await Promise.all(
      (stage.isQuick ? rotated(stage.settings.runtimes, 2, 1) : stage.settings.runtimes).map((runtime) =>
        stage.client({ consul: consul.address, service, runtime, args: { rate: 80 } }),
      ),
    );
    const misses: string[] = [];
    await underLoad(stage, clients, async () => {
      stage.mark("Consul is killed");
      await consul.kill();
      await stage.pause(stage.isQuick ? 2000 : 20_000);
      await consul.start();
      stage.mark("Consul is back, empty");
      const tookMs = await untilListed(consul.address, service, servers.length, 15_000);
      stage.mark(`all servers are listed again after ${tookMs} ms`);
      if (tookMs > againWithinMs) misses.push(`registered again after ${tookMs} ms only`);
    });
    return { leastCalls: 500, misses };
  },
};
