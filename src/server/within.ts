// A wait that has an end.

import type { Clock } from "../core/clock.ts";

/** Waits for a promise that does not reject, but no longer than this. */
export function within(limitMs: number, promise: Promise<unknown>, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.schedule(limitMs, resolve);
    void promise.then(() => {
      cancel();
      resolve();
    });
  });
}
