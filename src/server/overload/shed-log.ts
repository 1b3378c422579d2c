// Tells the logger of calls that are shed: one line when it begins, one a second with what was since, and one when it is over.

import type { Clock } from "../../core/clock.ts";
import type { Logger } from "../../core/logger.ts";

const intervalMs = 1000;

/** What the lines say beside the counts. */
export type ShedState = () => { readonly running: number; readonly queued: number; readonly limit: number };

/** Holds a timer only while calls are shed. */
export class ShedLog {
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #state: ShedState;
  #shed = 0;
  #expired = 0;
  #cancel: (() => void) | undefined;

  constructor(logger: Logger, clock: Clock, state: ShedState) {
    this.#logger = logger;
    this.#clock = clock;
    this.#state = state;
  }

  onShed(): void {
    this.#shed++;
    this.#begin();
  }

  onExpired(): void {
    this.#expired++;
    this.#begin();
  }

  /** Says what is not said yet. Nothing follows. */
  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    if (this.#shed + this.#expired > 0) this.#say();
  }

  #begin(): void {
    if (this.#cancel !== undefined) return;
    this.#say();
    this.#wait();
  }

  #say(): void {
    this.#logger.warn("Shedding calls", { shed: this.#shed, expired: this.#expired, ...this.#state() });
    this.#shed = 0;
    this.#expired = 0;
  }

  #wait(): void {
    this.#cancel = this.#clock.schedule(intervalMs, () => {
      this.#cancel = undefined;
      if (this.#shed + this.#expired > 0) this.#begin();
      else this.#logger.info("Calls are shed no longer");
    });
  }
}
