// The key-value store: https://developer.hashicorp.com/consul/api-docs/kv

import type { QueryOptions, QueryResult, RequestOptions } from "./query.ts";

/** A key with its value and its place in history. */
export interface KvEntry {
  readonly key: string;
  /** Bytes as stored; a view of its own, never shared. */
  readonly value: Uint8Array;
  /** Free for the caller's use, from 0 to 2^64-1; kept exact up to 2^53. */
  readonly flags: number;
  readonly createIndex: number;
  /** What `cas` of a later write or delete must name. */
  readonly modifyIndex: number;
  /** Session that holds the key's lock, if any. */
  readonly session: string | undefined;
}

/** The key-value API. Every method rejects with ConsulError, or with the reason of an aborted signal. */
export interface ConsulKv {
  /** One key; `data` is undefined where it does not exist (the answer still carries an index to wait on). */
  get(key: string, options?: QueryOptions): Promise<QueryResult<KvEntry | undefined>>;
  /** All keys under a prefix, sorted by key; may be empty. */
  list(prefix: string, options?: QueryOptions): Promise<QueryResult<readonly KvEntry[]>>;
  /** Writes a key; with `cas`, only if its modifyIndex still is that (0: only if the key does not exist). Resolves to whether it was written. */
  put(
    key: string,
    value: string | Uint8Array,
    options?: RequestOptions & { readonly cas?: number; readonly flags?: number },
  ): Promise<boolean>;
  /** Deletes a key, or all keys under it with `recurse`. Resolves to whether it was deleted; an absent key counts as deleted. */
  delete(
    key: string,
    options?: RequestOptions & { readonly cas?: number; readonly recurse?: boolean },
  ): Promise<boolean>;
}
