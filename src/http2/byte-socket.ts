// The ByteSocket contract: what a session needs of a connected socket. Implementations: src/runtime/node-socket.ts for Bun, Deno and
// Node, src/edge/tcp for Workers. Knows no HTTP/2.

/** Told what happens on a socket. Called one at a time, never from within a call of the socket's own methods; must not throw. */
export interface ByteSocketListener {
  /** Bytes came: the first `length` of `bytes`, which may be reused after the call. */
  onBytes(bytes: Uint8Array, length: number): void;
  /** The socket takes bytes again, after `write` said that enough waits; or all are sent, so that it `isDrained`. Both may be told twice. */
  onWritable(): void;
  /** The socket is gone, either way. Once, and the last call. `error` is undefined where it was closed in order. */
  onClosed(error: unknown): void;
}

/** A connected stream of bytes, both ways. */
export interface ByteSocket {
  /**
   * Whether all that was handed to `write` is sent, so that its chunks may change; always false where that is not known. Where it becomes true
   * after `write` came back, `onWritable` follows, but for a socket that ends: until then the chunks' memory is kept for this one alone.
   */
  readonly isDrained: boolean;
  /** Starts reading. Once; nothing is told before. */
  start(listener: ByteSocketListener): void;
  /**
   * Sends chunks, in order and in as few packets as may be; the chunks do not change until all is sent. Returns false where so much waits that
   * the next bytes should wait for `onWritable`; what was handed over is sent all the same. Does nothing once the socket is gone.
   */
  write(chunks: readonly Uint8Array[]): boolean;
  /** Sends what was handed over, then closes. */
  end(): void;
  /** Closes now. `onClosed` follows. */
  destroy(): void;
}
