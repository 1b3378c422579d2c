// Which instances of a service to list, shared by the Consul resolver and watchService. Checks options, does no I/O.

import { asConsulClient, type ConsulClient, type ConsulClientOptions } from "../consul/consul-client.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { type Logger, silentLogger } from "../core/logger.ts";
import { type Random, systemRandom } from "../core/random.ts";
import { type InstanceQuery, type ResolvedInstanceQuery, resolveInstanceQuery } from "./instance-query.ts";

/** What to ask of Consul: https://developer.hashicorp.com/consul/api-docs/health#list-service-instances-for-service */
export interface ConsulServiceQuery extends InstanceQuery {
  /** The agent: a client, its options, or its address. */
  readonly consul: ConsulClient | ConsulClientOptions | string;
  /** Longest wait of one blocking read in milliseconds, from 1000 to 60000. Default 55000. */
  readonly waitMs?: number;
  /** Told of changes of state: instances, losing and finding Consul. Silent by default. */
  readonly logger?: Logger;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** A query with every default in its place. */
export interface ResolvedServiceQuery extends ResolvedInstanceQuery {
  readonly client: ConsulClient;
  readonly waitMs: number;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: Random;
}

/** Throws TypeError or RangeError that names the option, the rule and the value. */
export function resolveServiceQuery(query: ConsulServiceQuery): ResolvedServiceQuery {
  const asked = resolveInstanceQuery(query);
  const { waitMs = 55_000 } = query;
  if (!(typeof waitMs === "number" && waitMs >= 1000 && waitMs <= 60_000)) {
    throw new RangeError(`Cannot watch a service as "waitMs" must be from 1000 to 60000: received ${waitMs}`);
  }
  return {
    ...asked,
    client: asConsulClient(query.consul),
    waitMs,
    logger: query.logger ?? silentLogger,
    clock: query.clock ?? systemClock,
    random: query.random ?? systemRandom,
  };
}
