// The Resolver contract: where endpoints come from. Implementations: consul-resolver.ts, static-resolver.ts.

import type { Endpoint } from "../core/endpoint.ts";

/** All endpoints known now: a full snapshot, never a delta. */
export interface ResolverSnapshot {
  /** Sorted by id, ids unique; may be empty. */
  readonly endpoints: readonly Endpoint[];
  /** True while the source cannot be reached and this is the last known good list, or while only a part of it answers that may lag (Consul without a leader). */
  readonly stale: boolean;
  /** Of an empty list: why it may not be the whole truth, in words for an error message: a token may lack rights, say. Absent: nothing is known against it. */
  readonly whyEmpty?: string;
  /** When the source last confirmed this list, by the resolver's clock (milliseconds). Its age is `clock.now()` minus this. */
  readonly confirmedAtMs: number;
  /** `store` where the list was kept by an earlier process and the source has not answered this one yet; absent otherwise. */
  readonly source?: "store";
}

/** Who is told. Calls come in order, one at a time, never after unsubscribing. */
export interface ResolverListener {
  /** A snapshot that differs from the last one in its endpoints, its staleness or why it is empty. The first comes as soon as it is known, synchronously within `subscribe` where it is known already. */
  onSnapshot(snapshot: ResolverSnapshot): void;
  /** The source failed; the last snapshot stands. Repeats with every failed attempt. */
  onError(error: unknown): void;
}

/** A source of endpoints, shared by any number of listeners. Does nothing while nobody listens. */
export interface Resolver {
  /** What is asked of whom, for messages: `service "HelloService" of Consul at http://127.0.0.1:8500`. */
  readonly description: string;
  /**
   * The newest snapshot, confirmed last at its `confirmedAtMs`: that a list is confirmed, no listener is told. Undefined before the first,
   * and while nobody listens.
   */
  readonly latest?: ResolverSnapshot | undefined;
  /** Starts listening. Returns a function that stops it; the source is let go with its last listener. */
  subscribe(listener: ResolverListener): () => void;
  /** Asks the source once, now, and resolves when the answer has been delivered or the attempt failed; never rejects. */
  refresh(): Promise<void>;
  /** Resolves when nothing is under way any more that the resolver ends after its last listener left; never rejects. Absent where nothing is. */
  released?(): Promise<void>;
}
