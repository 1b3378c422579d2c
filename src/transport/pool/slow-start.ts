// Endpoints that are new, or back, and get a growing share of the calls: for caches and compilers that are still cold. Envoy's slow start:
// https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/slow_start
// Around any picker; chooses nothing itself. Holds one timer while somebody warms up.

import type { Picker, PickResult } from "../../balancer/picker.ts";
import type { Clock } from "../../core/clock.ts";
import type { Endpoint } from "../../core/endpoint.ts";
import type { Random } from "../../core/random.ts";

/** The least share of its turns that an endpoint gets: Envoy's minimum. */
const minShare = 0.1;

/** How often shares are brought up to date while one warms up. */
const steps = 10;

/** An endpoint that warms up. */
interface Warming {
  readonly sinceMs: number;
  readonly forMs: number;
  /** Of its turns, how many it takes. */
  share: number;
}

export class SlowStart {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #onDone: () => void;
  readonly #warming = new Map<string, Warming>();
  #cancelStep: (() => void) | undefined;

  /** `onDone` is called when an endpoint is warm, and its `wrap`s are no longer needed. */
  constructor(clock: Clock, random: Random, onDone: () => void) {
    this.#clock = clock;
    this.#random = random;
    this.#onDone = onDone;
  }

  /** The share of an endpoint grows from now on, for `forMs` milliseconds. */
  begin(endpointId: string, forMs: number): void {
    if (!(forMs > 0)) return;
    this.#warming.set(endpointId, { sinceMs: this.#clock.now(), forMs, share: minShare });
    this.#plan();
  }

  /** It left. */
  end(endpointId: string): void {
    this.#warming.delete(endpointId);
  }

  close(): void {
    this.#cancelStep?.();
    this.#warming.clear();
  }

  /** The picker itself where nobody of these warms up, or all of them do. */
  wrap(picker: Picker, endpoints: readonly Endpoint[]): Picker {
    if (this.#warming.size === 0) return picker;
    const warming = endpoints.flatMap(({ id }) => (this.#warming.has(id) ? [id] : []));
    if (warming.length === 0 || warming.length === endpoints.length) return picker;
    return { pick: (exclude) => this.#pick(picker, warming, exclude) };
  }

  /** Whoever would be given its turn too early is left out of this pick: one pick, whatever happens, and a second where nobody else is left. */
  #pick(picker: Picker, warming: readonly string[], exclude: ReadonlySet<string> | undefined): PickResult | undefined {
    const chance = this.#random();
    const cold = warming.filter((id) => chance >= (this.#warming.get(id)?.share ?? 1));
    if (cold.length === 0) return picker.pick(exclude);
    return picker.pick(new Set([...(exclude ?? []), ...cold])) ?? picker.pick(exclude);
  }

  #plan(): void {
    this.#cancelStep?.();
    this.#cancelStep = undefined;
    let stepMs = Number.POSITIVE_INFINITY;
    for (const { forMs } of this.#warming.values()) stepMs = Math.min(stepMs, forMs / steps);
    if (stepMs < Number.POSITIVE_INFINITY) this.#cancelStep = this.#clock.schedule(stepMs, () => this.#step());
  }

  #step(): void {
    let isOneDone = false;
    for (const [id, warming] of this.#warming) {
      warming.share = Math.max(minShare, (this.#clock.now() - warming.sinceMs) / warming.forMs);
      if (warming.share < 1) continue;
      this.#warming.delete(id);
      isOneDone = true;
    }
    this.#plan();
    if (isOneDone) this.#onDone();
  }
}
