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

  /** Takes one; false where none is left. */
  spend(nowMs: number): boolean {
    if (this.#left < 1) {
      this.#left = Math.min(this.#size, this.#left + (nowMs - this.#atMs) * this.#perMs);
      this.#atMs = nowMs;
      if (this.#left < 1) return false;
    }
    this.#left--;
    return true;
  }

  /** Gives some back. */
  earn(count: number): void {
    this.#left += count;
    if (this.#left > this.#size) this.#left = this.#size;
  }
}
