// Puts messages together from the pieces that a stream's data comes in. Knows neither compression nor protobuf.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md: Length-Prefixed-Message

import { Code, ConnectError } from "@connectrpc/connect";
import { readUint32 } from "../core/uint32.ts";
import { copyOf, messageHeadBytes } from "./message.ts";

/** Told of messages in their order. */
export interface MessageSink {
  /** A whole message: a copy, the sink's own. */
  onMessage(message: Uint8Array, compressed: boolean): void;
}

/** How much memory several readers hold together for messages that are not whole yet. */
export interface PartialBytes {
  bytes: number;
  readonly maxBytes: number;
}

/**
 * What a message in pieces may hold, in times of what came, whatever length it claims: enough that most are given their whole length with
 * the first frame, less where all together would then hold more than `generousPart` of what they may. At least `minBytes`.
 */
const minBytes = 1024;
const growth = 512;
const modestGrowth = 4;
const generousPart = 1 / 16;

const none: Uint8Array<ArrayBuffer> = new Uint8Array(0);

/** The messages of one direction of one stream. After `read` has thrown it is of no use. */
export class MessageReader {
  readonly #maxBytes: number;
  readonly #shared: PartialBytes | undefined;
  #head: Uint8Array | undefined;
  #headHas = 0;
  /** Bytes of the message under way; -1 while its head has not come. */
  #length = -1;
  #compressed = false;
  #partial: Uint8Array<ArrayBuffer> = none;
  #has = 0;

  /** `maxBytes`: longest message taken, as it is on the wire. `shared`: what this reader and others may hold together. */
  constructor(maxBytes: number, shared?: PartialBytes) {
    this.#maxBytes = maxBytes;
    this.#shared = shared;
  }

  /** Nothing more is read: lets go of what is not whole. */
  release(): void {
    if (this.#shared !== undefined) this.#shared.bytes -= this.#partial.length;
    this.#partial = none;
    this.#has = 0;
  }

  /** Whether the last message is whole: what must hold at the stream's end. */
  get isEmpty(): boolean {
    return this.#length === -1 && this.#headHas === 0;
  }

  /**
   * Reads `bytes` from `from` to `to`, which may be reused afterwards. Throws ConnectError: `resource_exhausted` for a message that
   * claims more than `maxBytes`, before any of it is kept, and where all readers together hold too much; `internal` for flags that
   * gRPC does not know.
   */
  read(bytes: Uint8Array, from: number, to: number, sink: MessageSink): void {
    let at = from;
    while (at < to) at = this.readSome(bytes, at, to, sink);
  }

  /** As `read`, but tells of one message at most; returns where it stopped, `to` where the piece is used up. */
  readSome(bytes: Uint8Array, from: number, to: number, sink: MessageSink): number {
    const at = this.#length === -1 ? this.#readHead(bytes, from, to) : from;
    // A message of no bytes ends with its head.
    return this.#length === -1 || (at === to && this.#length > 0) ? at : this.#readBody(bytes, at, to, sink);
  }

  #readHead(bytes: Uint8Array, from: number, to: number): number {
    if (this.#headHas === 0 && to - from >= messageHeadBytes) {
      this.#begin(bytes, from);
      return from + messageHeadBytes;
    }
    this.#head ??= new Uint8Array(messageHeadBytes);
    let at = from;
    while (at < to && this.#headHas < messageHeadBytes) this.#head[this.#headHas++] = bytes[at++] ?? 0;
    if (this.#headHas === messageHeadBytes) {
      this.#headHas = 0;
      this.#begin(this.#head, 0);
    }
    return at;
  }

  #begin(bytes: Uint8Array, at: number): void {
    const flags = bytes[at] ?? 0;
    if (flags > 1) throw new ConnectError(`protocol error: invalid message flags ${flags}`, Code.Internal);
    const length = readUint32(bytes, at + 1);
    if (length > this.#maxBytes) {
      throw new ConnectError(
        `message size ${length} is larger than configured readMaxBytes ${this.#maxBytes}`,
        Code.ResourceExhausted,
      );
    }
    this.#compressed = flags === 1;
    this.#length = length;
  }

  #readBody(bytes: Uint8Array, from: number, to: number, sink: MessageSink): number {
    const end = Math.min(to, from + this.#length - this.#has);
    const isWhole = end - from === this.#length - this.#has;
    if (this.#has === 0 && isWhole) {
      this.#length = -1;
      sink.onMessage(copyOf(bytes, from, end), this.#compressed);
      return end;
    }
    this.#keep(bytes, from, end);
    if (isWhole) {
      const message = this.#partial.subarray(0, this.#has);
      this.release();
      this.#length = -1;
      sink.onMessage(message, this.#compressed);
    }
    return end;
  }

  #keep(bytes: Uint8Array, from: number, to: number): void {
    const needed = this.#has + to - from;
    if (needed > this.#partial.length) this.#grow(needed);
    this.#partial.set(bytes.subarray(from, to), this.#has);
    this.#has = needed;
  }

  #grow(needed: number): void {
    const shared = this.#shared;
    let size = this.#sizeFor(needed, growth);
    if (shared !== undefined) {
      const others = shared.bytes - this.#partial.length;
      if (others + size > shared.maxBytes * generousPart) size = this.#sizeFor(needed, modestGrowth);
      // Rather all that is left than just what is needed: the next piece would have everything moved again.
      size = Math.min(size, shared.maxBytes - others);
      if (size < needed) {
        throw new ConnectError("too many messages of this connection are not whole", Code.ResourceExhausted);
      }
      shared.bytes = others + size;
    }
    // Frees the smaller one at once: a garbage collector that has to do it runs again and again over large messages.
    this.#partial = this.#has === 0 ? new Uint8Array(size) : new Uint8Array(this.#partial.buffer.transfer(size));
  }

  #sizeFor(needed: number, times: number): number {
    return Math.min(this.#length, Math.max(needed * times, minBytes));
  }
}
