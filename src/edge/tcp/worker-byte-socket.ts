// A Worker's socket as a ByteSocket: streams and promises outside, callbacks inside. Opens none.

import { joinBytes } from "../../core/join-bytes.ts";
import type { ByteSocket, ByteSocketListener } from "../../http2/byte-socket.ts";
import type { WorkerSocket } from "./worker-socket.ts";

/** Wraps a connected socket whose streams nobody has locked. It belongs to the request it was made in, and so does what is returned. */
export function wrapWorkerSocket(socket: WorkerSocket): ByteSocket {
  return new WorkerByteSocket(socket);
}

/** What one read takes at most. Each socket keeps that much; workerd reads 4 KiB at a time (measured on 1.20260730). */
const readBytes = 16 * 1024;
/** Waiting for the socket, beyond which the next bytes should wait too: a stream of Workers tells no size of its own. */
const maxWaitingBytes = 128 * 1024;

class WorkerByteSocket implements ByteSocket {
  readonly #socket: WorkerSocket;
  readonly #reader: ReadableStreamBYOBReader;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  #listener: ByteSocketListener | undefined;
  #queue: Uint8Array[] = [];
  /** Of the queue, and of the write under way. */
  #waitingBytes = 0;
  #isFull = false;
  #isWriting = false;
  #isEnding = false;
  #isGone = false;

  constructor(socket: WorkerSocket) {
    this.#socket = socket;
    this.#reader = socket.readable.getReader({ mode: "byob" });
    this.#writer = socket.writable.getWriter();
    // Whatever ends the socket also ends a read or a write, and is told there.
    for (const promise of [socket.opened, socket.closed, this.#reader.closed, this.#writer.closed]) {
      promise.catch(() => {});
    }
  }

  start(listener: ByteSocketListener): void {
    this.#listener = listener;
    // A socket that was closed before was told to nobody.
    if (this.#isGone) queueMicrotask(() => listener.onClosed(undefined));
    else void this.#read(listener);
  }

  get isDrained(): boolean {
    return this.#waitingBytes === 0 && !this.#isGone;
  }

  write(chunks: readonly Uint8Array[]): boolean {
    if (this.#isGone || this.#isEnding) return true;
    for (const chunk of chunks) {
      this.#queue.push(chunk);
      this.#waitingBytes += chunk.length;
    }
    if (!this.#isWriting) void this.#send();
    this.#isFull = this.#waitingBytes > maxWaitingBytes;
    return !this.#isFull;
  }

  end(): void {
    if (this.#isGone || this.#isEnding) return;
    this.#isEnding = true;
    if (!this.#isWriting) void this.#send();
  }

  destroy(): void {
    // workerd's close() waits for what was written, so that last words arrive; a peer that has not read for so long is not waited for.
    const isStuck = this.#isEnding || this.#isFull;
    if (isStuck) this.#writer.abort().catch(() => {});
    else if (this.#queue.length > 0) this.#writer.write(join(this.#queue)).catch(() => {});
    this.#finish(undefined);
  }

  async #read(listener: ByteSocketListener): Promise<void> {
    let buffer = new ArrayBuffer(readBytes);
    try {
      while (!this.#isGone) {
        const { done, value } = await this.#reader.read(new Uint8Array(buffer));
        if (this.#isGone) return;
        if (done || value === undefined) break;
        listener.onBytes(value, value.length);
        // Every read takes its buffer away and gives back another over the same memory.
        buffer = value.buffer;
      }
      this.#finish(undefined);
    } catch (error) {
      this.#finish(error);
    }
  }

  /** Writes what waits, all of it at once: every write is a call of the system's (25 µs on workerd, whatever it holds up to 64 KiB). */
  async #send(): Promise<void> {
    this.#isWriting = true;
    try {
      while (this.#queue.length > 0) {
        const bytes = join(this.#queue);
        this.#queue = [];
        await this.#writer.write(bytes);
        this.#waitingBytes -= bytes.length;
        if (this.#isGone) break;
        const hasRoom = this.#isFull && this.#waitingBytes <= maxWaitingBytes;
        if (hasRoom) this.#isFull = false;
        if (hasRoom || (this.isDrained && !this.#isEnding)) this.#listener?.onWritable();
      }
      this.#isWriting = false;
      // The peer's end, or whoever destroys the socket, ends the reading.
      if (this.#isEnding && !this.#isGone) await this.#writer.close();
    } catch (error) {
      this.#finish(error);
    }
  }

  /** The end, once. */
  #finish(error: unknown): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#queue = [];
    this.#socket.close().catch(() => {});
    const listener = this.#listener;
    if (listener !== undefined) queueMicrotask(() => listener.onClosed(error));
  }
}

function join(chunks: readonly Uint8Array[]): Uint8Array {
  const [first] = chunks;
  if (chunks.length === 1 && first !== undefined) return first;
  return joinBytes(
    chunks,
    chunks.reduce((sum, chunk) => sum + chunk.length, 0),
  );
}
