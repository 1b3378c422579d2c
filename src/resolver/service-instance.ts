// Reads Consul's health answers: which instances may be called, and where. Does no I/O.
// https://developer.hashicorp.com/consul/api-docs/health#sample-response-1

import type { HealthService, ServiceEntry } from "../consul/health.ts";
import type { Endpoint } from "../core/endpoint.ts";
import { formatHostPort, stripBrackets } from "../core/host-port.ts";

/** An endpoint whose scheme is not known yet. */
export interface ServiceInstance extends Omit<Endpoint, "url"> {
  /** `host:port`, IPv6 in brackets. */
  readonly hostPort: string;
}

/** Told of an instance that cannot be called, and why. */
export type OnUnusable = (id: string, reason: string) => void;

/**
 * The instances of an answer that may be called, sorted by id (`<node>/<service id>`), each id once. Left out are those with a
 * critical check (the node's checks and maintenance count), with `passingOnly` those with a warning one, and those without
 * an address and port that can be connected to. One that two nodes list with the same service id and address is one instance that has
 * registered with a second agent: taken is the one that passes, of equals the one that `isKnown`, else the first by id.
 */
export function readInstances(
  entries: readonly ServiceEntry[],
  passingOnly: boolean,
  onUnusable: OnUnusable,
  isKnown: (id: string) => boolean = () => false,
): readonly ServiceInstance[] {
  const instances = new Map<string, ServiceInstance>();
  for (const entry of entries) {
    const health = healthOf(entry);
    if (health === "critical" || (passingOnly && health === "warning")) continue;
    const { Node: node, Service: service } = entry;
    const id = `${node.Node}/${service.ID}`;
    const port = portOf(service);
    if (port === undefined) {
      onUnusable(id, `no usable port: ${service.Port ?? "none"}`);
      continue;
    }
    // An empty address means the node's: https://developer.hashicorp.com/consul/api-docs/catalog#sample-response-3
    const host = stripBrackets(service.Address || node.Address);
    const hostPort = formatHostPort(host, port);
    if (!isConnectable(host)) {
      onUnusable(id, `no usable address: ${JSON.stringify(host)}`);
      continue;
    }
    const instance: ServiceInstance = {
      id,
      hostPort,
      weight: weightOf(service, health),
      health,
      zone: node.Datacenter ?? "",
      tags: service.Tags ?? [],
      meta: service.Meta ?? {},
    };
    const place = `${hostPort} ${service.ID}`;
    const other = instances.get(place);
    if (other === undefined || isRather(instance, other, isKnown)) instances.set(place, instance);
  }
  // By code unit, as Consul's ids have no language.
  return [...instances.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** Whether of two that are the same server the first is taken. */
function isRather(a: ServiceInstance, b: ServiceInstance, isKnown: (id: string) => boolean): boolean {
  if (a.id === b.id) return true;
  if (a.health !== b.health) return a.health === "passing";
  if (isKnown(a.id) !== isKnown(b.id)) return isKnown(a.id);
  return a.id < b.id;
}

/** The endpoint of an instance. */
export function toEndpoint({ hostPort, ...rest }: ServiceInstance, scheme: "http" | "https"): Endpoint {
  return { ...rest, url: `${scheme}://${hostPort}` };
}

/** Whether two endpoints or instances say the same. */
export function sameInstance(
  a: ServiceInstance | Endpoint | undefined,
  b: ServiceInstance | Endpoint | undefined,
): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}

/** Whether two sorted lists say the same. */
export function sameInstances(
  a: readonly (ServiceInstance | Endpoint)[],
  b: readonly (ServiceInstance | Endpoint)[],
): boolean {
  return a.length === b.length && a.every((instance, index) => sameInstance(instance, b[index]));
}

function healthOf(entry: ServiceEntry): "passing" | "warning" | "critical" {
  let health: "passing" | "warning" = "passing";
  for (const { Status: status } of entry.Checks) {
    if (status === "warning") health = "warning";
    else if (status !== "passing") return "critical";
  }
  return health;
}

/** Consul accepts any port (measured on 1.8.7); newest versions name several, instead of the one. */
function portOf(service: HealthService): number | undefined {
  const named = service.Ports ?? [];
  const port = service.Port || (named.find((candidate) => candidate.default === true) ?? named[0])?.port;
  return port !== undefined && Number.isInteger(port) && port >= 1 && port <= 65535 ? port : undefined;
}

/** Consul accepts any text as address; what a URL would read as something else is none. */
function isConnectable(host: string): boolean {
  if (host.includes(":")) return URL.canParse(`http://[${host}]`);
  return /^[A-Za-z0-9._-]+$/.test(host) && URL.canParse(`http://${host}`);
}

function weightOf(service: HealthService, health: "passing" | "warning"): number {
  const weight = (health === "passing" ? service.Weights?.Passing : service.Weights?.Warning) ?? 1;
  // A weight of 0 is "a very small chance", not none: RFC 2782.
  return Math.min(Math.max(Math.trunc(weight) || 1, 1), 65535);
}
