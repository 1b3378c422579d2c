// Finds endpoints that are connected and answer badly, and lets them back when a probe says so: gRFC A50, and what fleets of two or three need
// beside it. Says who is left out of the picking; picks nothing. Holds timers only while calls are made or somebody looks bad.
// https://github.com/grpc/proposal/blob/master/A50-xds-outlier-detection.md

import type { PickResult } from "../../balancer/picker.ts";
import { type CallFate, callFate, cutBy } from "../../core/call-fate.ts";
import type { Clock } from "../../core/clock.ts";
import type { Logger } from "../../core/logger.ts";
import type { Random } from "../../core/random.ts";
import { callVerdict, wasSilent } from "./call-verdict.ts";
import { CallWatch } from "./call-watch.ts";
import { chooseEjected } from "./eject.ts";
import type { ResolvedOutlierDetection } from "./outlier-options.ts";
import { type Badness, type OutlierFault, Track, type Watched } from "./track.ts";

/** What a detection is made with. */
export interface OutlierDetectionParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Who is left out has changed, or whether there is something to probe. */
  readonly onChange: () => void;
  /** An endpoint is back. */
  readonly onReturn: (watched: Watched) => void;
  /** There were no calls for a while: `wake()` is to be called with the next one. */
  readonly onSleep: () => void;
}

/** Where an endpoint stands that looks bad. */
export interface OutlierStanding {
  readonly fault: OutlierFault;
  readonly sinceMs: number;
  /** No calls go there but probes; false where too many look bad. */
  readonly isEjected: boolean;
}

/** The least time between two PINGs that nobody but us asked for: gRPC's servers count those that come too often (gRFC A8). */
const askAgainMs = 5000;
/**
 * How long a PING to one that is left alone may take, before its connection counts as lost: where it is the way there that is gone, and not the
 * server, TCP would go on for a quarter of an hour. gRPC's keepalive waits as long (gRFC A8).
 */
const lostAfterMs = 20_000;
/** How long probes wait for calls that may be made twice, before any will do. */
const patienceMs = 2000;
/** A slow server is left alone so many times as long: each probe costs a caller the wait that is to be spared. */
const slowFactor = 4;
/** How long a probe is waited for; then the endpoint is back without one. */
const trialMs = 10_000;

export class OutlierDetection {
  readonly #parts: OutlierDetectionParts;
  #options: ResolvedOutlierDetection | undefined;
  readonly #tracks = new Map<Watched, Track>();
  /** Connections whose loss was counted. */
  readonly #lost = new WeakSet<object>();
  /** Those that look bad, in the order in which they were found. */
  #bad: readonly Track[] = [];
  #isPanic = false;
  #hasProbes = false;
  /** Somebody was left out, or is no longer, since `onChange` was called. */
  #hasChanged = false;
  readonly #watch: CallWatch;

