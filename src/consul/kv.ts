// The key-value store: https://developer.hashicorp.com/consul/api-docs/kv. Types only; kv-api.ts implements them.

import type { Clock } from "../core/clock.ts";
import type { Random } from "../core/random.ts";
import type { QueryOptions, QueryResult, RequestOptions } from "./query.ts";

/** A key with its value and its place in history. */
export interface KvEntry {
  /** The whole key, as written. */
  readonly key: string;
  /** Bytes as stored; a view of its own, never shared. */
  readonly value: Uint8Array;
  /** Free for the caller's use, from 0 to 2^64-1; kept exact up to 2^53. */
  readonly flags: number;
  /** Index of the write that made the key. */
  readonly createIndex: number;
  /** What `cas` of a later write or delete must name. */
  readonly modifyIndex: number;
  /** Session that holds the key's lock, if any. */
  readonly session: string | undefined;
}

/** How to watch a key. */
export interface WatchKeyOptions extends Pick<QueryOptions, "signal" | "datacenter" | "consistency"> {
  /** A read failed; the watch goes on by itself, with backoff. */
  readonly onError?: (error: unknown) => void;
  /** Longest wait of one read in milliseconds, from 1000 to 60000. Default 55000, varied by 10 % downwards. */
  readonly waitMs?: number;
  readonly clock?: Clock;
  readonly random?: Random;
}

/**
 * The key-value API. Every method rejects with ConsulError, or with the reason of an aborted signal.
 *
 * Keys are UTF-8 text with `/` between their segments. Consul cannot be asked over HTTP for keys that begin with `/` or have
 * an empty segment inside, or a segment `.` or `..`: those are a TypeError, and so is an empty key where one key is meant.
 */
export interface ConsulKv {
  /** One key; `data` is undefined where it does not exist (the answer still carries an index to wait on). */
  get(key: string, options?: QueryOptions): Promise<QueryResult<KvEntry | undefined>>;
  /** All keys that begin with a prefix, sorted by key; may be empty. The prefix "" means all keys. */
  list(prefix: string, options?: QueryOptions): Promise<QueryResult<readonly KvEntry[]>>;
  /** Writes a key (at most 512 KiB by Consul's default); with `cas`, only if its modifyIndex still is that (0: only if the key does not exist). Resolves to whether it was written. */
  put(
    key: string,
    value: string | Uint8Array,
    options?: RequestOptions & { readonly cas?: number; readonly flags?: number },
  ): Promise<boolean>;
  /** Deletes a key, or with `recurse` all keys that begin with it ("" means all). Resolves to whether it was deleted; an absent key counts as deleted. `cas` and `recurse` exclude each other. */
  delete(
    key: string,
    options?: RequestOptions & { readonly cas?: number; readonly recurse?: boolean },
  ): Promise<boolean>;
  /**
   * Follows a key by blocking queries: an iterable of what it holds, undefined while it does not exist. The first value comes as
   * soon as it is known, later ones on change only; a slow consumer gets the latest. Errors of Consul do not end it (see
   * `onError`); while the cluster has no leader, any server's answer is taken that is no older than what is known, unless `consistency`
   * says otherwise. An aborted signal rejects with its reason; leaving the loop ends the watch. Each iteration is a watch of its own,
   * nothing is sent before it begins. Throws TypeError or RangeError at once on a bad key or option.
   */
  watch(key: string, options?: WatchKeyOptions): AsyncIterable<KvEntry | undefined>;
}
