// A client of Consul's HTTP API over fetch. Reads no environment, no files; keeps no connection of its own.

import type { Logger } from "../core/logger.ts";
import type { ConsulAgent } from "./agent.ts";
import type { ConsulHealth } from "./health.ts";
import type { ConsulKv } from "./kv.ts";
import type { RequestOptions } from "./query.ts";

/** How to reach and speak to a Consul agent. */
export interface ConsulClientOptions {
  /** Base URL of the agent, with or without a path prefix; a missing scheme means http. Default `http://127.0.0.1:8500`. */
  readonly address?: string;
  /** ACL token, sent as X-Consul-Token. A function is asked before every request. */
  readonly token?: string | (() => string | undefined);
  /** Datacenter of every request that names no other. */
  readonly datacenter?: string;
  /** Consul Enterprise namespace. */
  readonly namespace?: string;
  /** Consul Enterprise admin partition. */
  readonly partition?: string;
  /** HTTP basic authentication, for agents behind a proxy. */
  readonly basicAuth?: { readonly username: string; readonly password: string };
  /** Headers added to every request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Milliseconds without an answer before a request fails, blocking queries aside. Default 10000. */
  readonly timeoutMs?: number;
  /** What sends requests: TLS settings, unix sockets and proxies go here. Default: the runtime's fetch. */
  readonly fetch?: typeof globalThis.fetch;
  /** Told when a token would cross a network in clear. Silent by default. */
  readonly logger?: Logger;
}

/** A client of one agent. Immutable, holds nothing that needs closing. */
export interface ConsulClient {
  /** Base URL of the agent, without credentials. For messages. */
  readonly address: string;
  /** Equal for two clients that would get the same answers (address, rights, fetch). For sharing watches; holds secrets, never to be shown. */
  readonly identity: string;
  readonly agent: ConsulAgent;
  readonly health: ConsulHealth;
  readonly kv: ConsulKv;
  readonly catalog: {
    /** Names of the known datacenters, nearest first. */
    datacenters(options?: RequestOptions): Promise<readonly string[]>;
    /** Tags by service name, over the whole datacenter. */
    services(options?: RequestOptions): Promise<Readonly<Record<string, readonly string[]>>>;
  };
  readonly status: {
    /** `host:port` of the raft leader, or "" when there is none. */
    leader(options?: RequestOptions): Promise<string>;
    /** `host:port` of every raft peer. */
    peers(options?: RequestOptions): Promise<readonly string[]>;
  };
}
