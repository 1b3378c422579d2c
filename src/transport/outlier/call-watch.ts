// Looks at the calls of a fleet while there are any: which endpoints are slow, which fail more than others, and where calls stand still. Holds one
// timer, and none while it sleeps. Judges; ejects nothing and asks nobody.

import type { Clock } from "../../core/clock.ts";
import type { Random } from "../../core/random.ts";
import { byFailurePercentage, bySuccessRate } from "./interval-algorithms.ts";
import type { ResolvedOutlierDetection } from "./outlier-options.ts";
import { latencyIntervalMs, type OutlierFault, type Track } from "./track.ts";

/** What a watch is made with, and whom it tells. */
export interface CallWatchParts {
  readonly clock: Clock;
  readonly random: Random;
  /** Those that are watched, connected or not. */
  readonly tracks: () => Iterable<Track>;
  readonly options: () => ResolvedOutlierDetection | undefined;
  /** An endpoint looks bad. Calls that take longer than `limitMs` are no proof that it is well again. */
  readonly onFound: (track: Track, fault: OutlierFault, limitMs: number) => void;
  /** Calls have stood still there for half a second. */
  readonly onStalled: (track: Track) => void;
  /** There were no calls for a while, and nobody looks any more. */
  readonly onSleep: () => void;
}

/** How often calls under way are looked at. */
const lookMs = 100;
/** Looks without a call's end, with calls under way, after which they stand still. */
const stalledLooks = 5;
/** Intervals in a row in which calls must have been slow. */
const slowIntervals = 3;
/** Looks without any call after which it sleeps. */
const quietLooks = 20;

export class CallWatch {
  readonly #parts: CallWatchParts;
  #cancelLook: (() => void) | undefined;
  #looks = 0;
  #quiet = 0;
  #endedSum = -1;
  #intervalSinceMs = 0;

  constructor(parts: CallWatchParts) {
    this.#parts = parts;
  }

  get isAsleep(): boolean {
    return this.#cancelLook === undefined;
  }

  /** Calls are made: looks at them until there are none, or nobody is left to compare with. Once, while it sleeps. */
  wake(): void {
    this.#quiet = 0;
    this.#looks = 0;
    this.#intervalSinceMs = this.#parts.clock.now();
    for (const track of this.#parts.tracks()) {
      track.latency.restart(track.watched.counts.unaryEnded);
      track.takeInterval();
    }
    this.#plan();
  }

  stop(): void {
    this.#cancelLook?.();
    this.#cancelLook = undefined;
  }

  #plan(): void {
    this.#cancelLook = this.#parts.clock.schedule(lookMs, () => this.#look());
  }

  #look(): void {
    const { clock, options, tracks, onStalled, onSleep } = this.#parts;
    this.#cancelLook = undefined;
    const isIntervalOver = ++this.#looks % (latencyIntervalMs / lookMs) === 0;
    let active = 0;
    let ended = 0;
    let connected = 0;
    for (const track of tracks()) {
      const { counts } = track.watched;
      active += counts.unaryActive;
      ended += counts.unaryEnded;
      if (track.isReady) connected++;
      track.look(counts);
      if (isIntervalOver) track.latency.close(counts.unaryEnded);
      if (track.stalledLooks === stalledLooks) onStalled(track);
    }
    this.#quiet = active === 0 && ended === this.#endedSum ? this.#quiet + 1 : 0;
    this.#endedSum = ended;
    if (isIntervalOver) this.#judgeLatency();
    if (clock.now() - this.#intervalSinceMs >= (options()?.intervalMs ?? Number.POSITIVE_INFINITY)) {
      this.#intervalSinceMs = clock.now();
      this.#judgeInterval();
    }
    if (options() === undefined || connected < 2) return;
    if (this.#quiet >= quietLooks) onSleep();
    else this.#plan();
  }

  #judgeLatency(): void {
    const latency = this.#parts.options()?.latency;
    if (latency === undefined) return;
    const means: { readonly track: Track; readonly meanMs: number }[] = [];
    for (const track of this.#parts.tracks()) {
      const { meanMs } = track.latency;
      if (track.isReady && track.bad === undefined && meanMs !== undefined) means.push({ track, meanMs });
    }
    means.sort((a, b) => a.meanMs - b.meanMs);
    // Of the others, without it: the lower one of two in the middle.
    const middle = (means.length - 2) >> 1;
    for (const [place, { track, meanMs }] of means.entries()) {
      const medianMs = means[middle < place ? middle : middle + 1]?.meanMs;
      if (medianMs === undefined) continue;
      const limitMs = Math.max(medianMs * latency.factor, medianMs + latency.floorMs);
      if (meanMs > limitMs && track.latency.isSlowerThan(limitMs, slowIntervals)) {
        this.#parts.onFound(track, "latency", limitMs);
      }
    }
  }

  #judgeInterval(): void {
    const { options, random, tracks, onFound } = this.#parts;
    const { successRate, failurePercentage } = options() ?? {};
    const calls = [...tracks()].filter((track) => track.isReady).map((track) => track.takeInterval());
    const found = (fault: OutlierFault, percent: number, outliers: readonly { readonly track: Track }[]) => {
      for (const { track } of outliers) {
        if (random() * 100 < percent) onFound(track, fault, Number.POSITIVE_INFINITY);
      }
    };
    if (successRate !== undefined) {
      found("success rate", successRate.enforcementPercent, bySuccessRate(calls, successRate));
    }
    if (failurePercentage !== undefined) {
      const outliers = byFailurePercentage(calls, failurePercentage);
      found("failure percentage", failurePercentage.enforcementPercent, outliers);
    }
  }
}
