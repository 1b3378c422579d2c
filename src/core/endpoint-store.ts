// The EndpointStore contract: where endpoints are kept that a process starts from while their source is down. Implementations:
// src/runtime/file-store.ts, and the user's own. Holds no secrets: no token, no certificate.

import type { Endpoint } from "./endpoint.ts";

/** What is kept of one service: plain data, fit for JSON. */
export interface StoredEndpoints {
  /** The version of this format. */
  readonly version: 1;
  /** When their source last confirmed them, in Unix milliseconds. */
  readonly confirmedAtMs: number;
  /** Sorted by id, ids unique; never empty. */
  readonly endpoints: readonly Endpoint[];
}

/** Keeps endpoints between processes, by a key that says what was asked. Any number of processes may share one. */
export interface EndpointStore {
  /** Resolves with what was saved last under the key, undefined where nothing was. What it gives is checked; a rejection is logged, and is as good as nothing. */
  load(key: string): Promise<unknown>;
  /** Keeps `stored` in place of what was there. One save of a key at a time, seconds apart; a rejection is logged, and the next one may do. */
  save(key: string, stored: StoredEndpoints): Promise<void>;
}
