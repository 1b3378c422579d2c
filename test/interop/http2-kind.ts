// Whose HTTP/2 the programs of the suite speak: the environment variable LICTOR_HTTP2, "lictor" or "node"; unset, what serve()
// takes by itself. So that one suite meets both.

import process from "node:process";
import { createHttp2Connector } from "../../src/connector/http2-connector.ts";
import { createNodeHttp2Connector } from "../../src/connector/node-http2-connector.ts";
import { resolveServeOptions } from "../../src/server/serve-options.ts";
import type { Connector } from "../../src/transport/connector.ts";
import { type Http2Kind, readHttp2Kind } from "../conformance/http2-kind.ts";

/** What is asked for. Throws TypeError where the variable says something else. */
export const http2Kind: Http2Kind = readHttp2Kind(
  process.env.LICTOR_HTTP2 || resolveServeOptions({ routes: () => {} }).http2,
);

/** The connector of that kind. */
export function createConnector(): Connector {
  return http2Kind === "lictor" ? createHttp2Connector() : createNodeHttp2Connector();
}
