// How many connections a port takes, in all and from one address. Refuses nothing itself.

import type { Socket } from "node:net";

/** Counts the sockets it admitted, until they close. */
export class ConnectionLimit {
  readonly #max: number;
  readonly #maxPerPeer: number;
  readonly #perPeer: Map<string, number> = new Map();
  #count = 0;

  /** Infinity for no limit. */
  constructor(max: number, maxPerPeer: number) {
    this.#max = max;
    this.#maxPerPeer = maxPerPeer;
  }

  /** Whether there is room for one more; then it is counted. */
  admit(socket: Socket): boolean {
    if (this.#count >= this.#max) return false;
    if (this.#maxPerPeer < Number.POSITIVE_INFINITY && !this.#admitPeer(socket)) return false;
    this.#count++;
    socket.once("close", () => {
      this.#count--;
    });
    return true;
  }

  #admitPeer(socket: Socket): boolean {
    // A socket that is gone already has none.
    const peer = socket.remoteAddress ?? "";
    const count = this.#perPeer.get(peer) ?? 0;
    if (count >= this.#maxPerPeer) return false;
    this.#perPeer.set(peer, count + 1);
    socket.once("close", () => {
      const left = (this.#perPeer.get(peer) ?? 1) - 1;
      if (left === 0) this.#perPeer.delete(peer);
      else this.#perPeer.set(peer, left);
    });
    return true;
  }
}
