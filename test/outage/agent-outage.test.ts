// 65 seconds without the agent's process, in full: a real agent behind a counting proxy, server.ts and client.ts on each runtime as
// processes of their own, every client calling ten times a second throughout. Slow (about two minutes), so outside `npm test`:
//
//   npm run outage        (OUTAGE_SECONDS shortens it while one works on it)

import assert from "node:assert/strict";
import process from "node:process";
import { describe, test } from "node:test";
import { createConsulClient } from "../../src/consul/consul-client.ts";
import { type ConsulOptions, realConsulSkip, startConsul } from "../support/consul-agent.ts";
import { type ConsulProxy, startConsulProxy } from "../support/consul-proxy.ts";
import { eventually, pause } from "../support/eventually.ts";
import type { SpawnedCommand } from "../support/spawn-command.ts";
import { spawnOn } from "../support/spawn-on.ts";
import { type RuntimeName, runtimeNames } from "../tools/runtimes.ts";

const outageMs = Number(process.env.OUTAGE_SECONDS ?? 65) * 1000;

/** How an agent goes away, and what it knows when it is back. */
interface Scenario {
  readonly title: string;
  readonly mode: NonNullable<ConsulOptions["mode"]>;
  readonly end: "kill" | "stop";
  /** Registrations that each instance sends once the agent is back. */
  readonly registrationsAfter: 0 | 1;
}

const scenarios: readonly Scenario[] = [
  {
    title: "killed and started again with nothing remembered (-dev)",
    mode: "dev",
    end: "kill",
    registrationsAfter: 1,
  },
  {
    title: "stopped and started again on its data directory (-server -bootstrap)",
    mode: "server",
    end: "stop",
    registrationsAfter: 0,
  },
];

const registrations = /^\/v1\/agent\/service\/register/;

describe(`${outageMs / 1000} s without the agent`, { concurrency: scenarios.length, skip: realConsulSkip }, () => {
  for (const scenario of scenarios) {
    test(scenario.title, { timeout: outageMs + 180_000 }, () => goThrough(scenario));
  }
});

async function goThrough({ mode, end, registrationsAfter }: Scenario): Promise<void> {
  await using agent = await startConsul({ mode });
  await using proxy = await startConsulProxy(agent.address);
  await using servers = startServers(proxy);
  const addresses = await servers.addresses;
  // Asked past the proxy, which counts only what the servers and clients do.
  const direct = createConsulClient(agent.address);
  const passing = async () => (await direct.health.service("HelloService", { passing: true })).data.length;
  await eventually("all instances pass", async () => (await passing()) === addresses.length, 20_000);
  assert.equal(proxy.count("PUT", registrations), addresses.length);

  await using clients = startClients(proxy);
  await clients.untilAnsweredBy(addresses);

  await agent[end]();
  await proxy.cut();
  const before = clients.calls();
  await pause(outageMs);
  const during = clients.calls() - before;
  // Without Consul the calls still go round.
  await clients.untilAnsweredBy(addresses);

  const returned = proxy.requests.length;
  await agent.start();
  await proxy.restore();
  await eventually("all instances pass again", async () => (await passing()) === addresses.length, 30_000);
  // Three heartbeats, for whoever would register twice.
  await pause(15_000);
  const ids = Object.keys(await direct.agent.services());
  assert.deepEqual(ids.sort(), addresses.map((address) => `${address}:HelloService`).sort());
  assert.equal(proxy.count("PUT", registrations, returned), registrationsAfter * addresses.length);
  for (const address of addresses) {
    const beats = proxy.requests
      .slice(returned)
      .filter(({ path, status }) => decodeURIComponent(path).includes(`update/service:${address}:`) && status === 200);
    assert.ok(beats.length >= 2, `${beats.length} heartbeats of ${address}`);
  }
  // A restarted agent holds its own checks for critical until they have passed, and may be slow to tell the catalog of it.
  await eventually("all instances pass for good", async () => (await passing()) === addresses.length, 60_000);
  await clients.untilAnsweredBy(addresses);

  // The clients follow Consul again, and have not only kept what they had.
  await using newcomer = spawnOn("bun", "server.ts", ["--consul", proxy.address, "--port=0", "--log=silent"]);
  const [address = ""] = await newcomer.ready(1);
  await clients.untilAnsweredBy([...addresses, address]);
  newcomer.signal("SIGTERM");
  assert.equal(await newcomer.exitCode, 0);

  const { calls, failed } = await clients.stop();
  assert.deepEqual(failed, []);
  // Ten a second on each runtime, less what a busy machine takes.
  const perSecond = during / (outageMs / 1000) / runtimeNames.length;
  assert.ok(perSecond > 8, `${perSecond.toFixed(1)} calls a second`);
  process.stderr.write(`${mode}: ${calls} calls, ${during} of them during the outage, none failed\n`);
  const endings = await servers.stop();
  assert.deepEqual(
    endings.filter(({ code }) => code !== 0),
    [],
  );
  assert.deepEqual(await direct.agent.services(), {});
}

