// Work of which only so much is done at a time; the rest waits in order. For what a few bytes of a client's may make large: unpacking.

import type { Compression } from "@connectrpc/connect/protocol";

/** Takes turns at something. */
export class Turns {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  /** How many at a time, at least 1. */
  constructor(atATime: number) {
    this.#free = atATime;
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
      else next();
    }
  }
}

/** A compression whose messages are unpacked in turn. */
export function unpackingInTurn(compression: Compression, turns: Turns): Compression {
  return {
    ...compression,
    decompress: (bytes, readMaxBytes) => turns.run(() => compression.decompress(bytes, readMaxBytes)),
  };
}
