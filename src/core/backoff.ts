// Exponential backoff with jitter, as gRPC's connection backoff document has it:
// https://github.com/grpc/grpc/blob/master/doc/connection-backoff.md

import { jitter, type Random, systemRandom } from "./random.ts";

/** How delays grow. All times in milliseconds. */
export interface BackoffOptions {
  /** First delay. Default 1000. */
  readonly initialMs?: number;
  /** Largest delay before jitter. Default 120000. */
  readonly maxMs?: number;
  /** Growth from one delay to the next, at least 1. Default 1.6. */
  readonly multiplier?: number;
  /** Share of a delay by which it may vary, in [0, 1]. Default 0.2. */
  readonly jitter?: number;
  /** Source of the jitter. */
  readonly random?: Random;
}

/** A series of delays. */
export interface Backoff {
  /** The next delay in milliseconds; each call moves on. */
  next(): number;
  /** Starts again from the first delay. Call it after a success. */
  reset(): void;
}

/** Creates a series of growing delays. Throws RangeError on options outside their range. */
export function createBackoff(options: BackoffOptions = {}): Backoff {
  const { initialMs = 1000, maxMs = 120_000, multiplier = 1.6, random = systemRandom } = options;
  const ratio = options.jitter ?? 0.2;
  if (!(initialMs > 0 && maxMs >= initialMs)) {
    throw new RangeError(
      `Cannot create backoff as "initialMs" must be > 0 and at most "maxMs": received ${initialMs} and ${maxMs}`,
    );
  }
  if (!(multiplier >= 1))
    throw new RangeError(`Cannot create backoff as "multiplier" must be >= 1: received ${multiplier}`);
  if (!(ratio >= 0 && ratio <= 1))
    throw new RangeError(`Cannot create backoff as "jitter" must be in [0, 1]: received ${ratio}`);
  let currentMs = initialMs;
  return {
    next() {
      const delayMs = jitter(currentMs, ratio, random);
      currentMs = Math.min(currentMs * multiplier, maxMs);
      return delayMs;
    },
    reset() {
      currentMs = initialMs;
    },
  };
}
