// Follows one query of Consul by blocking reads: https://developer.hashicorp.com/consul/api-docs/features/blocking
// Knows the index rules, the pace and the retries; knows nothing of what is read.

import type { Clock } from "../core/clock.ts";
import type { Random } from "../core/random.ts";
import type { QueryResult } from "./query.ts";

/** What to follow, and whom to tell. */
export interface BlockingQueryOptions<T> {
  /** Performs one read. Given `index` and `waitMs` it blocks; without them it answers at once. */
  readonly read: (query: { index?: string; waitMs?: number; signal: AbortSignal }) => Promise<QueryResult<T>>;
  /** Whether two answers say the same; then the later one is not reported as a change. */
  readonly same: (a: T, b: T) => boolean;
  /** An answer arrived. `changed` is false when it says what the last one said. Called in order, never after `close()`. */
  readonly onResult: (result: QueryResult<T>, changed: boolean) => void;
  /** A read failed; the query goes on by itself, with backoff. */
  readonly onError: (error: unknown) => void;
  /** Longest wait of one read in milliseconds, from 1000 to 60000. Default 55000, varied by 10 % downwards. */
  readonly waitMs?: number;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** A query being followed. Runs until closed. */
export interface BlockingQuery {
  /** Reads once, now, beside the blocking read. Calls while one is under way share it. Resolves when its answer has been reported, whether it succeeded or not. */
  refresh(): Promise<void>;
  /** Stops at once: aborts the read in flight. No callback follows. */
  close(): void;
}
