// The original's fault simulation: of two servers one stops, then the other, and each comes back five ports higher; in its own order
// (deregistered after the stop) and in ours (before).

import type { Terms } from "../judge.ts";
import type { Scenario } from "../scenario.ts";
import type { Stage } from "../stage.ts";
import { rotated, underLoad } from "./load.ts";

interface Pace {
  /** From one stop to the next. */
  readonly everyMs: number;
  readonly forMs: number;
  readonly leastCalls: number;
  readonly load: Readonly<Record<string, number>>;
}

const orders = ["stop-first", "deregister-first"] as const;

async function simulate(stage: Stage, { everyMs, forMs, leastCalls, load }: Pace): Promise<Terms> {
  const consul = await stage.consul();
  const { runtimes } = stage.settings;
  const clients = await Promise.all(
    orders.map(async (order, index) => {
      const service = `chaos-${order}`;
      // Two blocks of ports that do not meet, however often servers come back.
      const port = 12_000 + 4000 * index + 5 * Math.floor(stage.random() * 200);
      await stage.server({
        consul: consul.address,
        service,
        name: order,
        runtime: rotated(["bun", "node"] as const, index, 1)[0] ?? "bun",
        args: { port, "restart-every": everyMs, order },
      });
      const wanted = stage.isQuick ? rotated(runtimes, index, 1) : runtimes;
      const common = { consul: consul.address, service };
      return Promise.all([
        ...wanted.map((runtime) => stage.client({ ...common, runtime, args: load })),
        // And one that looks every half second, as the original's does.
        ...(stage.isQuick ? [] : [stage.client({ ...common, runtime: "node", args: { ...load, poll: 500 } })]),
      ]);
    }),
  );
  await underLoad(stage, clients.flat(), () => stage.pause(forMs));
  const restarts = stage.restartsSeen();
  return {
    leastCalls,
    misses: restarts < forMs / everyMs / 2 ? [`only ${restarts} restarts: the fault was not made`] : [],
  };
}

/** Twenty times as fast as written. */
export const faultSimulation: Scenario = {
  name: "fault-simulation",
  isQuick: true,
  must: "0 failed",
  play: (stage) =>
    stage.isQuick
      ? simulate(stage, { everyMs: 750, forMs: 10_000, leastCalls: 800, load: { rate: 75 } })
      : simulate(stage, {
          everyMs: 750,
          forMs: 120_000 * stage.settings.pace,
          leastCalls: 100_000 * stage.settings.pace,
          load: { concurrency: 24, delay: 2 },
        }),
};

/** As written. */
export const faultSimulationAsWritten: Scenario = {
  name: "fault-simulation-as-written",
  isQuick: false,
  must: "0 failed",
  play: (stage) =>
    simulate(stage, {
      everyMs: 15_000,
      forMs: 125_000 * stage.settings.pace,
      leastCalls: 10_000 * stage.settings.pace,
      load: { rate: 100 },
    }),
};
