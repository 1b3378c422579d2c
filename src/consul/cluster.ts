// What the whole cluster knows: its catalog and its leader. Types only; cluster-api.ts implements them.

import type { RequestOptions } from "./query.ts";

/** The catalog: https://developer.hashicorp.com/consul/api-docs/catalog. Methods reject with ConsulError, or with the reason of an aborted signal. */
export interface ConsulCatalog {
  /** Names of the known datacenters, nearest first. */
  datacenters(options?: RequestOptions): Promise<readonly string[]>;
  /** Tags by service name, over the whole datacenter. */
  services(options?: RequestOptions): Promise<Readonly<Record<string, readonly string[]>>>;
}

/** The raft cluster: https://developer.hashicorp.com/consul/api-docs/status. Methods reject as the catalog's do. */
export interface ConsulStatus {
  /** `host:port` of the raft leader, or "" when there is none. */
  leader(options?: RequestOptions): Promise<string>;
  /** `host:port` of every raft peer. */
  peers(options?: RequestOptions): Promise<readonly string[]>;
}
