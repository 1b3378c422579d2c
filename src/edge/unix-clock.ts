// The clock of the edge: its `now()` is Unix time, as snapshots come from other machines and outlive the process.

import { type Clock, systemClock } from "../core/clock.ts";

/** Unix time in milliseconds, and the runtime's timers. May be set back by whoever sets the machine's time. */
export const unixClock: Clock = {
  now: () => Date.now(),
  schedule: (delayMs, callback) => systemClock.schedule(delayMs, callback),
};
