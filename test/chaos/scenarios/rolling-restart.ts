// Three servers restarted one after the other by SIGTERM, on the same ports and on new ones.

import type { Scenario } from "../scenario.ts";
import type { StageServer } from "../stage.ts";
import { rotated, underLoad } from "./load.ts";

export const rollingRestart: Scenario = {
  name: "rolling-restart",
  isQuick: true,
  must: "0 failed, 0 run twice, 0 streams cut within the grace",
  async play(stage) {
    const consul = await stage.consul();
    const service = "chaos-rolling";
    const start = (index: number, round: number, port: string): Promise<StageServer> =>
      stage.server({
        consul: consul.address,
        service,
        name: `server${index}.${round}`,
        runtime: stage.isQuick ? "bun" : (rotated(["bun", "deno", "node"] as const, index, 1)[0] ?? "bun"),
        args: { port },
      });
    const servers = await Promise.all([0, 1, 2].map((index) => start(index, 0, "0")));
    const clients = await Promise.all(
      (stage.isQuick ? rotated(stage.settings.runtimes, 2, 2) : stage.settings.runtimes).map((runtime) =>
        stage.client({
          consul: consul.address,
          service,
          runtime,
          // Slow streams, so that some are under way at every restart.
          args: { rate: 70, delay: 20, mix: "plain=4,idempotent=1,safe=1,down=2,up=2,both=2" },
        }),
      ),
    );
    await underLoad(stage, clients, async () => {
      for (let round = 1; round <= (stage.isQuick ? 2 : 10 * stage.settings.pace); round++) {
        for (const index of [0, 1, 2]) {
          const server = servers[index];
          if (server === undefined) continue;
          await server.stop();
          const port = round % 2 === 1 ? (server.address.split(":")[1] ?? "0") : "0";
          servers[index] = await start(index, round, port);
        }
      }
    });
    return { leastCalls: 800 };
  },
};
