// Bytes as everybody expects them. Knows no format.

/**
 * The bytes as a Uint8Array that is nothing more, on a buffer of their own: Node's zlib answers with its Buffer, whose `slice` shares
 * memory where a Uint8Array's copies, and which may lie beside others' bytes in a pool. Copies only what is part of a larger buffer.
 */
export function plainBytes(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer, byteLength } = bytes;
  if (!(buffer instanceof ArrayBuffer) || buffer.byteLength !== byteLength) return new Uint8Array(bytes);
  return bytes.constructor === Uint8Array ? (bytes as Uint8Array<ArrayBuffer>) : new Uint8Array(buffer);
}
