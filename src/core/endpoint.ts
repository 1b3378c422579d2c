// One address to balance over. Produced by resolvers, consumed by pickers and connectors; knows neither Consul nor sockets.

/** One address to balance over. Immutable: a change is a new object. */
export interface Endpoint {
  /** Unique within a snapshot and stable across snapshots; equal ids mean the same registered instance. */
  readonly id: string;
  /** Origin to connect to: scheme, host and port, IPv6 in brackets, no path: `http://10.0.0.1:10000`. */
  readonly url: string;
  /** Relative share for weighted policies, an integer from 1 to 65535. */
  readonly weight: number;
  /** Health tier. Resolvers list only endpoints that may be called. */
  readonly health: "passing" | "warning";
  /** Where it runs (Consul: the datacenter), or "" when unknown. */
  readonly zone: string;
  /** Tags as registered, in their order. */
  readonly tags: readonly string[];
  /** Key-value pairs as registered. */
  readonly meta: Readonly<Record<string, string>>;
}
