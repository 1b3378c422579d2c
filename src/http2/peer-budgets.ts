// What a peer may do that costs it little and us something: how much at once, how much for ever, and what it earns by use. Whoever
// spends more is closed with ENHANCE_YOUR_CALM. RFC 9113, section 10.5. Knows no frames' contents.

import { Budget } from "./budget.ts";
import { ConnectionError } from "./connection-error.ts";
import { ErrorCode } from "./error-code.ts";

/** DATA shorter than this carries no gRPC message, which has five bytes at least. */
export const tinyDataBytes = 5;

/** A DATA frame of ours that a window has cut shorter than this earns its peer nothing. */
export const worthyDataBytes = 256;

/** A stream that lived so long was of use before it was reset. */
const youngMs = 1000;

/**
 * Sizes are bursts; rates are for ever. An honest peer's chatter goes with its traffic: window updates and the PINGs by which grpc-go
 * measures the way, one or two a frame, are earned by that frame.
 */
export class PeerBudgets {
  /** The time of what is being read: set once for each piece that comes. */
  nowMs: number;
  readonly #chatter: Budget;
  readonly #settings: Budget;
  readonly #resets: Budget;
  readonly #offences: Budget;
  readonly #refusals: Budget;
  readonly #oversize: Budget;

  constructor(maxConcurrentStreams: number, nowMs: number) {
    this.nowMs = nowMs;
    const streams = Math.min(Math.max(maxConcurrentStreams, 1000), 16_384);
    this.#chatter = new Budget(2000, 500, nowMs);
    this.#settings = new Budget(100, 10, nowMs);
    this.#resets = new Budget(streams, 200, nowMs);
    this.#offences = new Budget(200, 50, nowMs);
    // A client that has not heard of the limit yet may open many more than it.
    this.#refusals = new Budget(2 * streams, 200, nowMs);
    this.#oversize = new Budget(50, 10, nowMs);
  }

  /** A frame that carries nothing: CVE-2019-9511, -9512, -9516, -9518. */
  chatter(what: string): void {
    if (!this.#chatter.spend(this.nowMs)) throw tooMany(what);
  }

  /** SETTINGS: may move every stream's window. CVE-2019-9515. */
  settings(): void {
    if (!this.#settings.spend(this.nowMs)) throw tooMany("SETTINGS frames");
  }

  /** A stream that the peer opened, and reset before it was answered: CVE-2023-44487. */
  resetByPeer(openedMs: number): void {
    if (this.nowMs - openedMs >= youngMs) return;
    if (!this.#resets.spend(this.nowMs)) throw tooMany("streams that were reset");
  }

  /** A stream that the peer's offence makes us reset: CVE-2019-9514, CVE-2025-8671. */
  offence(what: string): void {
    if (!this.#offences.spend(this.nowMs)) throw tooMany(`streams that had to be reset: ${what}`);
  }

  /** A stream beyond what we allow, whose headers take `headerBytes`: large ones cost more. */
  refusal(headerBytes: number): void {
    if (!this.#refusals.spend(this.nowMs, 1 + headerBytes / 2048)) throw tooMany("streams above the limit");
  }

  /** A header list beyond what we allow. */
  oversize(): void {
    if (!this.#oversize.spend(this.nowMs)) throw tooMany("header lists above the limit");
  }

  /** A stream came, and with it what peers say once a stream. */
  earnByStream(): void {
    this.#chatter.earn(3);
  }

  /** A stream ended as it should. */
  earnByEnd(): void {
    this.#resets.earn(1);
  }

  /** Data came that was of some size. */
  earnByData(): void {
    this.#chatter.earn(1);
  }

  /** Data went out: two windows may be opened for it, and a PING come. */
  earnBySending(): void {
    this.#chatter.earn(3);
  }
}

function tooMany(what: string): ConnectionError {
  return new ConnectionError(ErrorCode.enhanceYourCalm, `too many ${what}`);
}
