// The connectors that tests of connections run over: one contract, one suite.

import type { ConnectorOptions } from "../../src/connector/connector-options.ts";
import { createHttp2Connector } from "../../src/connector/http2-connector.ts";
import { type ClientTlsOptions, createNodeHttp2Connector } from "../../src/connector/node-http2-connector.ts";
import type { Logger } from "../../src/core/logger.ts";
import type { Connector } from "../../src/transport/connector.ts";

/** One kind. */
export interface ConnectorKind {
  readonly name: "createHttp2Connector" | "createNodeHttp2Connector";
  create(options?: ConnectorOptions & { readonly tls?: ClientTlsOptions; readonly logger?: Logger }): Connector;
}

/** Both kinds: ours first. */
export const connectorKinds: readonly ConnectorKind[] = [
  { name: "createHttp2Connector", create: createHttp2Connector },
  { name: "createNodeHttp2Connector", create: createNodeHttp2Connector },
];
