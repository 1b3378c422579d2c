// What outlives a request: snapshots, whose turn it is, and whom to avoid. Plain data only: on Cloudflare Workers a promise, a stream or a
// socket of one request fails or hangs in the next. https://developers.cloudflare.com/workers/reference/how-workers-works/

import type { NewPicker, Picker } from "../balancer/picker.ts";
import type { Endpoint } from "../core/endpoint.ts";
import type { EndpointSnapshot, SnapshotSource } from "./snapshot.ts";

/** What transports share: see `createSnapshotCache`. Opaque. */
export interface SnapshotCache {
  readonly [Symbol.toStringTag]: "SnapshotCache";
}

/** An attempt to read a source, by whichever transport. */
export interface ReadAttempt {
  /** Counts the attempts of a source, from 1. */
  readonly number: number;
  readonly beganAtMs: number;
  /** `pending` stays where the request that began it has ended. */
  state: "pending" | "answered" | "failed" | "abandoned";
  /** When the state last changed. */
  sinceMs: number;
}

/** What is known of one source. Written by whoever reads it. */
export interface CacheEntry {
  /** Its `confirmedAtMs` is never later than the read. */
  snapshot: EndpointSnapshot | undefined;
  /** The newest attempt. */
  attempt: ReadAttempt | undefined;
  /** Number of the attempt that was answered last. */
  answeredNumber: number;
  /** Why the last attempt failed, in plain data; undefined after one that did not. */
  lastError: Error | undefined;
  /** Since when the source answers with nothing, while `snapshot` is what it said before. */
  emptySinceMs: number | undefined;
  /** Whose turn it is, and over which list by which policy. */
  turn: { readonly picker: Picker; readonly endpoints: readonly Endpoint[]; readonly policy: NewPicker } | undefined;
  /** Ids of endpoints whose last attempt failed, and since when. */
  readonly failedAtMs: Map<string, number>;
  /** What the source has warned of. The source's to change. */
  readonly warned: Set<string>;
}

/** Most sources with a text for identity that are kept; the one not asked for the longest goes first. */
const maxEntries = 100;

class EntryTable implements SnapshotCache {
  readonly [Symbol.toStringTag] = "SnapshotCache";
  readonly #byText = new Map<string, CacheEntry>();
  readonly #byObject = new WeakMap<SnapshotSource, CacheEntry>();

  entry(source: SnapshotSource): CacheEntry {
    const { identity } = source;
    if (identity === undefined) {
      const known = this.#byObject.get(source) ?? newEntry();
      this.#byObject.set(source, known);
      return known;
    }
    const known = this.#byText.get(identity) ?? newEntry();
    // A Map's order is that of insertion: the oldest is first.
    this.#byText.delete(identity);
    this.#byText.set(identity, known);
    const [oldest] = this.#byText.keys();
    if (this.#byText.size > maxEntries && oldest !== undefined) this.#byText.delete(oldest);
    return known;
  }
}

/**
 * Creates a cache for transports to share. In Workers keep it at module scope and make the transport in the request: the cache holds plain
 * data only and may outlive any request. Sources are told apart by address, query and rights (token, headers): what one token may see
 * is never shown to another, also where one function returns both. Nothing needs closing.
 */
export function createSnapshotCache(): SnapshotCache {
  return new EntryTable();
}

/** What the cache holds of a source; the same object for the same source. Throws TypeError for a cache that is not one. */
export function cacheEntry(cache: SnapshotCache, source: SnapshotSource): CacheEntry {
  if (!(cache instanceof EntryTable)) {
    throw new TypeError('Cannot create transport as "cache" must come from createSnapshotCache(): received another');
  }
  return cache.entry(source);
}

function newEntry(): CacheEntry {
  return {
    snapshot: undefined,
    attempt: undefined,
    answeredNumber: 0,
    lastError: undefined,
    emptySinceMs: undefined,
    turn: undefined,
    failedAtMs: new Map(),
    warned: new Set(),
  };
}
