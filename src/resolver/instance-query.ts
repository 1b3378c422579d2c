// What is asked of Consul about a service, whoever asks and however often: the part of a query that decides the answer. Does no I/O.

import type { HealthServiceOptions } from "../consul/health.ts";
import { describeValue } from "../core/describe-value.ts";
import { isArrayOf, isBoolean, isString } from "../core/json-shape.ts";

/** Which instances to list. */
export interface InstanceQuery {
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
  /**
   * `default`: the leader answers, and while there is none, any server whose answer is no older than what is known. `stale`: any server
   * answers, and may lag. `consistent`: the leader makes sure it still leads; without one nobody answers. Default `default`.
   */
  readonly consistency?: "default" | "stale" | "consistent";
  /** Scheme of the endpoints' URLs. Default `http`. */
  readonly scheme?: "http" | "https";
}

/** The query with every default in its place. */
export interface ResolvedInstanceQuery {
  readonly service: string;
  readonly passingOnly: boolean;
  readonly tags: readonly string[];
  readonly filter: string | undefined;
  readonly near: string | undefined;
  readonly datacenter: string | undefined;
  readonly consistency: "default" | "stale" | "consistent";
  readonly scheme: "http" | "https";
}

/**
 * Throws TypeError that names the option, the rule, and the value where that is text, else its kind. `action` is the verb of the message:
 * Cannot <action> a service.
 */
export function resolveInstanceQuery(query: InstanceQuery, action: "watch" | "find" = "watch"): ResolvedInstanceQuery {
  const { passingOnly = true, tags = [], consistency = "default", scheme = "http" } = query;
  const check = (name: keyof InstanceQuery, isRight: boolean, rule: string) => {
    if (isRight) return;
    const value: unknown = query[name];
    const received = isString(value) ? JSON.stringify(value.slice(0, 200)) : describeValue(value);
    throw new TypeError(`Cannot ${action} a service as "${name}" must be ${rule}: received ${received}`);
  };
  check("service", isName(query.service), "a non-empty string");
  check("passingOnly", isBoolean(passingOnly), "true or false");
  check("tags", isArrayOf(isName)(tags), "a list of non-empty strings");
  for (const name of ["filter", "near", "datacenter"] as const) {
    check(name, query[name] === undefined || isName(query[name]), "a non-empty string");
  }
  check("consistency", ["default", "stale", "consistent"].includes(consistency), "default, stale or consistent");
  check("scheme", scheme === "http" || scheme === "https", "http or https");
  return {
    service: query.service,
    passingOnly,
    tags: [...tags],
    filter: query.filter,
    near: query.near,
    datacenter: query.datacenter,
    consistency,
    scheme,
  };
}

function isName(value: unknown): value is string {
  return isString(value) && value !== "";
}

/** The query as the health API takes it. */
export function healthOptions(query: ResolvedInstanceQuery): HealthServiceOptions {
  const { passingOnly, tags, filter, near, datacenter, consistency } = query;
  return {
    passing: passingOnly,
    tags,
    consistency,
    ...(filter !== undefined && { filter }),
    ...(near !== undefined && { near }),
    ...(datacenter !== undefined && { datacenter }),
  };
}

/** Equal for queries that list the same instances, whatever the scheme they are called by. */
export function instanceQueryKey(query: ResolvedInstanceQuery): string {
  return JSON.stringify([query.service.toLowerCase(), { ...healthOptions(query), tags: query.tags.toSorted() }]);
}

/** What is asked of whom, for messages. */
export function describeInstanceQuery(
  { service, tags, filter, datacenter }: ResolvedInstanceQuery,
  address: string,
): string {
  const narrowed = [
    ...(tags.length > 0 ? [`tags ${tags.map((tag) => JSON.stringify(tag)).join(", ")}`] : []),
    ...(filter !== undefined ? [`filter ${JSON.stringify(filter)}`] : []),
    ...(datacenter !== undefined ? [`datacenter ${JSON.stringify(datacenter)}`] : []),
  ];
  const which = narrowed.length > 0 ? ` (${narrowed.join("; ")})` : "";
  return `service ${JSON.stringify(service)}${which} of Consul at ${address}`;
}
