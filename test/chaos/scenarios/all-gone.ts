// All servers are stopped, stay away for 5 s, and come back on other ports.

import type { Terms } from "../judge.ts";
import type { Scenario } from "../scenario.ts";
import type { Stage, StageServer } from "../stage.ts";
import { rotated, underLoad } from "./load.ts";

/** By SIGTERM, as in a deployment that stops all before it starts any. */
export const allGone: Scenario = {
  name: "all-gone",
  isQuick: true,
  must: "0 failed (deadline 10 s)",
  play: (stage) => playAllGone(stage, (server) => server.stop()),
};

const awayMs = 5000;

async function playAllGone(stage: Stage, end: (server: StageServer) => Promise<void>): Promise<Terms> {
  const consul = await stage.consul();
  const service = "chaos-gone";
  const start = (round: number, afterMs: number) => {
    const args = { "not-before": Date.now() + afterMs };
    return Promise.all(
      [0, 1].map((index) => stage.server({ consul: consul.address, service, name: `server${index}.${round}`, args })),
    );
  };
  let servers = await start(0, 0);
  const clients = await Promise.all(
    (stage.isQuick ? rotated(stage.settings.runtimes, 0, 1) : stage.settings.runtimes).map((runtime) =>
      stage.client({ consul: consul.address, service, runtime, args: { rate: 60, timeout: 10_000 } }),
    ),
  );
  await underLoad(stage, clients, async () => {
    for (let round = 1; round <= (stage.isQuick ? 1 : 5 * stage.settings.pace); round++) {
      await Promise.all(servers.map((server) => end(server)));
      servers = await start(round, awayMs);
      await stage.pause(1500);
    }
  });
  return { leastCalls: 400 };
}
