// What is asked of Consul about a service, whoever asks: the part of a query that decides the answer. Does no I/O.

import type { HealthServiceOptions } from "../consul/health.ts";

/** Which instances to list. */
export interface QuestionOptions {
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
}

/** The question with every default in its place. */
export interface ResolvedQuestion {
  readonly service: string;
  readonly passingOnly: boolean;
  readonly tags: readonly string[];
  readonly filter: string | undefined;
  readonly near: string | undefined;
  readonly datacenter: string | undefined;
  readonly consistency: "default" | "stale" | "consistent";
  readonly scheme: "http" | "https";
}

/** Throws TypeError that names the option, the rule and the value; `action` is what cannot be done then. */
export function resolveQuestion(query: QuestionOptions, action: "watch" | "find" = "watch"): ResolvedQuestion {
  const { service, tags = [], consistency = "default", scheme = "http" } = query;
  const refuse = (option: string, rule: string, received: unknown): never => {
    throw new TypeError(`Cannot ${action} a service as "${option}" ${rule}: received ${JSON.stringify(received)}`);
  };
  if (typeof service !== "string" || service === "") refuse("service", "must be a non-empty string", service);
  if (tags.some((tag) => typeof tag !== "string" || tag === "")) refuse("tags", "must be non-empty strings", tags);
  if (query.filter === "") refuse("filter", "must not be empty", query.filter);
  if (!["default", "stale", "consistent"].includes(consistency)) {
    refuse("consistency", "must be default, stale or consistent", consistency);
  }
  if (scheme !== "http" && scheme !== "https") refuse("scheme", "must be http or https", scheme);
  return {
    service,
    passingOnly: query.passingOnly ?? true,
    tags: [...tags],
    filter: query.filter,
    near: query.near,
    datacenter: query.datacenter,
    consistency,
    scheme,
  };
}

/** The question as the health API takes it. */
export function healthOptions(question: ResolvedQuestion): HealthServiceOptions {
  const { passingOnly, tags, filter, near, datacenter, consistency } = question;
  return {
    passing: passingOnly,
    tags,
    consistency,
    ...(filter !== undefined && { filter }),
    ...(near !== undefined && { near }),
    ...(datacenter !== undefined && { datacenter }),
  };
}

/** What is asked of whom, for messages. */
export function describeQuestion({ service, tags, filter, datacenter }: ResolvedQuestion, address: string): string {
  const narrowed = [
    ...(tags.length > 0 ? [`tags ${tags.map((tag) => JSON.stringify(tag)).join(", ")}`] : []),
    ...(filter !== undefined ? [`filter ${JSON.stringify(filter)}`] : []),
    ...(datacenter !== undefined ? [`datacenter ${JSON.stringify(datacenter)}`] : []),
  ];
  const which = narrowed.length > 0 ? ` (${narrowed.join("; ")})` : "";
  return `service ${JSON.stringify(service)}${which} of Consul at ${address}`;
}
