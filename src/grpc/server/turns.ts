// Work of which only so much is done at a time; the rest waits in order. For what a few bytes of a client's may make large: unpacking.

import type { Compression } from "@connectrpc/connect/protocol";

/** Takes turns at something. */
export class Turns {
  #free: number;
  readonly #yieldToLoop: (run: () => void) => void;
  readonly #waiting: (() => void)[] = [];

  /**
   * `atATime`: at least 1. `yieldToLoop` runs a function after what else the event loop has to do: between two turns others get theirs,
   * as there are runtimes that do such work on their one thread (Deno 2.9.6 unpacks there).
   */
  constructor(atATime: number, yieldToLoop: (run: () => void) => void) {
    this.#free = atATime;
    this.#yieldToLoop = yieldToLoop;
  }

  /** Does `work` when it is its turn; settles as that does. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else this.#yieldToLoop(next);
    }
  }
}

/** A compression whose messages are unpacked in turn. */
export function unpackingInTurn(compression: Compression, turns: Turns): Compression {
  return {
    name: compression.name,
    compress: (bytes) => compression.compress(bytes),
    decompress: (bytes, readMaxBytes) => turns.run(() => compression.decompress(bytes, readMaxBytes)),
  };
}