interface Ending {
  readonly runtime: RuntimeName;
  readonly code: number;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
}

interface Servers extends AsyncDisposable {
  readonly addresses: Promise<readonly string[]>;
  /** Tells all to stop; resolves when they have ended. */
  stop(): Promise<readonly Ending[]>;
}

function startServers(proxy: ConsulProxy): Servers {
  const servers = runtimeNames.map((runtime) => ({
    runtime,
    command: spawnOn(runtime, "server.ts", ["--consul", proxy.address, "--port=0", "--log=warn"]),
  }));
  return {
    addresses: Promise.all(servers.map(async ({ command }) => (await command.ready(1))[0] ?? "")),
    stop: () =>
      Promise.all(
        servers.map(async ({ runtime, command }) => {
          command.signal("SIGTERM");
          const code = await command.exitCode;
          return { runtime, code, signal: command.process.signalCode, stderr: command.stderr };
        }),
      ),
    [Symbol.asyncDispose]: () => disposeAll(servers.map(({ command }) => command)),
  };
}

interface Clients extends AsyncDisposable {
  /** Calls that have ended so far, over all clients. */
  calls(): number;
  /** Resolves when every client has got answers from exactly these servers since it was asked. */
  untilAnsweredBy(addresses: readonly string[]): Promise<void>;
  /** Ends the clients. `failed` holds the lines of the calls that failed. */
  stop(): Promise<{ readonly calls: number; readonly failed: readonly string[] }>;
}

function startClients(proxy: ConsulProxy): Clients {
  const clients = runtimeNames.map((runtime) =>
    // A little less than the tenth of a second, as the pause comes after the answer.
    spawnOn(runtime, "client.ts", ["--consul", proxy.address, "--every=97ms", "--log=error", "outage"]),
  );
  const calls = () => clients.reduce((sum, { lines }) => sum + lines.length, 0);
  return {
    calls,
    async untilAnsweredBy(addresses) {
      const wanted = [...addresses].sort().join();
      const answeredBy = (lines: readonly string[]) =>
        [...new Set(lines.map((line) => /Server: (.*), result/.exec(line)?.[1] ?? ""))].sort().join();
      await Promise.all(
        clients.map((client) =>
          eventually(
            `answers from ${wanted}`,
            // The newest: two rounds and one more.
            () => answeredBy(client.lines.slice(-2 * addresses.length - 1)) === wanted,
            20_000,
          ),
        ),
      );
    },
    async stop() {
      for (const client of clients) client.signal("SIGINT");
      const codes = await Promise.all(clients.map((client) => client.exitCode));
      assert.deepEqual(codes, [0, 0, 0]);
      const lines = clients.flatMap((client) => client.lines);
      return { calls: calls(), failed: lines.filter((line) => !line.startsWith("client get message: ")) };
    },
    [Symbol.asyncDispose]: () => disposeAll(clients),
  };
}

async function disposeAll(commands: readonly SpawnedCommand[]): Promise<void> {
  await Promise.all(commands.map((command) => command[Symbol.asyncDispose]()));
}
