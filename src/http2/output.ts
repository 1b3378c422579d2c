// What a connection has to send, until its socket takes it. Frames are written in place, into slabs that all connections share.

import { noBytes } from "./byte-buffer.ts";

/** Small enough to be cheap to begin, large enough that a burst of small calls fits. */
const slabBytes = 64 * 1024;
/** A slab with less than this left is let go. */
const minLeftover = 2048;
/** Slabs kept for the next who writes. */
const maxPooled = 16;
/** Pieces of at least this size are sent from where they lie; copying smaller ones is cheaper than a write of their own. */
const byReferenceBytes = 4 * 1024;

interface Slab {
  readonly bytes: Uint8Array;
  /** Where the part that was never handed out begins. */
  from: number;
}

/** Begun slabs. Bytes that were handed out are never rewritten, so sockets may keep them as long as they like. */
const pool: Slab[] = [];

/** An append-only run of bytes. While it is empty it holds no slab. */
export class Output {
  /** Where frames are written: `buf` from `pos` on, after `reserve`. */
  buf: Uint8Array = noBytes;
  pos = 0;
  #from = 0;
  #slab: Slab | undefined;
  readonly #chunks: Uint8Array[] = [];
  #chunkBytes = 0;

  /** Bytes to send. */
  get length(): number {
    return this.#chunkBytes + this.pos - this.#from;
  }

  /** Makes room for `bytes` in a row at `pos`. */
  reserve(bytes: number): void {
    if (this.buf.length - this.pos >= bytes) return;
    this.#closeChunk();
    this.#release();
    const pooled = bytes <= minLeftover ? pool.pop() : undefined;
    const slab = pooled ?? { bytes: new Uint8Array(Math.max(slabBytes, bytes)), from: 0 };
    this.#slab = slab;
    this.buf = slab.bytes;
    this.pos = slab.from;
    this.#from = slab.from;
  }

  /** Appends bytes from elsewhere: a copy where they are few, else they themselves, so that they must not change any more. */
  append(bytes: Uint8Array, from: number, to: number): void {
    const length = to - from;
    if (length >= byReferenceBytes) {
      this.#closeChunk();
      this.#chunks.push(bytes.subarray(from, to));
      this.#chunkBytes += length;
      return;
    }
    this.reserve(length);
    if (length < 64) {
      for (let at = from; at < to; at++) this.buf[this.pos++] = bytes[at] ?? 0;
      return;
    }
    this.buf.set(from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to), this.pos);
    this.pos += length;
  }

  /** Hands out everything, in order, and is empty. */
  take(write: (chunk: Uint8Array) => void): void {
    this.#closeChunk();
    this.#release();
    const chunks = this.#chunks;
    this.#chunkBytes = 0;
    if (chunks.length === 1) {
      const [chunk] = chunks;
      chunks.length = 0;
      if (chunk !== undefined) write(chunk);
      return;
    }
    for (const chunk of chunks.splice(0)) write(chunk);
  }

  #closeChunk(): void {
    if (this.pos === this.#from) return;
    this.#chunks.push(this.buf.subarray(this.#from, this.pos));
    this.#chunkBytes += this.pos - this.#from;
    this.#from = this.pos;
  }

  /** Gives back the rest of the slab. */
  #release(): void {
    const slab = this.#slab;
    if (slab !== undefined && slab.bytes.length - this.pos >= minLeftover && pool.length < maxPooled) {
      slab.from = this.pos;
      pool.push(slab);
    }
    this.#slab = undefined;
    this.buf = noBytes;
    this.pos = 0;
    this.#from = 0;
  }
}
