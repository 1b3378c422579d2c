// Turns a manual clock while real sockets do their part: how much is due when, no test can know beforehand.

import type { ManualClock } from "../../src/testing/manual-clock.ts";
import { pause } from "./eventually.ts";

/** Moves the clock by `stepMs` after `stepMs`, each with a moment for the sockets, until `promise` settles; passes on how it did. */
export async function advanceUntil<T>(clock: ManualClock, promise: Promise<T>, stepMs = 20): Promise<T> {
  let settled = false;
  const settle = () => {
    settled = true;
  };
  promise.then(settle, settle);
  while (!settled) {
    await clock.advance(stepMs);
    await pause(2);
  }
  return promise;
}
