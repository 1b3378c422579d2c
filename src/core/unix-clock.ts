// The clock of what outlives the process or comes from other machines: its `now()` is Unix time. The only file that asks for it.

import { type Clock, systemClock } from "./clock.ts";

/** Unix time in milliseconds, and the runtime's timers. May be set back by whoever sets the machine's time. */
export const unixClock: Clock = {
  now: () => Date.now(),
  schedule: (delayMs, callback) => systemClock.schedule(delayMs, callback),
};
