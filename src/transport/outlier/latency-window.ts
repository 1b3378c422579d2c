// The mean latency of an endpoint's calls over the last seconds, without a look at any of them: by Little's law, the calls under way, on average,
// are the calls that end in a second times the seconds that one takes. Knows no clock; who has one says when an interval is over.

/** Intervals that the window holds. */
const intervals = 4;

/** The least number of calls that say something. */
const minCalls = 5;

export class LatencyWindow {
  readonly #intervalMs: number;
  /** One entry an interval, the newest last: calls under way on average, and calls that ended. */
  #past: { readonly active: number; readonly ended: number }[] = [];
  #activeSum = 0;
  #samples = 0;
  #endedBefore: number;

  /** `ended` is the count of calls that have ended so far. */
  constructor(intervalMs: number, ended: number) {
    this.#intervalMs = intervalMs;
    this.#endedBefore = ended;
  }

  /** Notes the calls under way; a few times an interval, evenly. */
  sample(active: number): void {
    this.#activeSum += active;
    this.#samples++;
  }

  /** An interval is over. */
  close(ended: number): void {
    this.#past.push({
      active: this.#samples === 0 ? 0 : this.#activeSum / this.#samples,
      ended: Math.max(0, ended - this.#endedBefore),
    });
    if (this.#past.length > intervals) this.#past.shift();
    this.#activeSum = 0;
    this.#samples = 0;
    this.#endedBefore = ended;
  }

  /** What was before does not count any more. */
  restart(ended: number): void {
    this.#past = [];
    this.#activeSum = 0;
    this.#samples = 0;
    this.#endedBefore = ended;
  }

  /** Mean latency over the window in milliseconds; undefined where too few calls have ended. */
  get meanMs(): number | undefined {
    let active = 0;
    let ended = 0;
    for (const interval of this.#past) {
      active += interval.active;
      ended += interval.ended;
    }
    return ended < minCalls ? undefined : (active * this.#intervalMs) / ended;
  }

  /** Whether at least `count` intervals, the newest ones in which calls ended, were each slower than `limitMs`: a pause that is over is none. */
  isSlowerThan(limitMs: number, count: number): boolean {
    let seen = 0;
    for (const { active, ended } of this.#past.toReversed()) {
      if (ended === 0) continue;
      if ((active * this.#intervalMs) / ended <= limitMs) return false;
      if (++seen === count) return true;
    }
    return false;
  }
}
