// What the embedded agent keeps: services, checks, nodes. Plain immutable records; no behaviour, no HTTP.

import type { CheckStatus } from "../../consul/agent.ts";

/** Which version of Consul the agent answers like, where versions differ. */
export type ConsulCompat = "1.8" | "1.22";

/** An address with a port, as in TaggedAddresses. */
export interface TaggedAddress {
  readonly Address: string;
  readonly Port: number;
}

/** One of several named ports of a service (1.22). */
export interface NamedPort {
  readonly name: string;
  readonly port: number;
  readonly default: boolean;
}

/** An instance of a service. */
export interface ServiceRecord {
  readonly id: string;
  readonly name: string;
  readonly tags: readonly string[];
  readonly address: string;
  readonly taggedAddresses: Readonly<Record<string, TaggedAddress>>;
  readonly meta: Readonly<Record<string, string>>;
  readonly port: number;
  /** Empty unless the registration gave them in place of `port`. */
  readonly ports: readonly NamedPort[];
  readonly weights: { readonly Passing: number; readonly Warning: number };
  readonly enableTagOverride: boolean;
}

/** A check of a service, or of the node where `serviceId` is "". */
export interface CheckRecord {
  readonly id: string;
  readonly name: string;
  readonly status: CheckStatus;
  readonly notes: string;
  readonly output: string;
  readonly serviceId: string;
  readonly serviceName: string;
  readonly serviceTags: readonly string[];
  /** `ttl`, `http`, `tcp`, `grpc`, `maintenance`, or "" for the node's own. */
  readonly type: string;
  readonly intervalMs: number;
  readonly timeoutMs: number;
}

/** A record with its place in the catalog's history. */
export type Indexed<T> = T & { readonly createIndex: number; readonly modifyIndex: number };
