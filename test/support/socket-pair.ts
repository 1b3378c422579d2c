// Two ByteSockets joined in memory, with no runtime's sockets under them: what one writes the other is told, soon.

import type { ByteSocket, ByteSocketListener } from "../../src/http2/byte-socket.ts";

/** One end, and what a test can do to it. */
export interface MemorySocket extends ByteSocket {
  /** Bytes written to this end so far. */
  readonly written: number;
  /** What is written goes nowhere, and nothing is told of it: the peer is gone without a word. */
  vanish(): void;
}

/** Creates both ends. What is written before the other end has started waits. */
export function createSocketPair(): readonly [MemorySocket, MemorySocket] {
  const left = new Memory();
  const right = new Memory();
  left.other = right;
  right.other = left;
  return [left, right];
}

class Memory implements MemorySocket {
  other: Memory | undefined;
  written = 0;
  #listener: ByteSocketListener | undefined;
  readonly #waiting: Uint8Array[] = [];
  #isPlanned = false;
  #isEnded = false;
  #isClosed = false;
  #hasVanished = false;

  start(listener: ByteSocketListener): void {
    this.#listener = listener;
    this.#plan();
  }

  write(chunks: readonly Uint8Array[]): boolean {
    for (const chunk of chunks) {
      this.written += chunk.length;
      if (!this.#hasVanished) this.other?.take(chunk.slice());
    }
    return true;
  }

  take(chunk: Uint8Array): void {
    this.#waiting.push(chunk);
    this.#plan();
  }

  /** Both ways, as nobody here has a use for half of a connection. */
  end(): void {
    this.destroy();
  }

  destroy(): void {
    if (!this.#hasVanished) this.other?.close();
    this.close();
  }

  vanish(): void {
    this.#hasVanished = true;
  }

  close(): void {
    this.#isEnded = true;
    this.#plan();
  }

  #plan(): void {
    if (this.#isPlanned || this.#listener === undefined) return;
    this.#isPlanned = true;
    queueMicrotask(() => this.#tell());
  }

  #tell(): void {
    this.#isPlanned = false;
    if (this.#isClosed) return;
    for (const chunk of this.#waiting.splice(0)) this.#listener?.onBytes(chunk, chunk.length);
    if (!this.#isEnded) return;
    this.#isClosed = true;
    this.#listener?.onClosed(undefined);
  }
}
