// What a peer must do in time, and what follows where it does not. One timer a session, and none while nothing is awaited.

import type { Clock } from "../core/clock.ts";
import type { Http2Connection } from "./connection.ts";
import { ErrorCode } from "./error-code.ts";

/**
 * How long a peer may take; milliseconds above 0. Each is noticed up to a quarter of the shortest late. Time in which our own process stood
 * still does not count: what the peer sent meanwhile has not been read.
 */
export interface SessionTimeouts {
  /** Until its SETTINGS come, and until it acknowledges ours (RFC 9113, section 6.5.3). Default 10000. */
  readonly settingsMs: number;
  /** For a frame or a header block that has begun; for DATA, between two pieces of it. Default 10000. */
  readonly frameMs: number;
  /** While its socket takes nothing and something waits. Default 30000. */
  readonly writeStallMs: number;
  /**
   * While a stream has data that waits for its window, until a KiB of it could go: the stream is reset. Where the connection's own window
   * is shut so long, the connection is closed. Default 300000: readers may pause.
   */
  readonly windowStallMs: number;
  /** While more than `maxPendingBytes` waits, until anything of it could go. Default 500. */
  readonly overfullMs: number;
}

export const defaultTimeouts: SessionTimeouts = {
  settingsMs: 10_000,
  frameMs: 10_000,
  writeStallMs: 30_000,
  windowStallMs: 300_000,
  overfullMs: 500,
};

/** A peer that opens its window byte by byte makes no progress. */
const progressBytes = 1024;

/** Completes `timeouts` with the defaults. Throws RangeError for one that is not above 0. */
export function resolveTimeouts(timeouts: Partial<SessionTimeouts> = {}): SessionTimeouts {
  const resolved = { ...defaultTimeouts, ...timeouts };
  for (const [name, value] of Object.entries(resolved)) {
    if (!(value > 0)) throw new RangeError(`Cannot speak HTTP/2 as "${name}" must be > 0: received ${value}`);
  }
  return resolved;
}

/** Since when something has been awaited. */
class Since {
  #mark: number | undefined;
  #atMs = 0;

  /** How long it has been awaited without a change of `mark`; 0 where it is not. */
  note(isAwaited: boolean, mark: number, nowMs: number): number {
    if (!isAwaited) {
      this.#mark = undefined;
      return 0;
    }
    if (this.#mark !== mark) {
      this.#mark = mark;
      this.#atMs = nowMs;
    }
    return nowMs - this.#atMs;
  }
}

export class SessionWatch {
  readonly #connection: Http2Connection;
  readonly #clock: Clock;
  readonly #timeouts: SessionTimeouts;
  readonly #onDeadSocket: () => void;
  readonly #shortestMs: number;
  readonly #settings: Since = new Since();
  readonly #frame: Since = new Since();
  readonly #write: Since = new Since();
  readonly #window: Since = new Since();
  readonly #overfull: Since = new Since();
  #cancelTimer: (() => void) | undefined;
  /** How long the timer waits, when it was set, and the time that was watched so far. */
  #waitMs = 0;
  #armedMs = 0;
  #watchedMs = 0;
  #isUrgent = false;
  #stopped = false;

  /** `onDeadSocket` is told that the socket takes nothing; all else goes to the connection. */
  constructor(connection: Http2Connection, clock: Clock, timeouts: SessionTimeouts, onDeadSocket: () => void) {
    this.#connection = connection;
    this.#clock = clock;
    this.#timeouts = timeouts;
    this.#onDeadSocket = onDeadSocket;
    const { settingsMs, frameMs, writeStallMs, windowStallMs } = timeouts;
    this.#shortestMs = Math.min(settingsMs, frameMs, writeStallMs, windowStallMs);
  }

