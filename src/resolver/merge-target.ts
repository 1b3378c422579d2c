// Options of which a target may be a part: puts together what the target says and what stands beside it, and refuses what is
// said twice. Knows no transport.

import type { ConsulClientOptions } from "../consul/consul-client.ts";
import { isConsulClient } from "../consul/is-consul-client.ts";
import type { ConsulServiceQuery } from "./service-query.ts";
import { type ParsedTarget, parseTarget, readTarget } from "./target.ts";

/** The part of a query that a target can say, and the agent to ask. */
export type TargetedQuery = Omit<ConsulServiceQuery, "logger" | "clock" | "random">;

/** The same, or a target in place of whatever it says: see `parseTarget`. */
export type TargetOptions = { readonly [Name in keyof TargetedQuery | "target"]?: TargetPart<Name> | undefined };

type TargetPart<Name> = Name extends keyof TargetedQuery ? TargetedQuery[Name] : string;

/** How the target names each option; its service is the path. The compiler demands an entry for each. */
const targetNames: Readonly<Record<Exclude<keyof TargetedQuery, "consul">, string>> = {
  consistency: '"consistency"',
  datacenter: '"dc"',
  filter: '"filter"',
  near: '"near"',
  passingOnly: '"passing"',
  scheme: '"scheme"',
  service: "the service",
  tags: '"tag"',
  waitMs: '"wait"',
};

/**
 * The query that options make, whether they hold a target or not. `defaultService` is the service where nothing names one.
 * Throws TypeError or RangeError for a target that cannot be read, and TypeError, naming both, for what target and options
 * say at once: neither is made to win. A token stays where it is, in `consul`.
 */
export function mergeTarget(options: TargetOptions, defaultService?: string): TargetedQuery {
  const { target, consul = {} } = options;
  const beside = queryIn(options);
  if (target === undefined) return { ...beside, service: beside.service ?? defaultService ?? noService(), consul };
  const { consul: agent, ...said } = readTarget(target);
  for (const [name, inTarget] of Object.entries(targetNames)) {
    if (Object.hasOwn(said, name) && Object.hasOwn(beside, name)) throw saidTwice(inTarget, `"${name}"`);
  }
  // Where nothing names one, parseTarget says so.
  const service = said.service ?? beside.service ?? defaultService ?? parseTarget(target).service;
  return { ...beside, ...said, service, consul: mergeConsul(agent, consul, said.datacenter) };
}

/** What the options themselves say of the query. */
function queryIn(options: TargetOptions): Partial<TargetedQuery> {
  return Object.fromEntries(
    Object.entries(options).filter(([name, value]) => value !== undefined && Object.hasOwn(targetNames, name)),
  );
}

function mergeConsul(
  agent: ParsedTarget["consul"],
  consul: ConsulServiceQuery["consul"],
  datacenter: string | undefined,
): ConsulServiceQuery["consul"] {
  if (isConsulClient(consul)) {
    const [name] = Object.keys(agent);
    if (name === undefined) return consul;
    throw new TypeError(
      `Cannot use "target" as it must leave ${agentName(name)} to "consul", which is a client: write consul:///service`,
    );
  }
  const settings: ConsulClientOptions = typeof consul === "string" ? { address: consul } : consul;
  const said: Readonly<Record<string, unknown>> = { ...agent, ...(datacenter === undefined ? {} : { datacenter }) };
  for (const [name, text] of Object.entries(settings)) {
    // Empty texts count as absent in a client's options.
    if (text === undefined || text === "" || !Object.hasOwn(said, name)) continue;
    throw saidTwice(agentName(name), typeof consul === "string" ? '"consul"' : `"consul.${name}"`);
  }
  return { ...settings, ...agent };
}

function agentName(option: string): string {
  if (option === "address") return "the agent";
  return { namespace: '"ns"', datacenter: '"dc"' }[option] ?? `"${option}"`;
}

function saidTwice(inTarget: string, option: string): TypeError {
  return new TypeError(`Cannot use "target" and ${option} together as both say ${inTarget}: leave one out`);
}

function noService(): never {
  throw new TypeError(
    'Cannot find a service as "service" or "target" must name it, like service: "HelloService" or target: "consul://127.0.0.1:8500/HelloService": received neither',
  );
}
