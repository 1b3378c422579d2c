// What filters may select in each answer: https://developer.hashicorp.com/consul/api-docs/health#filtering-2 and its like.
// Fields that the embedded agent does not have are left out, so a filter that names one is refused.

import type { FilterType } from "./filter.ts";

const strings = { map: "string" } as const satisfies FilterType;

const taggedAddresses: FilterType = { map: { fields: { Address: "string", Port: "int" } } };

const node = {
  ID: "string",
  Node: "string",
  Address: "string",
  Datacenter: "string",
  TaggedAddresses: strings,
} as const satisfies Record<string, FilterType>;

const service = {
  ID: "string",
  Service: "string",
  Tags: { list: "string" },
  Address: "string",
  TaggedAddresses: taggedAddresses,
  Meta: strings,
  Port: "int",
  Weights: { fields: { Passing: "int", Warning: "int" } },
  EnableTagOverride: "bool",
} as const satisfies Record<string, FilterType>;

/** A check, of health answers or the agent's own. */
export const checkFilter: FilterType = {
  fields: {
    Node: "string",
    CheckID: "string",
    Name: "string",
    Status: "string",
    Notes: "string",
    Output: "string",
    ServiceID: "string",
    ServiceName: "string",
    ServiceTags: { list: "string" },
  },
};

/** An entry of `/v1/health/service/:name`. */
export const entryFilter: FilterType = {
  fields: {
    Node: { fields: { ...node, Meta: strings } },
    Service: { fields: service },
    Checks: { list: checkFilter },
  },
};

/** A service of `/v1/agent/services`. */
export const agentServiceFilter: FilterType = { fields: service };

/** A node of `/v1/catalog/nodes`. */
export const nodeFilter: FilterType = { fields: { ...node, Meta: strings } };

/** An entry of `/v1/catalog/service/:name`. */
export const catalogServiceFilter: FilterType = {
  fields: {
    ...node,
    NodeMeta: strings,
    ServiceID: "string",
    ServiceName: "string",
    ServiceTags: { list: "string" },
    ServiceAddress: "string",
    ServiceTaggedAddresses: taggedAddresses,
    ServiceWeights: { fields: { Passing: "int", Warning: "int" } },
    ServiceMeta: strings,
    ServicePort: "int",
    ServiceEnableTagOverride: "bool",
  },
};
