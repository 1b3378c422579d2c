// Three Consul servers that elect a leader, on the loopback, each a process of its own; for tests that kill some of them.

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { findConsul, freePort } from "../support/consul-agent.ts";
import { until } from "../support/eventually.ts";

/** One of the three. */
export interface ClusterMember {
  readonly name: string;
  /** `http://127.0.0.1:<port>` */
  readonly address: string;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  /** Starts it again on its ports and its data. Resolves when it answers, whoever leads. */
  start(): Promise<void>;
}

/** The three. Whoever starts them disposes of them. */
export interface ConsulCluster extends AsyncDisposable {
  readonly members: readonly ClusterMember[];
  /** Who leads. Rejects where nobody does within `withinMs` (default 30000). */
  leader(withinMs?: number): Promise<ClusterMember>;
}

/** Starts three servers; resolves when one of them leads. */
export async function startConsulCluster(): Promise<ConsulCluster> {
  const binary = findConsul();
  if (binary === undefined) throw new Error("Cannot start Consul as there is no binary: npm run get-consul");
  const folder = mkdtempSync(join(tmpdir(), "lictor-cluster-"));
  const places: Place[] = [];
  for (const name of ["one", "two", "three"]) {
    places.push({ name, http: await freePort(), server: await freePort(), serf: await freePort() });
  }
  const members = places.map((place) => createMember(binary, folder, place, places));
  const dispose = async () => {
    await Promise.all(members.map((member) => member.kill()));
    rmSync(folder, { recursive: true, force: true });
  };
  const leader = async (withinMs = 30_000): Promise<ClusterMember> => {
    let found: ClusterMember | undefined;
    await until(
      async () => {
        const named = await Promise.all(members.map(({ address }) => leaderOf(address)));
        const port = named
          .find((text) => text !== undefined)
          ?.split(":")
          .at(-1);
        const index = places.findIndex(({ server }) => String(server) === port);
        // An agent names the leader that was until it knows better.
        found = named[index] === undefined ? undefined : members[index];
        return found !== undefined;
      },
      withinMs,
      "a leader",
    );
    if (found === undefined) throw new Error("no leader");
    return found;
  };
  try {
    await Promise.all(members.map((member) => member.start()));
    await leader();
  } catch (error) {
    await dispose();
    throw error;
  }
  return { members, leader, [Symbol.asyncDispose]: dispose };
}

interface Place {
  readonly name: string;
  readonly http: number;
  readonly server: number;
  readonly serf: number;
}

function createMember(binary: string, folder: string, place: Place, all: readonly Place[]): ClusterMember {
  const { name, http, server, serf } = place;
  const address = `http://127.0.0.1:${http}`;
  const configFile = join(folder, `${name}.json`);
  const config = {
    // Elections in 1 s rather than 5.
    performance: { raft_multiplier: 1 },
    ports: { http, server, serf_lan: serf, serf_wan: -1, dns: -1, grpc: -1 },
    retry_join: all.map((other) => `127.0.0.1:${other.serf}`),
    retry_interval: "1s",
    bootstrap_expect: all.length,
    server: true,
    node_name: name,
    data_dir: join(folder, name),
    bind_addr: "127.0.0.1",
    client_addr: "127.0.0.1",
  };
  writeFileSync(configFile, JSON.stringify(config));
  let child: ChildProcess | undefined;
  let gone: Promise<void> = Promise.resolve();
  return {
    name,
    address,
    async kill() {
      if (child?.pid !== undefined) process.kill(child.pid, "SIGKILL");
      await gone;
    },
    async start() {
      const started = spawn(binary, ["agent", "-config-file", configFile], { stdio: "ignore" });
      child = started;
      gone = new Promise((resolve) => {
        const onGone = () => {
          child = undefined;
          resolve();
        };
        started.once("error", onGone);
        started.once("exit", onGone);
      });
      await until(() => answers(address), 30_000, `${name} answers`);
    },
  };
}

async function answers(address: string): Promise<boolean> {
  const response = await fetch(`${address}/v1/agent/self`, { signal: AbortSignal.timeout(2000) });
  await response.arrayBuffer();
  return response.ok;
}

/** Whom an agent holds for the leader: `host:port` of its server; undefined for nobody, and where the agent does not answer. */
async function leaderOf(address: string): Promise<string | undefined> {
  try {
    const response = await fetch(`${address}/v1/status/leader`, { signal: AbortSignal.timeout(2000) });
    const text = await response.text();
    const named: unknown = response.ok ? JSON.parse(text) : undefined;
    return typeof named === "string" && named !== "" ? named : undefined;
  } catch {
    return undefined;
  }
}
