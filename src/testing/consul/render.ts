// Shapes of the answers, field by field as Consul has them. Pure.

import type { CatalogEntry } from "./catalog.ts";
import type { NodeInfo } from "./core.ts";
import { formatGoDuration } from "./go/duration.ts";
import type { CheckRecord, ConsulCompat, Indexed, ServiceRecord } from "./model.ts";

/** A JSON object to be. */
export type Rendered = Readonly<Record<string, unknown>>;

/** A node, as health and catalog answers hold it. */
export function renderNode(node: NodeInfo): Rendered {
  return {
    ...nodeHead(node),
    Meta: node.meta,
    CreateIndex: node.createIndex,
    ModifyIndex: node.modifyIndex,
  };
}

/** An entry of `/v1/health/service/:name`. */
export function renderEntry({ service, checks }: CatalogEntry, node: NodeInfo, compat: ConsulCompat): Rendered {
  return {
    Node: renderNode(node),
    Service: {
      ID: service.id,
      Service: service.name,
      Tags: service.tags,
      Address: service.address,
      ...renderTaggedAddresses(service),
      // Consul forgets the difference between an empty map and none on the way.
      Meta: Object.keys(service.meta).length === 0 ? null : service.meta,
      ...renderPort(service, compat),
      Weights: service.weights,
      EnableTagOverride: service.enableTagOverride,
      Proxy: { ...(compat === "1.8" ? {} : { Mode: "" }), MeshGateway: {}, Expose: {} },
      Connect: {},
      ...(compat === "1.8" ? {} : { PeerName: "" }),
      CreateIndex: service.createIndex,
      ModifyIndex: service.modifyIndex,
    },
    Checks: checks.map((check) => renderCheck(check, node, compat)),
  };
}

/** A check, as health answers and `/v1/agent/checks` hold it; the agent's own have no indexes. */
export function renderCheck(
  check: CheckRecord & Partial<Indexed<CheckRecord>>,
  node: NodeInfo,
  compat: ConsulCompat,
): Rendered {
  const newer = {
    Interval: formatGoDuration(check.intervalMs),
    Timeout: formatGoDuration(check.timeoutMs),
    ExposedPort: 0,
  };
  return {
    Node: node.name,
    CheckID: check.id,
    Name: check.name,
    Status: check.status,
    Notes: check.notes,
    Output: check.output,
    ServiceID: check.serviceId,
    ServiceName: check.serviceName,
    ServiceTags: check.serviceTags,
    Type: check.type,
    ...(compat === "1.8" ? {} : newer),
    Definition: {},
    CreateIndex: check.createIndex ?? 0,
    ModifyIndex: check.modifyIndex ?? 0,
  };
}

/** A service, as `/v1/agent/services` holds it. */
export function renderAgentService(service: ServiceRecord, compat: ConsulCompat): Rendered {
  return {
    ID: service.id,
    Service: service.name,
    Tags: service.tags,
    Meta: service.meta,
    Port: service.port,
    ...(compat === "1.8" ? {} : renderPorts(service)),
    Address: service.address,
    ...renderTaggedAddresses(service),
    Weights: service.weights,
    EnableTagOverride: service.enableTagOverride,
  };
}

/** An entry of `/v1/catalog/service/:name`. */
export function renderCatalogService(service: Indexed<ServiceRecord>, node: NodeInfo): Rendered {
  const { TaggedAddresses } = renderTaggedAddresses(service);
  return {
    ...nodeHead(node),
    NodeMeta: node.meta,
    ServiceKind: "",
    ServiceID: service.id,
    ServiceName: service.name,
    ServiceTags: service.tags,
    ServiceAddress: service.address,
    ...(TaggedAddresses === undefined ? {} : { ServiceTaggedAddresses: TaggedAddresses }),
    ServiceWeights: service.weights,
    ServiceMeta: service.meta,
    ServicePort: service.port,
    ServiceEnableTagOverride: service.enableTagOverride,
    ServiceProxy: { MeshGateway: {}, Expose: {} },
    ServiceConnect: {},
    CreateIndex: service.createIndex,
    ModifyIndex: service.modifyIndex,
  };
}

function nodeHead(node: NodeInfo): Rendered {
  const { address } = node;
  return {
    ID: node.id,
    Node: node.name,
    Address: address,
    Datacenter: node.datacenter,
    TaggedAddresses: { lan: address, lan_ipv4: address, wan: address, wan_ipv4: address },
  };
}

function renderTaggedAddresses(service: ServiceRecord): { TaggedAddresses?: ServiceRecord["taggedAddresses"] } {
  const { taggedAddresses } = service;
  return Object.keys(taggedAddresses).length === 0 ? {} : { TaggedAddresses: taggedAddresses };
}

// Newer versions leave out a port of 0, and have several where the registration gave several.
function renderPort(service: ServiceRecord, compat: ConsulCompat): Rendered {
  if (compat === "1.8") return { Port: service.port };
  return { ...(service.port === 0 ? {} : { Port: service.port }), ...renderPorts(service) };
}

function renderPorts(service: ServiceRecord): Rendered {
  return service.ports.length === 0 ? {} : { Ports: service.ports };
}
