// One direction of a connection that goes through the fault proxy: what is read at one end is held, slowed, lost or passed on to
// the other. Knows nothing of what the bytes mean, and opens nothing.

import type { Socket } from "node:net";
import type { Clock } from "../../core/clock.ts";
import type { Random } from "../../core/random.ts";
import type { ResolvedLinkFaults } from "./link-faults.ts";

/** What a link does to the connection that it is a half of. */
export interface LinkHost {
  readonly clock: Clock;
  readonly random: Random;
  /** Bytes that arrived at the other end's socket. */
  onPassed(bytes: number): void;
  /** Bytes that were thrown away. */
  onDropped(bytes: number): void;
  /** The connection is to be reset, both ways, now. */
  onReset(): void;
  /** The connection is to be ended, both ways: all that may pass has passed. */
  onTruncated(): void;
}

/** What waits: bytes, or how the sender's side ended. */
interface Held {
  readonly dueMs: number;
  readonly what: Uint8Array | "end" | "reset" | "truncate";
}

/** Beyond this the sender waits, so that a slow link holds little. */
const maxHeldBytes = 256 * 1024;
/** Pieces of a slowed link: twenty a second. */
const piecesPerSecond = 20;

/** One direction. `apply` first, then `start`. */
export class Link {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #host: LinkHost;
  #faults: ResolvedLinkFaults;
  #held: Held[] = [];
  #heldBytes = 0;
  /** Where the last piece that was read arrives: none overtakes it. */
  #lastDueMs = 0;
  #leftBytes: number;
  #cancelTimer: (() => void) | undefined;
  /** The receiver's socket takes no more for now. */
  #isBlocked = false;
  /** The sender has ended its side. */
  hasEnded = false;
  /** Something was thrown away. */
  hasLost = false;

  constructor(from: Socket, to: Socket, faults: ResolvedLinkFaults, host: LinkHost) {
    this.#from = from;
    this.#to = to;
    this.#host = host;
    this.#faults = faults;
    this.#leftBytes = faults.truncateAfterBytes;
  }

  start(): void {
    this.#from.on("data", (bytes: Uint8Array) => this.#onBytes(bytes));
    this.#from.once("end", () => {
      this.hasEnded = true;
      this.#hold("end");
    });
    this.#to.on("drain", () => {
      this.#isBlocked = false;
      this.#pass();
    });
    this.#read();
  }

  /** The sender's socket is gone, and the receiver's side is still open. */
  onSenderGone(): void {
    this.#hold("reset");
  }

  /** From now on; what is held keeps the delay that it was given. */
  apply(faults: ResolvedLinkFaults): void {
    this.#faults = faults;
    this.#leftBytes = faults.truncateAfterBytes;
    if (faults.truncateAfterBytes === 0) this.#host.onTruncated();
    this.#pass();
  }

  /** Holds and passes nothing any more. */
  stop(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#held = [];
    this.#heldBytes = 0;
  }

  #onBytes(bytes: Uint8Array): void {
    const { dropped, resetShare } = this.#faults;
    if (dropped) {
      this.hasLost = true;
      this.#host.onDropped(bytes.length);
    } else if (resetShare > 0 && this.#host.random() < resetShare) {
      this.#host.onDropped(bytes.length);
      this.#host.onReset();
    } else {
      const part = bytes.length > this.#leftBytes ? bytes.subarray(0, this.#leftBytes) : bytes;
      this.#leftBytes -= part.length;
      this.#hold(part);
      if (this.#leftBytes === 0) this.#hold("truncate");
    }
  }

  #hold(what: Held["what"]): void {
    const { clock, random } = this.#host;
    const { latencyMs, jitterMs, bytesPerSecond, dropped } = this.#faults;
    if (dropped) {
      this.hasLost = true;
      return;
    }
    const nowMs = clock.now();
    const readyMs = nowMs + latencyMs + (jitterMs === 0 ? 0 : jitterMs * random());
    if (typeof what === "string" || bytesPerSecond === Number.POSITIVE_INFINITY) {
      this.#lastDueMs = Math.max(readyMs, this.#lastDueMs);
      this.#held.push({ what, dueMs: this.#lastDueMs });
    } else {
      const pieceBytes = Math.max(1, Math.ceil(bytesPerSecond / piecesPerSecond));
      for (let start = 0; start < what.length; start += pieceBytes) {
        const piece = what.subarray(start, start + pieceBytes);
        this.#lastDueMs = Math.max(readyMs, this.#lastDueMs) + (piece.length * 1000) / bytesPerSecond;
        this.#held.push({ what: piece, dueMs: this.#lastDueMs });
      }
    }
    if (typeof what !== "string") this.#heldBytes += what.length;
    this.#pass();
  }

  /** Passes on what is due, and looks again when the next is. */
  #pass(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const { clock } = this.#host;
    const nowMs = clock.now();
    let passed = 0;
    for (const { what, dueMs } of this.#held) {
      if (this.#faults.stalled || this.#isBlocked || dueMs > nowMs) break;
      passed++;
      this.#passOne(what);
      // Whoever was told of an end has stopped this link.
      if (this.#held.length === 0) return;
    }
    if (passed > 0) this.#held.splice(0, passed);
    const [next] = this.#held;
    if (next !== undefined && !this.#faults.stalled && !this.#isBlocked) {
      this.#cancelTimer = clock.schedule(next.dueMs - nowMs, () => this.#pass());
    }
    this.#read();
  }

  #passOne(what: Held["what"]): void {
    if (what === "end") this.#to.end();
    else if (what === "reset") this.#host.onReset();
    else if (what === "truncate") this.#host.onTruncated();
    else {
      this.#heldBytes -= what.length;
      this.#host.onPassed(what.length);
      if (this.#to.writable) this.#isBlocked = !this.#to.write(what);
    }
  }

  #read(): void {
    const isFull = this.#heldBytes >= maxHeldBytes;
    if (this.#faults.stalled || isFull || (this.#isBlocked && !this.#faults.dropped)) this.#from.pause();
    else this.#from.resume();
  }
}
