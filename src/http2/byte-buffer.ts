// Bytes put together from pieces. Grows with what has come, whatever was claimed.

export const noBytes: Uint8Array = new Uint8Array(0);

/** An append-only run of bytes. Holds no memory while it is empty. */
export class ByteBuffer {
  #bytes: Uint8Array = noBytes;
  length = 0;

  /** Appends a copy of `bytes` from `from` to `to`. */
  append(bytes: Uint8Array, from: number, to: number): void {
    const needed = this.length + to - from;
    if (needed > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2, 64));
      grown.set(this.#bytes.subarray(0, this.length));
      this.#bytes = grown;
    }
    this.#bytes.set(bytes.subarray(from, to), this.length);
    this.length = needed;
  }

  /** Hands out everything, and is empty. */
  take(): Uint8Array {
    const whole = this.#bytes.subarray(0, this.length);
    this.#bytes = noBytes;
    this.length = 0;
    return whole;
  }
}
