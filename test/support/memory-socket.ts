// Two ByteSockets joined in memory. A side can be told to take nothing, as one does whose reader has gone to sleep.

import type { ByteSocket, ByteSocketListener } from "../../src/http2/byte-socket.ts";

/** One end. */
export class MemorySocket implements ByteSocket {
  /** What this side was given to send and the other has not taken. */
  readonly waiting: Uint8Array[] = [];
  isEnded = false;
  isDestroyed = false;
  peer: MemorySocket | undefined;
  #listener: ByteSocketListener | undefined;
  #stalled = false;
  #planned = false;
  #isDelivering = false;

  get isDrained(): boolean {
    return this.waiting.length === 0 && !this.#isDelivering;
  }

  start(listener: ByteSocketListener): void {
    this.#listener = listener;
    if (this.peer !== undefined) this.peer.#plan();
  }

  write(chunks: readonly Uint8Array[]): boolean {
    if (this.isEnded || this.isDestroyed) return true;
    this.waiting.push(...chunks);
    this.#plan();
    return !this.#stalled;
  }

  end(): void {
    this.isEnded = true;
    this.#plan();
  }

  destroy(): void {
    if (this.isDestroyed) return;
    this.isDestroyed = true;
    queueMicrotask(() => this.#listener?.onClosed(undefined));
    this.peer?.destroy();
  }

  /** Takes no bytes of this side's from now on, so that its `write` returns false. */
  stall(): void {
    this.#stalled = true;
  }

  /** Takes them again. */
  flow(): void {
    this.#stalled = false;
    queueMicrotask(() => this.#listener?.onWritable());
    this.#plan();
  }

  #plan(): void {
    if (this.#planned) return;
    this.#planned = true;
    queueMicrotask(() => this.#deliver());
  }

  #deliver(): void {
    this.#planned = false;
    const { peer } = this;
    if (this.#stalled || this.isDestroyed || peer === undefined || peer.#listener === undefined) return;
    this.#isDelivering = true;
    for (const chunk of this.waiting.splice(0)) peer.#listener.onBytes(chunk, chunk.length);
    this.#isDelivering = false;
    if (this.isDrained && !this.isEnded) this.#listener?.onWritable();
    if (this.isEnded && this.waiting.length === 0) this.destroy();
  }
}

/** Two ends of one connection. */
export function createSocketPair(): readonly [MemorySocket, MemorySocket] {
  const pair = [new MemorySocket(), new MemorySocket()] as const;
  pair[0].peer = pair[1];
  pair[1].peer = pair[0];
  return pair;
}
