// What a connection has to send, until its socket takes it. Frames are written in place, into slabs that all connections share.

import { joinBytes } from "../core/join-bytes.ts";
import { noBytes } from "./byte-buffer.ts";

/** What a connection puts together at most before its socket must take it, and then some: seldom more than one slab a write. */
const slabBytes = 256 * 1024;
/** A slab with less than this left is let go. */
const minLeftover = 2048;
/** Slabs kept for the next who writes. */
const maxPooled = 16;
/**
 * Loans to a socket that are remembered, each of one slab: 2 MiB at most, beside what the last `take` lent. Older ones are given up for
 * lost: such a slab lives as long as the socket keeps it, and never begins anew.
 */
const maxLent = 8;
/** Less than this is copied for a socket that has not sent all: a few bytes would keep a whole slab for as long as that takes. */
const worthyLoanBytes = 16 * 1024;

interface Slab {
  readonly bytes: Uint8Array;
  /** Where the part that was never handed out begins. */
  from: number;
  /** Those who write to it, and those whose sockets may not have sent what they wrote. Without them it begins anew. */
  users: number;
  isPooled: boolean;
}

/** Slabs with room. Bytes that were handed out are not rewritten before their socket has sent them. */
const pool: Slab[] = [];

/** An append-only run of bytes. While it is empty and all is sent it holds no slab. */
export class Output {
  /** Where frames are written: `buf` from `pos` on, after `reserve`. */
  buf: Uint8Array = noBytes;
  pos = 0;
  /** Where the frame begins in `buf` that was written last and may still grow; -1 where there is none. For the sender. */
  frameAt = -1;
  #from = 0;
  #slab: Slab | undefined;
  readonly #chunks: Uint8Array[] = [];
  #chunkBytes = 0;
  /** Slabs that `#chunks` lie in, and those that sockets were handed bytes of. */
  readonly #filled: Slab[] = [];
  readonly #lent: Slab[] = [];

  /** Bytes to send. */
  get length(): number {
    return this.#chunkBytes + this.pos - this.#from;
  }

  /** Makes room for `bytes` in a row at `pos`. */
  reserve(bytes: number): void {
    if (this.buf.length - this.pos >= bytes) return;
    this.#release();
    let slab = pool.at(-1);
    if (slab !== undefined && slab.bytes.length - slab.from >= bytes) {
      pool.pop();
      slab.isPooled = false;
    } else {
      slab = { bytes: new Uint8Array(Math.max(slabBytes, bytes)), from: 0, users: 0, isPooled: false };
    }
    slab.users++;
    this.#slab = slab;
    this.buf = slab.bytes;
    this.pos = slab.from;
    this.#from = slab.from;
  }

  /** Appends a copy of `bytes` from `from` to `to`. */
  append(bytes: Uint8Array, from: number, to: number): void {
    if (to - from < 64) {
      this.reserve(to - from);
      for (let at = from; at < to; at++) this.buf[this.pos++] = bytes[at] ?? 0;
      return;
    }
    for (let at = from; at < to; ) {
      if (this.pos === this.buf.length) this.reserve(1);
      const fits = Math.min(to - at, this.buf.length - this.pos);
      this.buf.set(at === 0 && fits === bytes.length ? bytes : bytes.subarray(at, at + fits), this.pos);
      this.pos += fits;
      at += fits;
    }
  }

  /** Hands out everything, in order, and is empty. The chunks stay as they are until `reclaim`. */
  take(write: (chunk: Uint8Array) => void): void {
    this.#release();
    const chunks = this.#chunks;
    const bytes = this.#chunkBytes;
    this.#chunkBytes = 0;
    // Something is lent as long as not all is sent: the last loan is never given up.
    if (this.#lent.length > 0 && bytes < worthyLoanBytes) {
      if (bytes > 0) write(joinBytes(chunks.splice(0), bytes));
      giveBack(this.#filled);
      return;
    }
    while (this.#lent.length > maxLent) this.#lent.shift();
    for (const slab of this.#filled) this.#lent.push(slab);
    this.#filled.length = 0;
    if (chunks.length === 1) {
      const [chunk] = chunks;
      chunks.length = 0;
      if (chunk !== undefined) write(chunk);
      return;
    }
    for (const chunk of chunks.splice(0)) write(chunk);
  }

  /** Everything that was handed out is sent: what it lay in is written again. */
  reclaim(): void {
    giveBack(this.#lent);
  }

  /** Gives back the rest of the slab. */
  #release(): void {
    const slab = this.#slab;
    if (slab === undefined) return;
    if (this.pos > this.#from) {
      this.#chunks.push(this.buf.subarray(this.#from, this.pos));
      this.#chunkBytes += this.pos - this.#from;
      this.#filled.push(slab);
    } else {
      slab.users--;
    }
    slab.from = this.pos;
    putBack(slab);
    this.#slab = undefined;
    this.buf = noBytes;
    this.pos = 0;
    this.frameAt = -1;
    this.#from = 0;
  }
}

/** Ends one use of each of `slabs`, and empties it. */
function giveBack(slabs: Slab[]): void {
  for (let slab = slabs.pop(); slab !== undefined; slab = slabs.pop()) {
    slab.users--;
    if (slab.users > 0) continue;
    slab.from = 0;
    putBack(slab);
  }
}

function putBack(slab: Slab): void {
  if (slab.isPooled || slab.bytes.length - slab.from < minLeftover || pool.length >= maxPooled) return;
  slab.isPooled = true;
  pool.push(slab);
}
