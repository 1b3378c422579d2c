// Notices that no calls were made for a while, without a look at any of them: one timer that compares counts.

import { type Clock, maxTimerMs } from "../../core/clock.ts";

/** What is looked at. */
export interface IdleSigns {
  /** Whether calls are under way, or wait. */
  readonly isBusy: () => boolean;
  /** A number that changes when calls end. */
  readonly progress: () => number;
  /** No call for the whole time. The timer has stopped by then. */
  readonly onIdle: () => void;
}

/** Looks a few times within the time, so that it takes at most so much longer. */
const looks = 4;

export class IdleTimer {
  readonly #clock: Clock;
  readonly #lookMs: number;
  readonly #signs: IdleSigns;
  #cancel: (() => void) | undefined;
  #quietLooks = 0;
  #seen = 0;

  /** `timeoutMs` of Infinity, or beyond what timers can: never. */
  constructor(clock: Clock, timeoutMs: number, signs: IdleSigns) {
    this.#clock = clock;
    this.#lookMs = timeoutMs / looks;
    this.#signs = signs;
  }

  /** Starts, unless it runs already. */
  start(): void {
    if (this.#cancel !== undefined || this.#lookMs > maxTimerMs) return;
    this.#quietLooks = 0;
    this.#seen = this.#signs.progress();
    this.#plan();
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #plan(): void {
    this.#cancel = this.#clock.schedule(this.#lookMs, () => this.#look());
  }

  #look(): void {
    const progress = this.#signs.progress();
    const isQuiet = progress === this.#seen && !this.#signs.isBusy();
    this.#seen = progress;
    this.#quietLooks = isQuiet ? this.#quietLooks + 1 : 0;
    if (this.#quietLooks < looks) {
      this.#plan();
      return;
    }
    this.#cancel = undefined;
    this.#signs.onIdle();
  }
}
