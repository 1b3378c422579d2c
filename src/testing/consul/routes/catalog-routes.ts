// /v1/catalog and /v1/status: https://developer.hashicorp.com/consul/api-docs/catalog, .../status
// Reads only: nothing but the agent itself writes to its catalog.

import { leaderAddress } from "../core.ts";
import { applyFilter } from "../filter.ts";
import { catalogServiceFilter, nodeFilter } from "../filter-types.ts";
import { renderCatalogService, renderNode } from "../render.ts";
import { jsonReply, type Reply, ReplyError } from "../reply.ts";
import { hasNodeMeta, hasTags } from "./health-routes.ts";
import { answerQuery, filterByAcls } from "./query.ts";
import { type AgentRequest, checkDatacenter, type Route } from "./route.ts";

/** The routes under /v1/catalog and /v1/status. */
export const catalogRoutes: readonly Route[] = [
  { path: "catalog/datacenters", methods: { GET: datacenters }, isNamespaced: false },
  { path: "catalog/nodes", methods: { GET: nodes } },
  { path: "catalog/services", methods: { GET: services } },
  { path: "catalog/service/", methods: { GET: service } },
  { path: "status/leader", methods: { GET: leader }, isNamespaced: false },
  { path: "status/peers", methods: { GET: peers }, isNamespaced: false },
];

function datacenters({ core }: AgentRequest): Reply {
  return jsonReply([core.node.datacenter]);
}

function leader(request: AgentRequest): Reply {
  checkDatacenter(request);
  const { leadership, node } = request.core;
  return jsonReply(leadership.hasLeader ? leaderAddress(node) : "");
}

function peers(request: AgentRequest): Reply {
  checkDatacenter(request);
  return jsonReply([leaderAddress(request.core.node)]);
}

function nodes(request: AgentRequest): Promise<Reply> {
  const { core, query } = request;
  return answerQuery(request, () => (authorizer) => {
    const found = hasNodeMeta(core.node, query) ? [core.node] : [];
    const { values, isFilteredByAcls } = filterByAcls(found, (node) => authorizer.can("read", "node", node.name));
    const data = applyFilter(values.map(renderNode), query.get("filter") ?? "", nodeFilter);
    // The agent's one node never changes.
    return { data, index: core.node.modifyIndex, topics: [], isFilteredByAcls };
  });
}

function services(request: AgentRequest): Promise<Reply> {
  const { core, query } = request;
  return answerQuery(request, () => {
    if (query.has("filter")) throw new ReplyError(400, "The embedded agent cannot filter /v1/catalog/services");
    return (authorizer) => {
      const { data, index, topics } = core.catalog.services();
      const found = hasNodeMeta(core.node, query) ? data : [];
      const { values, isFilteredByAcls } = filterByAcls(found, ({ name }) => authorizer.can("read", "service", name));
      const tagsByName = new Map<string, Set<string>>();
      for (const { name, tags } of values) {
        tagsByName.set(name, new Set([...(tagsByName.get(name) ?? []), ...tags]));
      }
      const names = [...tagsByName].sort(([a], [b]) => (a < b ? -1 : 1));
      return {
        data: Object.fromEntries(names.map(([name, tags]) => [name, [...tags]])),
        index,
        topics,
        isFilteredByAcls,
      };
    };
  });
}

function service(request: AgentRequest): Promise<Reply> {
  const { core, name, query } = request;
  return answerQuery(request, () => {
    if (name === "") throw new ReplyError(400, "Missing service name");
    return (authorizer) => {
      const { data, index, topics } = core.catalog.instances(name);
      const tagged = data.filter(({ tags }) => hasTags(tags, query.getAll("tag")) && hasNodeMeta(core.node, query));
      const { values, isFilteredByAcls } = filterByAcls(
        tagged,
        (found) => authorizer.can("read", "node", core.node.name) && authorizer.can("read", "service", found.name),
      );
      const rendered = values.map((found) => renderCatalogService(found, core.node));
      const filtered = applyFilter(rendered, query.get("filter") ?? "", catalogServiceFilter);
      return { data: filtered, index, topics, isFilteredByAcls };
    };
  });
}
