// Streams that we reset not long ago: what the peer sent before it knew is no offence. RFC 9113, section 5.1. Holds nothing until
// the first reset.

import { growRing } from "./stream-table.ts";

/** Longer than any way there and back. */
const lateMs = 10_000;
const initialSlots = 64;
const maxSlots = 16_384;

/** A stream that we reset. */
export interface RecentReset {
  readonly id: number;
  readonly atMs: number;
  /** Data that its window still allowed. */
  windowLeft: number;
  /** Header blocks that may come late: informational, final and trailers. */
  blocksLeft: number;
}

export class RecentResets {
  #ring: (RecentReset | undefined)[] = [];
  /** The highest id that had to be forgotten before its time, and when it was reset. */
  #forgottenId = 0;
  #forgottenMs = 0;

  add(id: number, windowLeft: number, nowMs: number): void {
    if (this.#ring.length === 0) this.#ring = new Array(initialSlots).fill(undefined);
    for (;;) {
      const slot = (id >>> 1) & (this.#ring.length - 1);
      const occupant = this.#ring[slot];
      if (occupant === undefined || occupant.id === id || nowMs - occupant.atMs >= lateMs) {
        this.#ring[slot] = { id, atMs: nowMs, windowLeft, blocksLeft: 3 };
        return;
      }
      if (this.#ring.length < maxSlots) {
        this.#ring = growRing(this.#ring);
        continue;
      }
      this.#forgottenId = Math.max(this.#forgottenId, occupant.id);
      this.#forgottenMs = occupant.atMs;
      this.#ring[slot] = undefined;
    }
  }

  /** The reset of a stream, while frames may still be late. */
  find(id: number, nowMs: number): RecentReset | undefined {
    const found = this.#ring[(id >>> 1) & (this.#ring.length - 1)];
    return found !== undefined && found.id === id && nowMs - found.atMs < lateMs ? found : undefined;
  }

  /** Whether there were so many that a stream may be among them though it is not found. */
  mayHaveForgotten(id: number, nowMs: number): boolean {
    return id <= this.#forgottenId && nowMs - this.#forgottenMs < lateMs;
  }
}
