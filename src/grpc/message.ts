// The five bytes before every message of gRPC, where they and the message lie in one piece. Everything else is MessageReader's.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md: Length-Prefixed-Message

import { putUint32, readUint32 } from "../core/uint32.ts";

/** Compressed-Flag and Message-Length. */
export const messageHeadBytes = 5;

/** Copied before anybody else can ask for it: a connection takes heads over at once. */
const sharedHead: Uint8Array = new Uint8Array(messageHeadBytes);

/** The head of a message of `length` bytes. Holds until the next call only: hand it to the connection at once, or copy it. */
export function messageHead(length: number, compressed: boolean): Uint8Array {
  putMessageHead(sharedHead, 0, length, compressed);
  return sharedHead;
}

/** Writes the head of a message of `length` bytes to `out` at `at`; returns where the message begins. */
export function putMessageHead(out: Uint8Array, at: number, length: number, compressed: boolean): number {
  out[at] = compressed ? 1 : 0;
  return putUint32(out, at + 1, length);
}

/** A copy of the message, where the piece is exactly one that is not compressed and has at most `maxBytes`; else undefined. */
export function wholeMessage(bytes: Uint8Array, from: number, to: number, maxBytes: number): Uint8Array | undefined {
  const length = to - from - messageHeadBytes;
  if (length < 0 || length > maxBytes || bytes[from] !== 0 || readUint32(bytes, from + 1) !== length) return undefined;
  return copyOf(bytes, from + messageHeadBytes, to);
}

/** Where small copies lie, beside one another: what has a buffer of its own is dear to make, and dearer to look at. */
const poolBytes = 8 * 1024;
const maxPooledBytes = 512;
let pool: Uint8Array<ArrayBuffer> = new Uint8Array(0);
let pooled = 0;

/** The bytes, where nobody will change them; small ones share a buffer of 8 KiB. */
export function copyOf(bytes: Uint8Array, from: number, to: number): Uint8Array<ArrayBuffer> {
  const copy = to - from <= maxPooledBytes ? takeFromPool(to - from) : new Uint8Array(to - from);
  // Below some 64 bytes a loop is cheaper than the view that `set` needs.
  if (to - from > 64) copy.set(bytes.subarray(from, to));
  else for (let at = from; at < to; at++) copy[at - from] = bytes[at] ?? 0;
  return copy;
}

function takeFromPool(bytes: number): Uint8Array<ArrayBuffer> {
  if (pool.length - pooled < bytes) {
    pool = new Uint8Array(poolBytes);
    pooled = 0;
  }
  pooled += bytes;
  return pool.subarray(pooled - bytes, pooled);
}
