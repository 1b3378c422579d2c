// What all reads of the catalog, of health and of keys share: parameters, waiting, headers.
// https://developer.hashicorp.com/consul/api-docs/features/consistency, .../features/blocking

import type { Authorizer } from "../acl.ts";
import type { CatalogRead } from "../catalog.ts";
import { parseGoDuration } from "../go/duration.ts";
import { leaderTopic } from "../leadership.ts";
import { jsonReply, type Reply, ReplyError, textReply } from "../reply.ts";
import { type AgentRequest, checkDatacenter } from "./route.ts";

/** What a read found. */
export interface QueryRead<T> extends CatalogRead<T> {
  /** The token's rights have hidden some of it. */
  readonly isFilteredByAcls?: boolean;
}

/** Reads once; called again whenever something may have changed. Throws ReplyError. */
export type Read<T> = (authorizer: Authorizer) => QueryRead<T>;

/** How the answers of an area of the API differ. */
export interface QueryStyle<T> {
  /** Makes the reply of what was read. Default: JSON. */
  readonly reply?: (data: T, headers: Readonly<Record<string, string>>) => Reply;
  /** True for keys, whose answers name no consistency and whose errors have no index. Default false. */
  readonly isKv?: boolean;
}

/**
 * Answers a read, at once or when it has changed. `prepare` checks the request's own parameters, after the common ones, and
 * returns the read.
 */
export async function answerQuery<T>(
  request: AgentRequest,
  prepare: () => Read<T>,
  style: QueryStyle<T> = {},
): Promise<Reply> {
  const { core, query, secret } = request;
  const consistency = parseConsistency(query);
  const wait = { ...parseWait(query), secret };
  const read = prepare();
  try {
    checkDatacenter(request);
    const authorizer = core.acl.authorize(secret);
    const { leadership } = core;
    const readNow = (): QueryRead<T> => {
      if (consistency !== "stale") leadership.demand();
      const found = read(authorizer);
      return { ...found, topics: [...found.topics, leaderTopic] };
    };
    const result: QueryRead<T> = await core.waiters.run(readNow, wait);
    const isFiltered = core.compat !== "1.8" && result.isFilteredByAcls === true && authorizer.hasToken;
    const headers = {
      "X-Consul-Index": String(result.index),
      "X-Consul-Knownleader": String(leadership.hasLeader),
      "X-Consul-Lastcontact": String(leadership.lastContactMs),
      ...(style.isKv ? {} : { "X-Consul-Effective-Consistency": consistency }),
      ...(core.compat === "1.8" ? {} : newerHeaders(authorizer)),
      ...(isFiltered ? { "X-Consul-Results-Filtered-By-ACLs": "true" } : {}),
      // Answered as if the agent's cache had just been filled.
      ...(query.has("cached") && !style.isKv ? { "X-Cache": "MISS" } : {}),
    };
    return style.reply === undefined ? jsonReply(result.data, headers) : style.reply(result.data, headers);
  } catch (error) {
    if (!(error instanceof ReplyError) || style.isKv) throw error;
    // Errors of the servers carry the index 1, which is no index to wait on.
    const headers = { "X-Consul-Index": "1", "X-Consul-Knownleader": "false", "X-Consul-Lastcontact": "0" };
    return textReply(error.status, error.message, headers);
  }
}

/** Keeps what a token may see. */
export function filterByAcls<T>(
  values: readonly T[],
  isVisible: (value: T) => boolean,
): { readonly values: readonly T[]; readonly isFilteredByAcls: boolean } {
  const visible = values.filter(isVisible);
  return { values: visible, isFilteredByAcls: visible.length < values.length };
}

function newerHeaders(authorizer: Authorizer): Readonly<Record<string, string>> {
  return {
    "X-Consul-Default-Acl-Policy": authorizer.isEnforced ? "deny" : "allow",
    "X-Consul-Query-Backend": "blocking-query",
  };
}

function parseConsistency(query: URLSearchParams): string {
  if (query.has("stale") && query.has("consistent")) {
    throw new ReplyError(400, "Cannot specify ?stale with ?consistent, conflicting semantics.");
  }
  return query.has("stale") ? "stale" : query.has("consistent") ? "consistent" : "leader";
}

function parseWait(query: URLSearchParams): { readonly minIndex: number; readonly waitMs: number } {
  const wait = query.get("wait") ?? "";
  const index = query.get("index") ?? "";
  let waitMs = 0;
  if (wait !== "") {
    try {
      waitMs = parseGoDuration(wait);
    } catch {
      throw new ReplyError(400, "Invalid wait time");
    }
  }
  if (!/^[0-9]*$/.test(index) || Number(index) >= 2 ** 64) throw new ReplyError(400, "Invalid index");
  return { minIndex: Number(index), waitMs };
}
