// node:net's and node:tls's sockets as ByteSocket, for Bun, Deno and Node. Opens none.

import type { Socket } from "node:net";
import type { ByteSocket, ByteSocketListener } from "../http2/byte-socket.ts";

/** Wraps a connected socket of which nothing has been read, or what was read was put back. */
export function wrapNodeSocket(socket: Socket): ByteSocket {
  return new NodeSocket(socket);
}

class NodeSocket implements ByteSocket {
  readonly #socket: Socket;
  readonly #isTls: boolean;
  #listener: ByteSocketListener | undefined;
  #error: unknown;
  /** The system did not take all of what was written last before `write` came back. */
  #isSlow = false;
  readonly #onSent: () => void = () => {
    if (this.isDrained) this.#listener?.onWritable();
  };

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#isTls = "encrypted" in socket;
  }

  start(listener: ByteSocketListener): void {
    const socket = this.#socket;
    this.#listener = listener;
    socket.setNoDelay(true);
    socket.on("data", (bytes: Uint8Array) => listener.onBytes(bytes, bytes.length));
    socket.on("drain", () => listener.onWritable());
    // HTTP/2 has no use for a connection that is open one way, which a server's sockets may become.
    socket.on("end", () => socket.end());
    socket.on("error", (error) => {
      this.#error ??= error;
    });
    if (socket.destroyed) queueMicrotask(() => listener.onClosed(this.#error));
    else socket.once("close", () => listener.onClosed(this.#error));
  }

  get isDrained(): boolean {
    return this.#socket.writableLength === 0 && !this.#socket.destroyed;
  }

  write(chunks: readonly Uint8Array[]): boolean {
    const socket = this.#socket;
    if (!socket.writable) return true;
    // Not corked: there are several only where there is much, and Bun puts what is corked into one piece by copying it.
    // The last is asked about where it will not be sent at once: TLS never does that, and a callback for what is costs a turn of its own.
    const onSent = this.#isTls || this.#isSlow ? this.#onSent : undefined;
    for (let index = 0; index < chunks.length; index++) {
      const chunk = chunks[index];
      if (chunk !== undefined) socket.write(chunk, index === chunks.length - 1 ? onSent : undefined);
    }
    const waitingBytes = socket.writableLength;
    this.#isSlow = waitingBytes > 0;
    // Not what `write` says: that looks at the size of what it was given, though the system may have taken all of it at once.
    return waitingBytes < socket.writableHighWaterMark;
  }

  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}
