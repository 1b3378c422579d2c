// How fast one query may be asked again. Only counts; waits for nothing.

import type { Clock } from "../core/clock.ts";

/** The pace of one query. Each method notes an answer and returns how many milliseconds must pass before the next read. */
export interface QueryPace {
  /** After an answer that changed something: 0, unless 50 came within the last second. */
  afterChange(): number;
  /**
   * After an answer that changed nothing and came before its wait was over. The first two are free, then one a second:
   * an agent that shuts down answers at once, again and again, and a write beside the query wakes it too.
   */
  afterNothing(): number;
}

const changesPerSecond = 50;
const burst = 2;
const refillPerSecond = 1;

/** Creates the pace of one query, with nothing spent. */
export function createQueryPace(clock: Clock): QueryPace {
  const changes: number[] = [];
  let tokens = burst;
  let refilledAtMs = clock.now();
  return {
    afterChange() {
      const nowMs = clock.now();
      changes.push(nowMs);
      if (changes.length > changesPerSecond) changes.shift();
      const oldestMs = changes[0];
      if (changes.length < changesPerSecond || oldestMs === undefined) return 0;
      return Math.max(0, oldestMs + 1000 - nowMs);
    },
    afterNothing() {
      const nowMs = clock.now();
      tokens = Math.min(burst, tokens + ((nowMs - refilledAtMs) / 1000) * refillPerSecond);
      refilledAtMs = nowMs;
      tokens -= 1;
      // A debt is waited for, so that the token is back when the next answer wants it.
      return tokens >= 0 ? 0 : (-tokens / refillPerSecond) * 1000;
    },
  };
}
