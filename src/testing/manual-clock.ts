// A clock that moves only when told to, so that tests of timeouts, heartbeats and expiry take no time.

import type { Clock } from "../core/clock.ts";

/** A Clock that a test turns by hand. */
export interface ManualClock extends Clock {
  /** Timers that wait to fire. */
  readonly pending: number;
  /**
   * Moves time forward by `ms`, firing due timers in order, each at its own time, timers scheduled meanwhile included.
   * Lets promises and one turn of the event loop run after each firing. Throws RangeError when `ms` is negative.
   */
  advance(ms: number): Promise<void>;
}

/** Creates a clock that stands at `startMs` (default 0). */
export function createManualClock(startMs = 0): ManualClock {
  let nowMs = startMs;
  let sequence = 0;
  const timers = new Map<number, { readonly dueMs: number; readonly callback: () => void }>();

  const nextDue = (untilMs: number): number | undefined => {
    let next: number | undefined;
    let nextMs = untilMs;
    for (const [id, timer] of timers) {
      // Map order is scheduling order: only a strictly earlier timer overtakes.
      if (timer.dueMs < nextMs || (next === undefined && timer.dueMs <= nextMs)) {
        next = id;
        nextMs = timer.dueMs;
      }
    }
    return next;
  };

  return {
    now: () => nowMs,
    schedule(delayMs, callback) {
      const id = sequence++;
      timers.set(id, { dueMs: nowMs + Math.max(delayMs, 0), callback });
      return () => {
        timers.delete(id);
      };
    },
    get pending() {
      return timers.size;
    },
    async advance(ms) {
      if (!(ms >= 0)) throw new RangeError(`Cannot advance the clock as "ms" must be >= 0: received ${ms}`);
      const untilMs = nowMs + ms;
      await turn();
      for (let id = nextDue(untilMs); id !== undefined; id = nextDue(untilMs)) {
        const timer = timers.get(id);
        timers.delete(id);
        nowMs = Math.max(nowMs, timer?.dueMs ?? nowMs);
        timer?.callback();
        await turn();
      }
      nowMs = untilMs;
    },
  };
}

/** One turn of the event loop: promises settle, ready callbacks run. */
function turn(): Promise<void> {
  return new Promise((resolve) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => {
      channel.port1.close();
      resolve();
    };
    channel.port2.postMessage(undefined);
  });
}
