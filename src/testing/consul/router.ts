// Finds the route of a request and answers what no route does: wrong paths, wrong methods, namespaces, errors.

import { posix } from "node:path";
import type { Core } from "./core.ts";
import { type Reply, ReplyError, textReply } from "./reply.ts";
import { agentRoutes } from "./routes/agent-routes.ts";
import { catalogRoutes } from "./routes/catalog-routes.ts";
import { checkRoutes } from "./routes/check-routes.ts";
import { healthRoutes } from "./routes/health-routes.ts";
import { kvRoutes } from "./routes/kv-routes.ts";
import type { Route } from "./routes/route.ts";
import { serviceRoutes } from "./routes/service-routes.ts";

/** A request as it came from the network. */
export interface RawRequest {
  readonly method: string;
  /** Path and query, as sent. */
  readonly target: string;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Uint8Array;
}

// The longest path that fits comes first.
const routes: readonly Route[] = [
  ...agentRoutes,
  ...serviceRoutes,
  ...checkRoutes,
  ...healthRoutes,
  ...catalogRoutes,
  ...kvRoutes,
].sort((a, b) => b.path.length - a.path.length);

/** Answers a request. Rejects only with errors that are bugs. */
export async function answer(core: Core, raw: RawRequest): Promise<Reply> {
  const mark = raw.target.indexOf("?");
  const query = new URLSearchParams(mark === -1 ? "" : raw.target.slice(mark + 1));
  const path = decodePath(mark === -1 ? raw.target : raw.target.slice(0, mark));
  if (path === undefined) return textReply(400, "400 Bad Request");
  const cleaned = posix.normalize(path);
  if (cleaned !== path) return redirect(raw.method, cleaned);
  const found = findRoute(path);
  if (found === undefined) return { status: 404, headers: {}, body: "" };
  const { route, name } = found;
  if (name === undefined) return redirect(raw.method, `${path}/`);
  const allow = ["OPTIONS", ...Object.keys(route.methods)].join(",");
  if (raw.method === "OPTIONS") return { status: 200, headers: { Allow: allow }, body: "" };
  const handler = Object.hasOwn(route.methods, raw.method) ? route.methods[raw.method] : undefined;
  if (handler === undefined) return textReply(405, `method ${raw.method} not allowed`, { Allow: allow });
  try {
    if (route.isNamespaced !== false) refuseNamespace(core, raw, query);
    const length = raw.headers["content-length"];
    return await handler({
      core,
      method: raw.method,
      name,
      query,
      body: raw.body,
      contentLength: length === undefined ? undefined : Number(length),
      secret: tokenOf(raw, query),
    });
  } catch (error) {
    if (error instanceof ReplyError) return textReply(error.status, error.message);
    throw error;
  }
}

function decodePath(path: string): string | undefined {
  try {
    return decodeURIComponent(path);
  } catch {
    return undefined;
  }
}

/** `name` is undefined for a path that lacks its final slash. */
function findRoute(path: string): { readonly route: Route; readonly name: string | undefined } | undefined {
  for (const route of routes) {
    const full = `/v1/${route.path}`;
    const takesName = full.endsWith("/");
    if (takesName ? path.startsWith(full) : path === full) return { route, name: path.slice(full.length) };
    if (takesName && path === full.slice(0, -1)) return { route, name: undefined };
  }
  return undefined;
}

function redirect(method: string, path: string): Reply {
  const location = path.split("/").map(encodeURIComponent).join("/");
  if (method !== "GET") return { status: 301, headers: { Location: location }, body: "" };
  const headers = { Location: location, "Content-Type": "text/html; charset=utf-8" };
  return { status: 301, headers, body: `<a href="${location}">Moved Permanently</a>.\n\n` };
}

// Namespaces and partitions are for Consul Enterprise, which neither version here is.
function refuseNamespace(core: Core, { headers }: RawRequest, query: URLSearchParams): void {
  const refuse = (what: string, kind: string) => {
    throw new ReplyError(400, `Bad request: Invalid ${what} - ${kind} are a Consul Enterprise feature`);
  };
  if (query.has("ns")) refuse('query parameter: "ns"', "Namespaces");
  if (headers["x-consul-namespace"] !== undefined) refuse('header: "X-Consul-Namespace"', "Namespaces");
  if (core.compat !== "1.8" && query.has("partition")) refuse('query parameter: "partition"', "Partitions");
}

/** https://developer.hashicorp.com/consul/api-docs/api-structure#authentication */
function tokenOf({ headers }: RawRequest, query: URLSearchParams): string {
  const bearer = /^Bearer (.*)$/i.exec(headers.authorization ?? "")?.[1]?.trim();
  return query.get("token") || headers["x-consul-token"] || bearer || "";
}