  constructor(options: ResolvedOutlierDetection | undefined, parts: OutlierDetectionParts) {
    this.#options = options;
    this.#parts = parts;
    this.#watch = new CallWatch({
      ...parts,
      tracks: () => this.#tracks.values(),
      options: () => this.#options,
      onFound: (track, fault, limitMs) => this.#find(track, fault, limitMs),
      onStalled: (track) => this.#suspect(track),
    });
  }

  /** Other options, from now on; undefined: nobody is left out any more. */
  configure(options: ResolvedOutlierDetection | undefined): void {
    this.#options = options;
    if (options !== undefined) return;
    for (const track of this.#bad) this.#clear(track);
    this.#watch.stop();
    this.#decide();
  }

  add(watched: Watched): void {
    this.#tracks.set(watched, new Track(watched));
  }

  remove(watched: Watched): void {
    const track = this.#tracks.get(watched);
    if (track === undefined) return;
    this.#tracks.delete(watched);
    this.#clear(track);
    track.stop();
    this.#decide();
  }

  /** The connection came about, or was lost. */
  onState(watched: Watched): void {
    const track = this.#tracks.get(watched);
    if (track === undefined) return;
    track.isAsked = false;
    track.cancelAsk?.();
    if (track.isReady) {
      track.isLossCounted = false;
      track.hasAnswered();
      track.latency.restart(watched.counts.unaryEnded);
      // Whoever has just said that it speaks HTTP/2 is there.
      const { bad } = track;
      if (bad !== undefined && (bad.fault === "silence" || bad.phase === "asking")) this.#mayProbe(track, bad);
    }
    this.#decide();
  }

  isEjected(watched: Watched): boolean {
    return this.#tracks.get(watched)?.isEjected ?? false;
  }

  /** What there is to say of an endpoint; undefined where all is well. */
  standing(watched: Watched): OutlierStanding | undefined {
    const track = this.#tracks.get(watched);
    if (track?.bad === undefined) return undefined;
    return { fault: track.bad.fault, sinceMs: track.bad.sinceMs, isEjected: track.isEjected };
  }

  close(): void {
    this.#watch.stop();
    for (const track of this.#tracks.values()) track.stop();
    this.#tracks.clear();
    this.#bad = [];
  }

  // Failures.

  /** An attempt at a call failed there. */
  onCallFailed(watched: Watched, error: unknown, fate: CallFate): void {
    const track = this.#tracks.get(watched);
    const options = this.#options;
    if (track === undefined || options === undefined) return;
    if (fate === "answered") track.hasAnswered();
    const verdict = callVerdict(error, fate);
    if (verdict === "fine") track.answer();
    if (verdict !== "fault") return;
    const isSilence = wasSilent(error, fate);
    // A connection that is lost takes all its calls along, and the next one is another matter.
    const lost = cutBy(error);
    if (lost !== undefined) {
      if (this.#lost.has(lost)) return;
      this.#lost.add(lost);
    } else if (fate !== "answered" && !isSilence && !track.isReady) {
      // Not every connector names it.
      if (track.isLossCounted) return;
      track.isLossCounted = true;
    }
    track.fail();
    if (track.bad !== undefined) return;
    if (track.run >= options.consecutiveFailures) this.#find(track, "failures");
    else if (isSilence) this.#suspect(track);
  }

  /** Asks a server that should have answered by now whether it is there. Not where there is nobody else to call. */
  #suspect(track: Track): void {
    const { clock } = this.#parts;
    const pingTimeoutMs = this.#options?.pingTimeoutMs ?? Number.POSITIVE_INFINITY;
    if (track.isAsked || track.bad !== undefined || !track.isReady || !Number.isFinite(pingTimeoutMs)) return;
    if (this.#connected() < 2 || clock.now() - track.askedAtMs < askAgainMs) return;
    if (!this.#ask(track)) return;
    this.#awaitAnswer(track, pingTimeoutMs, () => {
      if (track.bad === undefined) this.#find(track, "silence");
    });
  }

  /**
   * Where the PING that is under way has no answer in time. In two steps, so that what has come by then is read before the second, and none of
   * it while we ourselves stand still.
   */
  #awaitAnswer(track: Track, timeoutMs: number, onSilence: () => void): void {
    const { clock } = this.#parts;
    const wait = (stepsLeft: number) => {
      const dueMs = clock.now() + timeoutMs / 2;
      track.cancelAsk = clock.schedule(timeoutMs / 2, () => {
        if (!track.isAsked) return;
        const wasLate = clock.now() - dueMs > timeoutMs / 2;
        if (wasLate) wait(2);
        else if (stepsLeft > 1) wait(stepsLeft - 1);
        else onSilence();
      });
    };
    track.cancelAsk?.();
    wait(2);
  }

  /** Sends a PING, if none is under way; false where that cannot be done, or would be one too many. */
  #ask(track: Track): boolean {
    if (track.isAsked) return true;
    if (!track.takeAsk(this.#parts.clock.now())) return false;
    track.isAsked = true;
    const isSent = track.watched.ping(() => {
      if (!track.isAsked) return;
      track.isAsked = false;
      track.cancelAsk?.();
      const { bad } = track;
      if (bad === undefined || bad.phase === "probing") return;
      if (this.#parts.clock.now() - track.askedAtMs > bad.limitMs) this.#leaveAlone(track);
      else if (bad.fault === "silence" || bad.phase === "asking") this.#mayProbe(track, bad);
    });
    if (!isSent) track.isAsked = false;
    return isSent;
  }

  // Those that look bad.

  #find(track: Track, fault: OutlierFault, limitMs: number = Number.POSITIVE_INFINITY): void {
    const options = this.#options;
    if (options === undefined || track.bad !== undefined) return;
    const nowMs = this.#parts.clock.now();
    // A50: the multiplier falls by one for each interval in good standing.
    const goodIntervals = Math.floor((nowMs - track.returnedAtMs) / options.intervalMs);
    track.times = Math.max(0, track.times - goodIntervals);
    track.bad = {
      fault,
      sinceMs: nowMs,
      phase: "out",
      probingSinceMs: 0,
      limitMs,
      hasFailedAgain: false,
    };
    this.#bad = [...this.#bad, track];
    this.#leaveAlone(track);
    this.#decide();
  }

  /** For a while that grows from one time to the next. */
  #leaveAlone(track: Track): void {
    const { bad } = track;
    const options = this.#options;
    if (bad === undefined || options === undefined) return;
    const baseMs = options.baseEjectionMs * (bad.fault === "latency" ? slowFactor : 1);
    const aloneMs = Math.min(baseMs * 2 ** Math.min(track.times, 20), options.maxEjectionMs);
    track.times++;
    bad.phase = "out";
    track.hasSucceeded();
    track.cancelTimer?.();
    track.cancelTimer = this.#parts.clock.schedule(aloneMs, () => this.#lookAgain(track, bad));
  }

  #lookAgain(track: Track, bad: Badness): void {
    track.cancelTimer = undefined;
    if (!track.isEjected && track.isReady) {
      // Too many look bad, and it was called on: well again, unless it failed again and nothing else.
      const isStillBad = bad.hasFailedAgain && !track.hasSucceeded();
      bad.hasFailedAgain = false;
      if (isStillBad) this.#leaveAlone(track);
      else this.#return(track);
      return;
    }
    bad.phase = "asking";
    // No user's call is spent on a server that does not even answer a PING, or answers one too late: the answer goes on, or the next connection.
    if (!track.isReady) return;
    if (!this.#ask(track)) {
      this.#mayProbe(track, bad);
      return;
    }
    this.#awaitAnswer(track, lostAfterMs, () => {
      if (track.bad === bad) track.watched.renew(lostAfterMs);
    });
  }

  /** It is there: whether it works, a call must show. */
  #mayProbe(track: Track, bad: Badness): void {
    bad.phase = "probing";
    bad.probingSinceMs = this.#parts.clock.now();
    track.isProbed = false;
    track.cancelTimer?.();
    track.cancelTimer = this.#parts.clock.schedule(trialMs, () => {
      // A probe that is under way gets as long again.
      if (!track.isProbed) this.#return(track);
      else track.cancelTimer = this.#parts.clock.schedule(trialMs, () => this.#return(track));
    });
    this.#decide();
  }

  /** Whether `probe` may have something now or soon. */
  get hasProbes(): boolean {
    return this.#hasProbes;
  }

  /** An endpoint to try a call on, one at a time; undefined where there is none. `mayRepeat`: the call can be made again if it fails. */
  probe(mayRepeat: boolean): PickResult | undefined {
    const nowMs = this.#parts.clock.now();
    for (const track of this.#bad) {
      const { bad } = track;
      if (bad?.phase !== "probing" || track.isProbed || !track.isReady || !track.isEjected) continue;
      if (!mayRepeat && nowMs - bad.probingSinceMs < patienceMs) continue;
      track.isProbed = true;
      return {
        endpoint: track.watched.endpoint,
        done: ({ error, latencyMs }) => this.#onProbed(track, bad, error, latencyMs),
      };
    }
    return undefined;
  }

  #onProbed(track: Track, bad: Badness, error: unknown, latencyMs: number): void {
    track.isProbed = false;
    if (track.bad !== bad || bad.phase !== "probing") return;
    const verdict = error === undefined ? "fine" : callVerdict(error, callFate(error));
    if (verdict === "nothing") return;
    if (verdict === "fine" && latencyMs <= bad.limitMs) {
      this.#return(track);
      return;
    }
    this.#parts.logger.debug("a probe failed", { endpoint: track.watched.endpoint.url, latencyMs, error });
    this.#leaveAlone(track);
    this.#decide();
  }

  #return(track: Track): void {
    const wasEjected = track.isEjected;
    this.#clear(track);
    track.returnedAtMs = this.#parts.clock.now();
    if (wasEjected) {
      const { url, id } = track.watched.endpoint;
      this.#parts.logger.info("endpoint is back", { endpoint: url, id });
      this.#parts.onReturn(track.watched);
    }
    this.#decide();
  }

  /** Nothing is held against it any more. */
  #clear(track: Track): void {
    if (track.bad === undefined) return;
    if (track.isEjected) this.#hasChanged = true;
    track.bad = undefined;
    track.run = 0;
    track.isEjected = false;
    track.cancelTimer?.();
    track.cancelTimer = undefined;
    track.latency.restart(track.watched.counts.unaryEnded);
    this.#bad = this.#bad.filter((other) => other !== track);
  }

  #connected(): number {
    let count = 0;
    for (const track of this.#tracks.values()) if (track.isReady) count++;
    return count;
  }

  /** Brings in line who is left out. */
  #decide(): void {
    // Nothing is held against anybody, mostly: thousands of connections may come one after another.
    if (this.#bad.length === 0 && !this.#hasChanged && !this.#hasProbes && !this.#isPanic) return;
    const options = this.#options;
    const bad = this.#bad.filter((track) => track.isReady);
    const { ejected, isPanic } = chooseEjected(this.#connected(), bad, options?.maxEjectionPercent ?? 0);
    const { logger } = this.#parts;
    for (const track of this.#bad) {
      const wasEjected = track.isEjected;
      // Without a connection nothing is picked there anyhow.
      track.isEjected = ejected.has(track) || (!track.isReady && wasEjected);
      if (wasEjected !== track.isEjected) this.#hasChanged = true;
      if (wasEjected || !track.isEjected) continue;
      const { url, id } = track.watched.endpoint;
      logger.warn("endpoint ejected", { endpoint: url, id, fault: track.bad?.fault, failures: track.run });
    }
    if (isPanic && !this.#isPanic) {
      logger.warn("most endpoints look bad: all are called", { bad: bad.map(({ watched }) => watched.endpoint.id) });
    }
    this.#isPanic = isPanic;
    const hadProbes = this.#hasProbes;
    this.#hasProbes = this.#bad.some((track) => track.isEjected && track.bad?.phase === "probing");
    const hasChanged = this.#hasChanged || hadProbes !== this.#hasProbes;
    this.#hasChanged = false;
    if (hasChanged) this.#parts.onChange();
  }

  // Looking at calls under way.

  /** Whether `wake()` is wanted with the next call: there is somebody to compare with, and nobody looks. */
  get isAsleep(): boolean {
    return this.#watch.isAsleep && this.#options !== undefined && this.#connected() > 1;
  }

  /** Calls are made: looks at them until there are none. */
  wake(): void {
    if (this.isAsleep) this.#watch.wake();
  }
}
