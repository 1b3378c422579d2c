// Health of a service's instances: https://developer.hashicorp.com/consul/api-docs/health. Types only; health-api.ts implements them.

import type { AgentService, HealthCheck } from "./agent.ts";
import type { QueryOptions, QueryResult } from "./query.ts";

/** A node as health answers carry it. Other fields pass through unread. */
export interface HealthNode {
  readonly Node: string;
  readonly Address: string;
  readonly Datacenter?: string;
  readonly Meta: Readonly<Record<string, string>> | null;
}

/** A service inside a health answer. */
export interface HealthService extends AgentService {
  /** Named ports, instead of `Port` (Consul 1.22 and later). */
  readonly Ports?: readonly { readonly name?: string; readonly port: number; readonly default?: boolean }[] | null;
}

/** One instance of a service, its node, and the checks of both. */
export interface ServiceEntry {
  readonly Node: HealthNode;
  readonly Service: HealthService;
  readonly Checks: readonly HealthCheck[];
}

/** Which instances to list. */
export interface HealthServiceOptions extends QueryOptions {
  /** Only instances whose checks all pass, the node's included. Default false. */
  readonly passing?: boolean;
  /** Only instances that carry every one of these tags. */
  readonly tags?: readonly string[];
}

/** The health API. Every method rejects with ConsulError, with the reason of an aborted signal, or with TypeError or RangeError on arguments that cannot be sent. */
export interface ConsulHealth {
  /** Instances of a service, sorted by node and service ID unless `near` is given; an unknown name gives an empty list. */
  service(name: string, options?: HealthServiceOptions): Promise<QueryResult<readonly ServiceEntry[]>>;
  /** Checks of a service, over all its instances. */
  checks(name: string, options?: QueryOptions): Promise<QueryResult<readonly HealthCheck[]>>;
}
