// Builds the agent's records from definitions that passed validation.

import { isIP } from "node:net";
import type { CheckSettings, ServiceDefinition } from "./definitions.ts";
import type { CheckRecord, ServiceRecord, TaggedAddress } from "./model.ts";
import { isStatus } from "./validation.ts";

/** The instance that a definition describes. */
export function createServiceRecord(definition: ServiceDefinition): ServiceRecord {
  return {
    id: definition.ID === "" ? definition.Name : definition.ID,
    name: definition.Name,
    tags: definition.Tags ?? [],
    address: definition.Address,
    taggedAddresses: completeTaggedAddresses(definition),
    meta: sortKeys(definition.Meta ?? {}),
    port: definition.Port,
    ports: definition.Ports ?? [],
    weights: definition.Weights ?? { Passing: 1, Warning: 1 },
    enableTagOverride: definition.EnableTagOverride,
  };
}

/** The checks inside a service's registration, with the ids that Consul makes up. */
export function createServiceChecks(service: ServiceRecord, checks: readonly CheckSettings[]): readonly CheckRecord[] {
  return checks.map((settings, position) => {
    const suffix = checks.length > 1 ? `:${position + 1}` : "";
    const id = settings.CheckID === "" ? `service:${service.id}${suffix}` : settings.CheckID;
    const name = settings.Name === "" ? `Service '${service.name}' check` : settings.Name;
    return createCheckRecord(settings, id, name, service);
  });
}

/** A check with a given id and name, of a service or of the node. */
export function createCheckRecord(
  settings: CheckSettings,
  id: string,
  name: string,
  service: ServiceRecord | undefined,
): CheckRecord {
  const status = isStatus(settings.Status, false) ? settings.Status : "critical";
  return {
    id,
    name,
    status,
    notes: settings.Notes,
    output: "",
    serviceId: service?.id ?? "",
    serviceName: service?.name ?? "",
    serviceTags: service?.tags ?? [],
    type: checkType(settings),
    intervalMs: settings.Interval,
    timeoutMs: settings.Timeout,
  };
}

function checkType(settings: CheckSettings): string {
  if (settings.GRPC !== "") return "grpc";
  if (settings.HTTP !== "") return "http";
  return settings.TCP === "" ? "ttl" : "tcp";
}

/** A literal IP adds its lan and wan forms, unless the registration has its own. */
function completeTaggedAddresses(definition: ServiceDefinition): Readonly<Record<string, TaggedAddress>> {
  const { Address, Port, TaggedAddresses = {} } = definition;
  const family = isIP(Address);
  if (family === 0) return sortKeys(TaggedAddresses);
  const own = { Address, Port };
  return sortKeys({ [`lan_ipv${family}`]: own, [`wan_ipv${family}`]: own, ...TaggedAddresses });
}

/** Go writes maps with sorted keys. */
function sortKeys<T>(record: Readonly<Record<string, T>>): Readonly<Record<string, T>> {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
}