  /** Something may be awaited: called whenever bytes have come or gone. Cheap where nothing is, or where it is known. */
  look(): void {
    const connection = this.#connection;
    if (this.#cancelTimer !== undefined && (this.#isUrgent || !connection.isOverfull)) return;
    if (this.#stopped || !this.#isAwaiting()) return;
    const watchedMs = this.#watched();
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#noteAndArm(watchedMs);
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }

  #isAwaiting(): boolean {
    const connection = this.#connection;
    return (
      connection.isAmidFrame ||
      connection.pendingBytes > 0 ||
      !connection.isWritable ||
      !connection.isSettled ||
      !connection.isAcknowledged
    );
  }

  #arm(): void {
    this.#isUrgent = this.#connection.isOverfull;
    this.#waitMs = (this.#isUrgent ? Math.min(this.#timeouts.overfullMs, this.#shortestMs) : this.#shortestMs) / 4;
    this.#armedMs = this.#clock.now();
    this.#cancelTimer = this.#clock.schedule(this.#waitMs, () => {
      // Not what the clock says: timers may be a fraction of a millisecond early, and that would cost another round.
      this.#watchedMs += this.#waitMs;
      this.#cancelTimer = undefined;
      this.#noteAndArm(this.#watchedMs);
    });
  }

  #noteAndArm(watchedMs: number): void {
    this.#note(watchedMs);
    if (!this.#stopped && !this.#connection.isOver && this.#isAwaiting()) this.#arm();
  }

  /** Adds what has passed since the timer was set, but no more than it was to wait. */
  #watched(): number {
    if (this.#cancelTimer !== undefined) {
      this.#watchedMs += Math.min(this.#clock.now() - this.#armedMs, this.#waitMs);
    }
    return this.#watchedMs;
  }

  #note(watchedMs: number): void {
    const connection = this.#connection;
    const { settingsMs, frameMs, writeStallMs, windowStallMs, overfullMs } = this.#timeouts;
    const { isSettled, isWritable, sentBytes } = connection;
    if (this.#settings.note(!isSettled || !connection.isAcknowledged, Number(isSettled), watchedMs) >= settingsMs) {
      const what = isSettled ? "does not acknowledge SETTINGS" : "sends no SETTINGS";
      connection.fail(ErrorCode.settingsTimeout, `the peer ${what}`);
      return;
    }
    if (this.#frame.note(connection.isAmidFrame, connection.readProgress, watchedMs) >= frameMs) {
      connection.fail(ErrorCode.enhanceYourCalm, "the peer does not end what it began to send");
      return;
    }
    if (this.#overfull.note(connection.isOverfull, Math.floor(sentBytes / progressBytes), watchedMs) >= overfullMs) {
      connection.fail(ErrorCode.enhanceYourCalm, "the peer takes nothing of all that it asked for");
      return;
    }
    if (this.#write.note(!isWritable, connection.writeProgress, watchedMs) >= writeStallMs) {
      this.#onDeadSocket();
      return;
    }
    const isShut = isWritable && connection.pendingBytes > 0 && connection.sendWindow <= 0;
    if (this.#window.note(isShut, Math.floor(sentBytes / progressBytes), watchedMs) >= windowStallMs) {
      connection.fail(ErrorCode.enhanceYourCalm, "the peer keeps the connection's window shut");
    } else if (connection.pendingBytes > 0) {
      this.#noteStreams(isWritable && connection.sendWindow > 0, watchedMs);
    }
  }

  /** Streams wait for their own windows only while the socket and the connection's window are open. */
  #noteStreams(isOwnWindow: boolean, watchedMs: number): void {
    for (const stream of this.#connection.streams()) {
      if (stream.firstPending === undefined) {
        stream.stallSinceMs = 0;
        continue;
      }
      if (stream.stallSinceMs === 0 || !isOwnWindow || stream.sentBytes - stream.stallMark >= progressBytes) {
        stream.stallMark = stream.sentBytes;
        // 0 says that nothing waits.
        stream.stallSinceMs = Math.max(watchedMs, Number.MIN_VALUE);
      } else if (watchedMs - stream.stallSinceMs >= this.#timeouts.windowStallMs) {
        this.#connection.failStream(stream, ErrorCode.enhanceYourCalm);
      }
    }
  }
}
