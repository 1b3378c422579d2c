// The key-value store: keys in order, a value with flags each, indexes, and whom a write wakes. Pure state: no HTTP, no ACLs.
// https://developer.hashicorp.com/consul/api-docs/kv. Index rules as measured on Consul 1.8.7.

import type { CatalogRead } from "./catalog.ts";
import type { Indexed } from "./model.ts";
import type { RaftIndex } from "./raft-index.ts";
import type { Topics } from "./topics.ts";

/** A key and what it holds. */
export interface KvRecord {
  readonly key: string;
  readonly value: Uint8Array;
  /** An unsigned 64 bit integer. */
  readonly flags: bigint;
}

/** The store. */
export interface KvStore {
  get(key: string): CatalogRead<Indexed<KvRecord> | undefined>;
  /** Keys with a prefix, sorted. */
  list(prefix: string): CatalogRead<readonly Indexed<KvRecord>[]>;
  /** Writes; with `cas`, only if the key's modifyIndex is that (0: only if it is absent). Returns whether it has. */
  put(record: KvRecord, cas: number | undefined): boolean;
  /** Deletes a key; with `cas`, only if its modifyIndex is that. False where it is not; an absent key counts as deleted. */
  delete(key: string, cas: number | undefined): boolean;
  /** Deletes every key with a prefix. */
  deleteAll(prefix: string): void;
}

/** Creates an empty store. */
export function createKvStore(raft: RaftIndex, topics: Topics): KvStore {
  const records = new Map<string, Indexed<KvRecord>>();
  // Where a deleted key last was: a list that has lost it must move on. Consul forgets these after a while; we need not.
  const tombstones = new Map<string, number>();
  // Consul says 1 until the first write.
  let tableIndex = 1;

  const changed = (keys: readonly string[], index: number) => {
    tableIndex = index;
    const prefixes = keys.flatMap((key) => Array.from({ length: key.length + 1 }, (_, length) => key.slice(0, length)));
    topics.publish([
      "kv",
      ...keys.map((key) => `kv:${key}`),
      ...new Set(prefixes.map((prefix) => `kv-prefix:${prefix}`)),
    ]);
  };

  const remove = (keys: readonly string[]) => {
    const index = raft.next();
    if (keys.length === 0) return;
    for (const key of keys) {
      records.delete(key);
      tombstones.set(key, index);
    }
    changed(keys, index);
  };

  return {
    get(key) {
      const data = records.get(key);
      // Whoever waits for a key that is not there wakes with every write.
      return data === undefined
        ? { data, index: tableIndex, topics: ["kv"] }
        : { data, index: data.modifyIndex, topics: [`kv:${key}`] };
    },
    list(prefix) {
      const data = [...records.values()].filter((record) => record.key.startsWith(prefix)).sort(byKey);
      const gone = [...tombstones].filter(([key]) => key.startsWith(prefix)).map(([, index]) => index);
      const newest = Math.max(0, ...data.map((record) => record.modifyIndex), ...gone);
      const index = prefix === "" || newest === 0 ? tableIndex : newest;
      return { data, index, topics: [`kv-prefix:${prefix}`] };
    },
    put(record, cas) {
      const index = raft.next();
      const previous = records.get(record.key);
      if (cas !== undefined && cas !== (previous?.modifyIndex ?? 0)) return false;
      if (previous !== undefined && previous.flags === record.flags && isEqual(previous.value, record.value))
        return true;
      records.set(record.key, { ...record, createIndex: previous?.createIndex ?? index, modifyIndex: index });
      changed([record.key], index);
      return true;
    },
    delete(key, cas) {
      const previous = records.get(key);
      if (previous !== undefined && cas !== undefined && cas !== previous.modifyIndex) {
        raft.next();
        return false;
      }
      remove(previous === undefined ? [] : [key]);
      return true;
    },
    deleteAll(prefix) {
      remove([...records.keys()].filter((key) => key.startsWith(prefix)));
    },
  };
}

function byKey(a: { readonly key: string }, b: { readonly key: string }): number {
  return a.key < b.key ? -1 : 1;
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, position) => byte === b[position]);
}
