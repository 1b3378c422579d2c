// /v1/health: https://developer.hashicorp.com/consul/api-docs/health

import type { Authorizer } from "../acl.ts";
import type { CatalogEntry, CatalogRead } from "../catalog.ts";
import type { Core, NodeInfo } from "../core.ts";
import { applyFilter } from "../filter.ts";
import { checkFilter, entryFilter } from "../filter-types.ts";
import type { CheckRecord, Indexed } from "../model.ts";
import { renderCheck, renderEntry } from "../render.ts";
import { type Reply, ReplyError } from "../reply.ts";
import { answerQuery, filterByAcls, type QueryRead } from "./query.ts";
import { type AgentRequest, parseBool, type Route } from "./route.ts";

/** The routes under /v1/health. */
export const healthRoutes: readonly Route[] = [
  { path: "health/service/", methods: { GET: serviceHealth } },
  { path: "health/checks/", methods: { GET: serviceChecks } },
  { path: "health/node/", methods: { GET: nodeChecks } },
  { path: "health/state/", methods: { GET: checksByState } },
];

/** Whether the node carries all the metadata that `node-meta` asks for. */
export function hasNodeMeta(node: NodeInfo, query: URLSearchParams): boolean {
  return query.getAll("node-meta").every((pair) => {
    const colon = pair.indexOf(":");
    const key = colon === -1 ? pair : pair.slice(0, colon);
    return Object.hasOwn(node.meta, key) && node.meta[key] === (colon === -1 ? "" : pair.slice(colon + 1));
  });
}

/** Whether tags include every one that is asked for, without regard to case. */
export function hasTags(tags: readonly string[], asked: readonly string[]): boolean {
  const lower = tags.map((tag) => tag.toLowerCase());
  return asked.every((tag) => lower.includes(tag.toLowerCase()));
}

function serviceHealth(request: AgentRequest): Promise<Reply> {
  const { core, name, query } = request;
  return answerQuery(request, () => {
    if (name === "") throw new ReplyError(400, "Missing service name");
    const isPassingOnly = parsePassing(query);
    const tags = query.getAll("tag");
    const filter = query.get("filter") ?? "";
    return (authorizer) => {
      const { data, index, topics } = core.catalog.entries(name);
      const canSee = (entry: CatalogEntry) =>
        authorizer.can("read", "node", core.node.name) && authorizer.can("read", "service", entry.service.name);
      const tagged = data.filter((entry) => hasTags(entry.service.tags, tags) && hasNodeMeta(core.node, query));
      const { values, isFilteredByAcls } = filterByAcls(tagged, canSee);
      const healthy = isPassingOnly ? keepPassing(values) : values;
      return { data: filterEntries(core, healthy, filter), index, topics, isFilteredByAcls };
    };
  });
}

function filterEntries(core: Core, entries: readonly CatalogEntry[], filter: string): readonly unknown[] {
  // Filters see every field, the older form; the answer may leave some out.
  const views = entries.map((entry) => ({ entry, view: renderEntry(entry, core.node, "1.8") }));
  const kept = new Set(
    applyFilter(
      views.map(({ view }) => view),
      filter,
      entryFilter,
    ),
  );
  return views
    .filter(({ view }) => kept.has(view))
    .map(({ entry, view }) => (core.compat === "1.8" ? view : renderEntry(entry, core.node, core.compat)));
}

function parsePassing(query: URLSearchParams): boolean {
  const text = query.get("passing");
  if (text === null) return false;
  if (text === "") return true;
  const value = parseBool(text);
  if (value === undefined) throw new ReplyError(400, "Invalid value for ?passing");
  return value;
}

/** Drops what is not passing as Consul does, the last entry moving into the gap: so the order is not that of the catalog. */
function keepPassing(entries: readonly CatalogEntry[]): readonly CatalogEntry[] {
  const kept = [...entries];
  for (let position = 0; position < kept.length; ) {
    if (kept[position]?.checks.every((check) => check.status === "passing")) {
      position++;
      continue;
    }
    const last = kept.pop();
    if (last !== undefined && position < kept.length) kept[position] = last;
  }
  return kept;
}

function serviceChecks(request: AgentRequest): Promise<Reply> {
  const { core, name } = request;
  return answerQuery(request, () => {
    if (name === "") throw new ReplyError(400, "Missing service name");
    return (authorizer) => checkList(request, core.catalog.checksOfService(name), authorizer);
  });
}

function nodeChecks(request: AgentRequest): Promise<Reply> {
  const { core, name } = request;
  return answerQuery(request, () => {
    if (name === "") throw new ReplyError(400, "Missing node name");
    return (authorizer) => {
      const read = core.catalog.checksByStatus("any");
      return checkList(request, name === core.node.name ? read : { ...read, data: [] }, authorizer);
    };
  });
}

function checksByState(request: AgentRequest): Promise<Reply> {
  const { core, name } = request;
  return answerQuery(request, () => {
    if (name === "") throw new ReplyError(400, "Missing check state");
    return (authorizer) => checkList(request, core.catalog.checksByStatus(name), authorizer);
  });
}

function checkList(
  { core, query }: AgentRequest,
  read: CatalogRead<readonly Indexed<CheckRecord>[]>,
  authorizer: Authorizer,
): QueryRead<unknown> {
  const canSee = (check: CheckRecord) =>
    authorizer.can("read", "node", core.node.name) &&
    (check.serviceName === "" || authorizer.can("read", "service", check.serviceName));
  const found = hasNodeMeta(core.node, query) ? read.data : [];
  const { values, isFilteredByAcls } = filterByAcls(found, canSee);
  const rendered = values.map((check) => renderCheck(check, core.node, core.compat));
  return { ...read, data: applyFilter(rendered, query.get("filter") ?? "", checkFilter), isFilteredByAcls };
}
