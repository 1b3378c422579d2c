// What is known of one endpoint that is watched: its failures in a row, its latencies, and where it stands. Decides nothing.

import type { Endpoint } from "../../core/endpoint.ts";
import { isLictorMeta } from "../../core/lictor-meta.ts";
import type { CallCounts } from "../connector.ts";
import { LatencyWindow } from "./latency-window.ts";

/** An endpoint with its connection, as it is watched. */
export interface Watched {
  readonly endpoint: Endpoint;
  readonly state: string;
  readonly counts: CallCounts;
  /** Sends a PING; false where that cannot be done. */
  ping(onAnswer: () => void): boolean;
  /** Closes the connection, which has not answered a PING for so many milliseconds, and opens another. */
  renew(silentMs: number): void;
}

/** Why an endpoint looks bad. `silence`: it does not answer a PING. */
export type OutlierFault = "failures" | "silence" | "latency" | "success rate" | "failure percentage";

/** How long an interval of latencies is, in milliseconds. */
export const latencyIntervalMs = 1000;

/**
 * PINGs that are sent to a server of somebody else's between two answers of it. gRPC's servers take the first for granted and count the
 * next ones, and end the connection with the third of these and all its calls (gRFC A8); one is left to whoever else sends some.
 */
const maxStrangerAsks = 2;
/** PINGs so far apart are none too many. */
const strangerAskMs = 300_000;

/** An endpoint that looks bad, and how far it is on its way back. */
export interface Badness {
  readonly fault: OutlierFault;
  readonly sinceMs: number;
  /** `out`: left alone. `asking`: it was sent a PING. `probing`: a call of the user's may be tried. */
  phase: "out" | "asking" | "probing";
  /** When a call may be tried first. */
  probingSinceMs: number;
  /** Calls that take longer are no proof that it is well. */
  readonly limitMs: number;
  /** A call failed on it since it was last looked at. */
  hasFailedAgain: boolean;
}

export class Track {
  readonly watched: Watched;
  /** Failures since the last success. */
  run = 0;
  #okSeen: number;
  /** Only the first call that a lost connection takes with it counts. */
  isLossCounted = false;
  bad: Badness | undefined;
  /** No calls go there. */
  isEjected = false;
  /** How often it was found lately. */
  times = 0;
  returnedAtMs = 0;
  cancelTimer: (() => void) | undefined;
  // Calls since the interval of the success rates began.
  failed = 0;
  fine = 0;
  #okBefore: number;
  readonly latency: LatencyWindow;
  // PINGs.
  isAsked = false;
  askedAtMs: number = Number.NEGATIVE_INFINITY;
  #asks = 0;
  #okAsked = -1;
  cancelAsk: (() => void) | undefined;
  /** Looks in a row at which calls were under way and none had ended. */
  stalledLooks = 0;
  #endedSeen = -1;
  /** A call of the user's is under way to find out. */
  isProbed = false;

  constructor(watched: Watched) {
    this.watched = watched;
    const { ok, unaryEnded } = watched.counts;
    this.#okSeen = ok;
    this.#okBefore = ok;
    this.latency = new LatencyWindow(latencyIntervalMs, unaryEnded);
  }

  get isReady(): boolean {
    return this.watched.state === "ready";
  }

  /** Notes that a PING is sent; false where it must not be. */
  takeAsk(nowMs: number): boolean {
    const { endpoint, counts } = this.watched;
    if (counts.ok !== this.#okAsked) this.hasAnswered();
    this.#okAsked = counts.ok;
    const isPatient = isLictorMeta(endpoint.meta) || nowMs - this.askedAtMs >= strangerAskMs;
    if (!isPatient && this.#asks >= maxStrangerAsks) return false;
    this.#asks++;
    this.askedAtMs = nowMs;
    return true;
  }

  /** The server has sent an answer, whatever it says, or is connected anew: it counts PINGs from the start. */
  hasAnswered(): void {
    this.#asks = 0;
  }

  /** A call failed, and the server is to blame. */
  fail(): void {
    if (this.hasSucceeded()) this.run = 0;
    this.run++;
    this.failed++;
    if (this.bad !== undefined) this.bad.hasFailedAgain = true;
  }

  /** A call was answered as a working server does. */
  answer(): void {
    this.run = 0;
    this.fine++;
  }

  /** Whether a call has ended with ok since this was last asked. */
  hasSucceeded(): boolean {
    const { ok } = this.watched.counts;
    const has = ok !== this.#okSeen;
    this.#okSeen = ok;
    return has;
  }

  /** The calls of the interval, which is over now. */
  takeInterval(): { readonly track: Track; readonly ok: number; readonly failed: number } {
    const { ok } = this.watched.counts;
    const calls = { track: this, ok: ok - this.#okBefore + this.fine, failed: this.failed };
    this.#okBefore = ok;
    this.fine = 0;
    this.failed = 0;
    return calls;
  }

  /** Looks at the calls under way, a few times a second. */
  look({ unaryActive, unaryEnded }: CallCounts): void {
    this.latency.sample(unaryActive);
    this.stalledLooks = unaryActive > 0 && unaryEnded === this.#endedSeen ? this.stalledLooks + 1 : 0;
    this.#endedSeen = unaryEnded;
  }

  stop(): void {
    this.cancelTimer?.();
    this.cancelAsk?.();
    this.cancelTimer = undefined;
    this.cancelAsk = undefined;
  }
}
