// A client of Consul's HTTP API over fetch. Reads no environment, no files; keeps no connection of its own.

import type { ConsulAgent } from "./agent.ts";
import { createAgentApi } from "./agent-api.ts";
import {
  type ConsulClientOptions,
  keepOptions,
  optionsOf,
  type ResolvedConsulOptions,
  resolveConsulOptions,
} from "./client-options.ts";
import type { ConsulCatalog, ConsulStatus } from "./cluster.ts";
import { createClusterApi } from "./cluster-api.ts";
import type { ConsulHealth } from "./health.ts";
import { createHealthApi } from "./health-api.ts";
import { isConsulClient } from "./is-consul-client.ts";
import type { ConsulKv } from "./kv.ts";
import { createKvApi } from "./kv-api.ts";
import { createSender } from "./sender.ts";

export type { ConsulClientOptions, ConsulFetch } from "./client-options.ts";

/** A client of one agent, or of several of one cluster. Holds nothing that needs closing. */
export interface ConsulClient {
  /** Base URL of the agent, without credentials; of several, joined by a comma and a space. For messages. */
  readonly address: string;
  /** Equal for two clients that would get the same answers (address, rights, fetch). For sharing watches; holds secrets, never to be shown. */
  readonly identity: string;
  /** What an agent knows and does by itself: always the first agent's. */
  readonly agent: ConsulAgent;
  readonly health: ConsulHealth;
  readonly kv: ConsulKv;
  readonly catalog: ConsulCatalog;
  readonly status: ConsulStatus;
}

/**
 * Creates a client; a string is the agent's address. Sends nothing. Throws TypeError or RangeError on bad options.
 *
 * Every method of the client rejects with ConsulError when the request failed, with `signal.reason` when it was aborted, and
 * with TypeError or RangeError on arguments that cannot be sent.
 */
export function createConsulClient(options: ConsulClientOptions | string = {}): ConsulClient {
  return clientOf(resolveConsulOptions(typeof options === "string" ? { address: options } : options));
}

function clientOf(resolved: ResolvedConsulOptions): ConsulClient {
  const send = createSender(resolved);
  const client = {
    address: resolved.address,
    agent: createAgentApi(send),
    health: createHealthApi(send),
    kv: createKvApi(send),
    ...createClusterApi(send),
  };
  keepOptions(client, resolved);
  // Not enumerable: printing or serializing a client must not show its secrets.
  return Object.defineProperty(client, "identity", { value: resolved.identity }) as typeof client & {
    identity: string;
  };
}

/** A client for each agent that `client` asks, in their order; the client itself where it asks one, or is of another make. */
export function eachAgent(client: ConsulClient): readonly [ConsulClient, ...ConsulClient[]] {
  const resolved = optionsOf(client);
  if (resolved === undefined || resolved.agents.length === 1) return [client];
  const [first, ...others] = resolved.agents.map((agent) =>
    clientOf({ ...resolved, agents: [agent], address: agent.address }),
  );
  return first === undefined ? [client] : [first, ...others];
}

/** The client itself, or a new one for the options or the address. */
export function asConsulClient(consul: ConsulClient | ConsulClientOptions | string | undefined): ConsulClient {
  return isConsulClient(consul) ? consul : createConsulClient(consul);
}
