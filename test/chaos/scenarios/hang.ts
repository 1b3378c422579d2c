// One of three servers stands still, with its sockets open: SIGSTOP, and SIGCONT a while after.

import type { Scenario } from "../scenario.ts";
import { rotated, underLoad } from "./load.ts";
import { takenOut } from "./taken-out.ts";

export const hang: Scenario = {
  name: "hang",
  isQuick: true,
  must: "taken out within 3 s; no more than the calls in flight there fail or wait; returns",
  async play(stage) {
    const consul = await stage.consul();
    const service = "chaos-hang";
    const servers = await Promise.all(
      [0, 1, 2].map((index) => stage.server({ consul: consul.address, service, name: `server${index}` })),
    );
    const victim = servers[0];
    if (victim === undefined) throw new Error("no server");
    const clients = await Promise.all(
      (stage.isQuick ? rotated(stage.settings.runtimes, 1, 1) : stage.settings.runtimes).map((runtime) =>
        stage.client({ consul: consul.address, service, runtime, args: { rate: 80, timeout: 1000 } }),
      ),
    );
    let faultMs = 0;
    let wellMs = 0;
    await underLoad(
      stage,
      clients,
      async () => {
        faultMs = Date.now();
        victim.signal("SIGSTOP");
        await stage.pause(stage.isQuick ? 6000 : 12_000);
        wellMs = Date.now();
        victim.signal("SIGCONT");
        await stage.pause(stage.isQuick ? 4000 : 45_000);
      },
      { beforeMs: 2500, afterMs: 0 },
    );
    return {
      leastCalls: 500,
      ...takenOut({
        faultMs,
        wellMs,
        withinMs: 3000,
        deadlineMs: 1000,
        clients: clients.length,
        ledgerName: victim.ledgerName,
        // The quick run is over too soon to see it come back.
        mustReturn: !stage.isQuick,
      }),
    };
  },
};
