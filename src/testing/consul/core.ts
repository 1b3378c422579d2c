// One life of the embedded agent: everything it knows from a start to a stop. No HTTP.

import type { Clock } from "../../core/clock.ts";
import type { Random } from "../../core/random.ts";
import { type Acl, createAcl, type EmbeddedConsulToken } from "./acl.ts";
import { type Catalog, createCatalog } from "./catalog.ts";
import { createKvStore, type KvStore } from "./kv-store.ts";
import { createLeadership, type Leadership } from "./leadership.ts";
import { createLocalAgent, type LocalAgent } from "./local-agent.ts";
import type { CheckRecord, ConsulCompat, ServiceRecord } from "./model.ts";
import { networkProbe } from "./probe.ts";
import { createRaftIndex } from "./raft-index.ts";
import { createTopics } from "./topics.ts";
import { createWaiters, type Waiters } from "./waiters.ts";

/** The node that the agent is. */
export interface NodeInfo {
  readonly id: string;
  readonly name: string;
  readonly address: string;
  readonly datacenter: string;
  /** Version of Consul that it answers like. */
  readonly version: string;
  readonly meta: Readonly<Record<string, string>>;
  readonly createIndex: number;
  readonly modifyIndex: number;
}

/** What an agent is started with. */
export interface CoreOptions {
  readonly compat: ConsulCompat;
  readonly datacenter: string;
  readonly nodeName: string;
  readonly tokens: readonly EmbeddedConsulToken[] | undefined;
  readonly clock: Clock;
  readonly random: Random;
}

/** All that the routes work on. */
export interface Core {
  readonly compat: ConsulCompat;
  readonly node: NodeInfo;
  readonly acl: Acl;
  readonly catalog: Catalog;
  readonly kv: KvStore;
  readonly local: LocalAgent;
  readonly waiters: Waiters;
  readonly leadership: Leadership;
  /** Stops all timers and probes and answers what waits. */
  close(): void;
}

const versions: Readonly<Record<ConsulCompat, string>> = { "1.8": "1.8.7", "1.22": "1.22.7" };
/** Port of the servers' own protocol, which the embedded agent names as Consul does but does not listen on. */
const serverPort = 8300;
// Where a fresh agent stands when it has elected itself and registered its node and the service "consul".
const startIndex = 10;

/** Creates an agent with nothing registered but itself. Its owner closes it. */
export function createCore(options: CoreOptions): Core {
  const { compat, datacenter, nodeName, tokens, clock, random } = options;
  const raft = createRaftIndex(startIndex);
  const topics = createTopics();
  const catalog = createCatalog(raft, topics);
  const version = versions[compat];
  const node: NodeInfo = {
    id: crypto.randomUUID(),
    name: nodeName,
    address: "127.0.0.1",
    datacenter,
    version,
    meta: { "consul-network-segment": "", ...(compat === "1.8" ? {} : { "consul-version": version }) },
    createIndex: startIndex,
    modifyIndex: startIndex + 1,
  };
  catalog.register(consulService(version), [serfHealth]);
  const local = createLocalAgent({ catalog, clock, random, probe: networkProbe });
  const waiters = createWaiters(topics, clock, random);
  return {
    compat,
    node,
    acl: createAcl(tokens, compat),
    catalog,
    kv: createKvStore(raft, topics),
    local,
    waiters,
    leadership: createLeadership(topics, clock),
    close() {
      local.close();
      waiters.release();
    },
  };
}

/** `host:port` of the leader, which is the agent itself. */
export function leaderAddress(node: NodeInfo): string {
  return `${node.address}:${serverPort}`;
}

// Servers register themselves: whoever lists services meets it.
function consulService(version: string): ServiceRecord {
  return {
    id: "consul",
    name: "consul",
    tags: [],
    address: "",
    taggedAddresses: {},
    meta: { raft_version: "3", version },
    port: serverPort,
    ports: [],
    weights: { Passing: 1, Warning: 1 },
    enableTagOverride: false,
  };
}

// What the gossip of the servers says about the node.
const serfHealth: CheckRecord = {
  id: "serfHealth",
  name: "Serf Health Status",
  status: "passing",
  notes: "",
  output: "Agent alive and reachable",
  serviceId: "",
  serviceName: "",
  serviceTags: [],
  type: "",
  intervalMs: 0,
  timeoutMs: 0,
};
