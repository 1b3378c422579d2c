// Half an hour with all of it: what clients hold must not grow.

import { takeSystemSample } from "../sample.ts";
import type { Scenario } from "../scenario.ts";
import type { Stage, StageClient } from "../stage.ts";
import { type ProxiedServer, proxiedServer } from "./bad-server.ts";
import { underLoad } from "./load.ts";

const everyMs = 10_000;
const service = "chaos-soak";

/** What is held by one client at one time, by name. */
type Held = Readonly<Record<string, number>>;

export const soak: Scenario = {
  name: "soak",
  isQuick: false,
  must: "heap, handles, timers and Consul connections: the last third's median <= 1.05x the middle third's",
  async play(stage) {
    const { soakMinutes } = stage.settings;
    const consul = await stage.consul();
    const consulPort = Number(new URL(consul.address).port);
    let started = 0;
    const start = () => proxiedServer(stage, { consul: consul.address, service, name: `server${started++}` });
    const servers = await Promise.all([start(), start(), start()]);
    const clients = await stage.clients({ consul: consul.address, service, args: { rate: 60 } });
    const samples = clients.map((): Held[] => []);
    const misses: string[] = [];
    await underLoad(stage, clients, async () => {
      const endMs = performance.now() + soakMinutes * 60_000;
      const faults = makeFaults(stage, servers, start, async () => {
        await consul.kill();
        await stage.pause(3000);
        await consul.start();
      });
      const disturb = async () => {
        while (performance.now() < endMs - 15_000) {
          const fault = faults[Math.floor(stage.random() * faults.length)];
          await fault?.();
          await stage.pause(4000 + 8000 * stage.random());
        }
      };
      const watch = async () => {
        while (performance.now() < endMs) {
          await stage.pause(everyMs);
          const taken = await Promise.all(clients.map((client) => sample(client, consulPort)));
          for (const [index, held] of taken.entries()) samples[index]?.push(held);
        }
      };
      await Promise.all([disturb(), watch()]);
    });
    for (const [index, held] of samples.entries()) {
      const runtime = stage.settings.runtimes[index] ?? "";
      for (const line of growthOf(held)) {
        console.error(`  soak, client on ${runtime}: ${line.text}`);
        if (line.isGrown) misses.push(`client on ${runtime}: ${line.text}`);
      }
    }
    return {
      leastCalls: 1000,
      misses,
      allow: ({ isRepeatable, done }) =>
        !isRepeatable && done?.fate === "maybe-processed" ? "in flight at a fault, not idempotent" : undefined,
    };
  },
};

async function sample(client: StageClient, consulPort: number): Promise<Held> {
  const system = takeSystemSample(client.pid, consulPort);
  const { heapBytes, timers } = await client.sample();
  return {
    heap: heapBytes,
    ...(timers === undefined ? {} : { timers }),
    ...(system === undefined ? {} : { handles: system.handles, "consul connections": system.connections }),
  };
}

/** Everything that goes wrong, each for a moment. */
function makeFaults(
  stage: Stage,
  servers: ProxiedServer[],
  start: () => Promise<ProxiedServer>,
  restartConsul: () => Promise<void>,
): readonly (() => Promise<void>)[] {
  const chosen = (): number => Math.floor(stage.random() * servers.length);
  const withOne = (act: (one: ProxiedServer) => Promise<void>) => async () => {
    const one = servers[chosen()];
    if (one !== undefined) await act(one);
  };
  const replaced = (end: (one: ProxiedServer) => Promise<void>) => async () => {
    const index = chosen();
    const one = servers[index];
    if (one === undefined) return;
    await end(one);
    await one.proxy.close();
    servers[index] = await start();
  };
  return [
    replaced(({ server }) => server.stop()),
    replaced(({ server }) => server.kill()),
    withOne(async ({ proxy, server }) => {
      stage.mark(`connections of ${server.name} are reset`);
      proxy.reset();
    }),
    withOne(async ({ proxy, server }) => {
      stage.mark(`${server.name} stalls`);
      proxy.set({ stalled: true });
      await stage.pause(3000);
      await proxy.heal();
    }),
    withOne(async ({ proxy, server }) => {
      stage.mark(`${server.name} is far away`);
      proxy.set({ latencyMs: 100, jitterMs: 100 });
      await stage.pause(5000);
      await proxy.heal();
    }),
    withOne(async ({ server }) => {
      server.signal("SIGSTOP");
      await stage.pause(4000);
      server.signal("SIGCONT");
    }),
    async () => {
      stage.mark("Consul is killed, and comes back empty");
      await restartConsul();
      stage.mark("Consul is back");
    },
  ];
}

/** Compares the last third with the middle one. */
export function growthOf(samples: readonly Held[]): { readonly text: string; readonly isGrown: boolean }[] {
  const third = Math.floor(samples.length / 3);
  return Object.keys(samples[0] ?? {}).map((name) => {
    const values = samples.map((held) => held[name] ?? 0);
    const middle = median(values.slice(third, 2 * third));
    const last = median(values.slice(2 * third));
    return {
      text: `${name}: ${middle} in the middle third, ${last} in the last`,
      isGrown: last > middle * 1.05,
    };
  });
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
