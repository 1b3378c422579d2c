// Which instances of a service to list, shared by the Consul resolver and watchService. Checks options, does no I/O.

import { asConsulClient, type ConsulClient, type ConsulClientOptions } from "../consul/consul-client.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { type Logger, silentLogger } from "../core/logger.ts";
import { type Random, systemRandom } from "../core/random.ts";

/** What to ask of Consul: https://developer.hashicorp.com/consul/api-docs/health#list-service-instances-for-service */
export interface ConsulServiceQuery {
  /** The agent: a client, its options, or its address. */
  readonly consul: ConsulClient | ConsulClientOptions | string;
  /** Name of the service; Consul compares it without regard to case. */
  readonly service: string;
  /** Leave out instances with a warning check; those with a critical one are never listed. Default true. */
  readonly passingOnly?: boolean;
  /** Only instances that carry every one of these tags. Default: any. */
  readonly tags?: readonly string[];
  /** Only instances for which this expression holds, evaluated by Consul: https://developer.hashicorp.com/consul/api-docs/features/filtering */
  readonly filter?: string;
  /** Makes Consul measure distance from this node (`_agent`: the agent asked). Snapshots stay sorted by id. */
  readonly near?: string;
  /** Datacenter to ask. Default: the client's, else the agent's. */
  readonly datacenter?: string;
  /** `stale` answers without a leader too, and may lag; `consistent` never lags. Default `default`. */
  readonly consistency?: "default" | "stale" | "consistent";
  /** Scheme of the endpoints' URLs. Default `http`. */
  readonly scheme?: "http" | "https";
  /** Longest wait of one blocking read in milliseconds, from 1000 to 60000. Default 55000. */
  readonly waitMs?: number;
  /** Told of changes of state: instances, losing and finding Consul. Silent by default. */
  readonly logger?: Logger;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** A query with every default in its place. */
export interface ResolvedServiceQuery {
  readonly client: ConsulClient;
  readonly service: string;
  readonly passingOnly: boolean;
  readonly tags: readonly string[];
  readonly filter: string | undefined;
  readonly near: string | undefined;
  readonly datacenter: string | undefined;
  readonly consistency: "default" | "stale" | "consistent";
  readonly scheme: "http" | "https";
  readonly waitMs: number;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: Random;
}

/** Throws TypeError or RangeError that names the option, the rule and the value. */
export function resolveServiceQuery(query: ConsulServiceQuery): ResolvedServiceQuery {
  const { service, tags = [], consistency = "default", scheme = "http", waitMs = 55_000 } = query;
  if (typeof service !== "string" || service === "") refuse("service", "must be a non-empty string", service);
  if (tags.some((tag) => typeof tag !== "string" || tag === "")) refuse("tags", "must be non-empty strings", tags);
  if (query.filter === "") refuse("filter", "must not be empty", query.filter);
  if (!["default", "stale", "consistent"].includes(consistency)) {
    refuse("consistency", "must be default, stale or consistent", consistency);
  }
  if (scheme !== "http" && scheme !== "https") refuse("scheme", "must be http or https", scheme);
  if (!(waitMs >= 1000 && waitMs <= 60_000)) {
    throw new RangeError(`Cannot watch "${service}" as "waitMs" must be from 1000 to 60000: received ${waitMs}`);
  }
  return {
    client: asConsulClient(query.consul),
    service,
    passingOnly: query.passingOnly ?? true,
    tags: [...tags],
    filter: query.filter,
    near: query.near,
    datacenter: query.datacenter,
    consistency,
    scheme,
    waitMs,
    logger: query.logger ?? silentLogger,
    clock: query.clock ?? systemClock,
    random: query.random ?? systemRandom,
  };
}

function refuse(option: string, rule: string, received: unknown): never {
  throw new TypeError(`Cannot watch a service as "${option}" ${rule}: received ${JSON.stringify(received)}`);
}
