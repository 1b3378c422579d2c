// How long a query that failed waits before it is asked again. Only counts; waits for nothing.

import { createBackoff } from "../core/backoff.ts";
import type { Random } from "../core/random.ts";
import { ConsulError } from "./consul-error.ts";

/** Delays of one query's retries, growing from failure to failure. */
export interface RetryDelays {
  /**
   * Milliseconds to wait after this failure: from about 100, or from about 1000 where Consul says that it is overloaded or ill, at most
   * 10000; no less than the answer asked for (Retry-After, 60000 at most) and up to a quarter more, so that not all come back at once.
   */
  after(error: unknown): number;
  /** Starts again from the shortest. Call it after a success. */
  reset(): void;
}

/** Creates the delays of one query. */
export function createRetryDelays(random: Random): RetryDelays {
  // At most 8 s and a quarter more: 10 s. Jitter keeps the watchers of a lost agent from returning together.
  const common = { maxMs: 8000, multiplier: 2, jitter: 0.25, random };
  const unreachable = createBackoff({ ...common, initialMs: 100 });
  const burdened = createBackoff({ ...common, initialMs: 1000 });
  return {
    after(error) {
      const status = error instanceof ConsulError ? error.status : undefined;
      const delayMs = status === 429 || (status !== undefined && status >= 500) ? burdened.next() : unreachable.next();
      const askedMs = error instanceof ConsulError ? (error.retryAfterMs ?? 0) : 0;
      return Math.max(delayMs, askedMs * (1 + 0.25 * random()));
    },
    reset() {
      unreachable.reset();
      burdened.reset();
    },
  };
}
