// How much of something a peer may make us do: a token bucket. What an honest peer does is earned back with time and with use.

/** Refilled at a steady rate up to its size. */
export class Budget {
  readonly #size: number;
  readonly #perMs: number;
  #left: number;
  /** Up to when the refill was counted. */
  #atMs: number;

  /** `nowMs` is the caller's clock: milliseconds that only rise. */
  constructor(size: number, perSecond: number, nowMs: number) {
    this.#size = size;
    this.#perMs = perSecond / 1000;
    this.#left = size;
    this.#atMs = nowMs;
  }

  /** Takes `count`; false where fewer are left. */
  spend(nowMs: number, count = 1): boolean {
    if (this.#left < count) {
      this.#left = Math.min(this.#size, this.#left + (nowMs - this.#atMs) * this.#perMs);
      this.#atMs = nowMs;
      if (this.#left < count) return false;
    }
    this.#left -= count;
    return true;
  }

  /** Gives some back. */
  earn(count: number): void {
    this.#left += count;
    if (this.#left > this.#size) this.#left = this.#size;
  }
}
