// How much of something a peer may make us do: a token bucket. What an honest peer does is earned back with time and with use.

/** Refilled at a steady rate up to its size. The clock is the caller's: milliseconds that only rise. */
export class Budget {
  readonly #size: number;
  readonly #perSecond: number;
  #left: number;
  #atMs: number;

  constructor(size: number, perSecond: number, nowMs: number) {
    this.#size = size;
    this.#perSecond = perSecond;
    this.#left = size;
    this.#atMs = nowMs;
  }

  /** Takes one; false where none is left. The clock is asked only then. */
  spend(now: () => number): boolean {
    if (this.#left < 1) {
      const nowMs = now();
      this.#left = Math.min(this.#size, this.#left + ((nowMs - this.#atMs) * this.#perSecond) / 1000);
      this.#atMs = nowMs;
      if (this.#left < 1) return false;
    }
    this.#left--;
    return true;
  }

  /** Gives one back. */
  earn(): void {
    if (this.#left < this.#size) this.#left++;
  }
}
