// What a route is, and what it is given. Consul's paths, methods and answers to wrong ones are in router.ts.

import type { Core } from "../core.ts";
import { type Reply, ReplyError } from "../reply.ts";

/** A request that has found its route. */
export interface AgentRequest {
  readonly core: Core;
  readonly method: string;
  /** Path after the route's, decoded: the name, id or key. "" where the route takes none. */
  readonly name: string;
  readonly query: URLSearchParams;
  readonly body: Uint8Array;
  /** Length that the request announced, if it did. */
  readonly contentLength: number | undefined;
  /** ACL token; "" for none. */
  readonly secret: string;
}

/** Answers a request. Throws ReplyError for errors that Consul would answer. */
export type Handler = (request: AgentRequest) => Reply | Promise<Reply>;

/** A path and who answers its methods. */
export interface Route {
  /** Without the leading `/v1/`; what ends in a slash takes a name. */
  readonly path: string;
  readonly methods: Readonly<Record<string, Handler>>;
  /** False where Consul takes no namespace and so does not refuse one. Default true. */
  readonly isNamespaced?: boolean;
}

/** The body as text. */
export function bodyText(request: AgentRequest): string {
  return new TextDecoder().decode(request.body);
}

/** A boolean of Go's strconv.ParseBool; undefined for anything else. */
export function parseBool(text: string): boolean | undefined {
  if (/^(?:1|t|T|TRUE|true|True)$/.test(text)) return true;
  return /^(?:0|f|F|FALSE|false|False)$/.test(text) ? false : undefined;
}

/** Throws ReplyError 500 where a request is for a datacenter that is not the agent's. */
export function checkDatacenter({ core, query }: AgentRequest): void {
  const datacenter = query.get("dc") ?? "";
  if (datacenter !== "" && datacenter !== core.node.datacenter) throw new ReplyError(500, "No path to datacenter");
}
