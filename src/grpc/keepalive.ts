// Finds peers that are gone without a word: a PING after silence, and an end where no answer comes. gRFC A8, either side.
// https://github.com/grpc/proposal/blob/master/A8-client-side-keepalive.md

import type { Clock } from "../core/clock.ts";

/** What a Keepalive must know of the connection. */
export interface KeepaliveConnection {
  /** Changes when anything comes. */
  readonly readProgress: number;
  /** Streams that are open. */
  readonly streamCount: number;
  /** Sends a PING; never throws. */
  ping(onAnswer: () => void): void;
}

/** What a Keepalive is made with; times in milliseconds. */
export interface KeepaliveParts {
  readonly connection: KeepaliveConnection;
  readonly clock: Clock;
  /** Silence of the peer after which it is sent a PING; up to a quarter more. */
  readonly timeMs: number;
  /** How long it may take to answer; with anything at all. */
  readonly timeoutMs: number;
  /** Whether to ask while there are no streams. */
  readonly permitWithoutCalls: boolean;
  /** No answer came. Once; the keepalive has stopped by then. */
  readonly onDead: () => void;
}

/** Looks a few times within `timeMs` whether anything came, as that costs less than to note the time of every frame. */
const looks = 4;

/** And so often for the answer. */
const steps = 2;

/** One connection's keepalive. Holds one timer from `start()` to `stop()`, none while it sleeps. */
export class Keepalive {
  readonly #parts: KeepaliveParts;
  #cancelTimer: (() => void) | undefined;
  #seen = -1;
  #silentLooks = 0;
  #isSleeping = false;
  #isStopped = false;

  constructor(parts: KeepaliveParts) {
    this.#parts = parts;
  }

  /** Whether a PING was ever sent: a peer that then complains of too many means these. */
  hasAsked = false;

  /** Begins. Once. */
  start(): void {
    this.#listen();
  }

  /** A stream was opened: where none was before, the peer is asked at once, as it may be long gone. */
  onStream(): void {
    if (!this.#isSleeping) return;
    this.#isSleeping = false;
    this.#ask();
  }

  /** Ends it; `onDead` is not called any more. Idempotent. */
  stop(): void {
    this.#isStopped = true;
    this.#isSleeping = false;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }

  #schedule(delayMs: number, run: () => void): void {
    this.#cancelTimer?.();
    this.#cancelTimer = this.#parts.clock.schedule(delayMs, run);
  }

  #hasHeard(): boolean {
    const progress = this.#parts.connection.readProgress;
    const heard = progress !== this.#seen;
    this.#seen = progress;
    return heard;
  }

  #listen(): void {
    if (this.#isStopped) return;
    this.#silentLooks = 0;
    this.#hasHeard();
    this.#schedule(this.#parts.timeMs / looks, this.#look);
  }

  readonly #look = (): void => {
    if (this.#hasHeard()) this.#silentLooks = 0;
    else this.#silentLooks++;
    if (this.#silentLooks < looks) {
      this.#schedule(this.#parts.timeMs / looks, this.#look);
    } else if (this.#parts.permitWithoutCalls || this.#parts.connection.streamCount > 0) {
      this.#ask();
    } else {
      this.#isSleeping = true;
      this.#cancelTimer = undefined;
    }
  };

  #ask(): void {
    this.hasAsked = true;
    this.#hasHeard();
    this.#parts.connection.ping(() => this.#listen());
    this.#await(steps);
  }

  /** In two steps, so that what has come by then is read before the second, and none of it while we ourselves stand still: frozen, or asleep. */
  #await(stepsLeft: number): void {
    const { clock, timeoutMs } = this.#parts;
    const stepMs = timeoutMs / steps;
    const dueMs = clock.now() + stepMs;
    this.#schedule(stepMs, () => {
      const wasLate = clock.now() - dueMs > stepMs;
      if (this.#hasHeard()) this.#listen();
      else if (wasLate) this.#await(steps);
      else if (stepsLeft > 1) this.#await(stepsLeft - 1);
      else {
        this.stop();
        this.#parts.onDead();
      }
    });
  }
}
