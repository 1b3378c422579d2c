// How many calls at a time are worth it, found by their latency: when it grows beyond what it was with fewer of them, they only wait for each
// other. The gradient is an idea of Netflix's (https://github.com/Netflix/concurrency-limits). Theirs compares with the mean of a long
// time, which a long overload raises, and the limit with it; ours with the least, and learns anew where fewer calls are no faster. Nor does
// theirs look at deadlines: where the machine itself becomes slow, all may be answered, and each too late.
// Counts nothing itself.

/** The least that it comes down to, and the most that it grows to. */
const minLimit = 4;
const maxLimit = 10_000;
const initialLimit = 32;

/** A window is over after so long, and with so many calls. */
const windowMs = 100;
const minSamples = 10;

/** Latency may be so many times the usual one before the limit comes down. */
const tolerance = 1.5;
/** Most that a window takes away. */
const minGradient = 0.5;
/** How much of what a window says is believed. */
const smoothing = 0.2;
/** How much of a window's latency the usual one takes on, while the limit holds nobody back. */
const learnShare = 0.1;
/** The limit came down to this part, and latency to no less than that one: it is not the number of calls that makes them slow. */
const probedPart = 0.5;
const sameLatency = 0.8;
/** A limit that changes by less than the rest in a window has come to where it belongs. */
const settledPart = 0.995;

/** A limit of concurrency that follows the latency of calls. */
export class GradientLimit {
  #limit = initialLimit;
  /** Latency while calls do not wait for each other; 0 while unknown. */
  #usualMs = 0;
  /** Where the limit began to come down, and the most latency since; 0 while it does not. */
  #peakLimit = 0;
  #peakMs = 0;
  /** Until latency has grown for the first time the limit doubles: nothing is known of it yet. */
  #isSearching = true;
  #windowSinceMs = 0;
  #samples = 0;
  #sumMs = 0;
  #mostRunning = 0;
  #late = 0;
  /** The most that is known to have nothing to do with how many run. */
  #provenMs = 0;
  /** Calls that began before say nothing of the limit that is. */
  #countsSinceMs: number = Number.NEGATIVE_INFINITY;

  /** Calls at a time, a whole number. */
  get current(): number {
    return Math.floor(this.#limit);
  }

  /** A call went to its end: it took `tookMs`, and `running` were under way with it. `isLate`: its deadline had passed by then. */
  sample(tookMs: number, running: number, nowMs: number, isLate = false): void {
    if (nowMs - tookMs < this.#countsSinceMs) return;
    if (this.#samples === 0) this.#windowSinceMs = nowMs - tookMs;
    this.#samples++;
    this.#sumMs += tookMs;
    if (running > this.#mostRunning) this.#mostRunning = running;
    if (isLate) this.#late++;
    if (this.#samples < minSamples || nowMs - this.#windowSinceMs < windowMs) return;
    const isInVain = this.#late > this.#samples / 2;
    const isTooMany = this.#update(Math.max(this.#sumMs / this.#samples, 1e-6), this.#mostRunning, isInVain);
    if (isTooMany) this.#countsSinceMs = nowMs;
    this.#samples = 0;
    this.#late = 0;
    this.#sumMs = 0;
    this.#mostRunning = 0;
  }

  /** Whether the limit was cut, as most calls were late. */
  #update(latencyMs: number, running: number, isInVain: boolean): boolean {
    // Who does not reach half of the limit says nothing of what lies beyond it, but much of how long a call takes.
    const isHeldBack = running >= this.#limit / 2;
    if (this.#usualMs === 0 || latencyMs < this.#usualMs) this.#usualMs = latencyMs;
    else if (!isHeldBack) this.#usualMs += (latencyMs - this.#usualMs) * learnShare;
    // Most have worked for nobody: fewer must do, unless it was found that fewer are no faster.
    const isTooMany = isInVain && isHeldBack && latencyMs > tolerance * this.#provenMs;
    const growth = isTooMany ? minGradient : (tolerance * this.#usualMs) / latencyMs;
    const gradient = Math.max(minGradient, Math.min(1, growth));
    if (gradient < 1) this.#isSearching = false;
    else if (!isHeldBack) return false;
    const target = this.#isSearching ? 2 * this.#limit : this.#limit * gradient + Math.sqrt(this.#limit);
    const step = this.#isSearching || isTooMany ? 1 : smoothing;
    const next = Math.min(maxLimit, Math.max(minLimit, this.#limit + step * (target - this.#limit)));
    if (next < this.#limit * settledPart) this.#onLess(next, latencyMs);
    else this.#peakLimit = 0;
    this.#limit = next;
    return isTooMany;
  }

  /** The limit comes down to `next`, as calls take this long. */
  #onLess(next: number, latencyMs: number): void {
    if (this.#peakLimit === 0) {
      this.#peakLimit = this.#limit;
      this.#peakMs = latencyMs;
      return;
    }
    // It goes on growing for a while, as calls end that began before.
    this.#peakMs = Math.max(this.#peakMs, latencyMs);
    if (next > this.#peakLimit * probedPart) return;
    if (latencyMs >= this.#peakMs * sameLatency) {
      this.#usualMs = latencyMs;
      this.#provenMs = latencyMs;
    }
    this.#peakLimit = 0;
  }
}
