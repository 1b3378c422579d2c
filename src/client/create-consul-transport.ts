// The client as most people use it: Consul says who is there, round-robin says who is next, HTTP/2 carries the call.
// Puts resolver, balancer and connector together with their defaults; holds no logic of its own.

import {
  type ClientTlsOptions,
  createNodeHttp2Connector,
  type NodeHttp2ConnectorOptions,
} from "../connector/node-http2-connector.ts";
import type { ConsulClient, ConsulClientOptions } from "../consul/consul-client.ts";
import { type ConsulResolverOptions, createConsulResolver } from "../resolver/consul-resolver.ts";
import {
  type BalancedTransport,
  type BalancingOptions,
  createBalancedTransport,
} from "../transport/balanced-transport.ts";
import type { Connector } from "../transport/connector.ts";

/** Whom to find, where, and how to call them. */
export interface ConsulTransportOptions
  extends Omit<ConsulResolverOptions, "consul" | "scheme">,
    BalancingOptions,
    Omit<NodeHttp2ConnectorOptions, "tls"> {
  /** The agent to ask: its address, options of a client, or a client. Default `http://127.0.0.1:8500`. Reads no environment: see `consulFromEnv`. */
  readonly consul?: ConsulClient | ConsulClientOptions | string;
  /** Calls over TLS: `true` trusts the runtime's authorities. Default: cleartext. */
  readonly tls?: boolean | ClientTlsOptions;
  /** How endpoints are reached, instead of node:http2; `tls` (but for its scheme), `connectTimeoutMs` and `maxReceiveBytes` are then the connector's own. */
  readonly connector?: Connector;
}

/**
 * Creates a Connect transport over the instances of a service in Consul. Opens nothing before the first call; close it when done.
 * Throws TypeError or RangeError on bad options.
 */
export function createConsulTransport(options: ConsulTransportOptions): BalancedTransport {
  const { tls = false, connector, ...rest } = options;
  return createBalancedTransport({
    ...rest,
    resolver: createConsulResolver({ ...rest, consul: options.consul ?? {}, scheme: tls === false ? "http" : "https" }),
    connector: connector ?? createNodeHttp2Connector({ ...rest, ...(typeof tls === "object" ? { tls } : {}) }),
  });
}
