// Header blocks out of HEADERS and CONTINUATION frames: RFC 9113, sections 4.3, 6.2 and 6.10. Knows no streams.

import { readUint32 } from "../core/uint32.ts";
import { ByteBuffer } from "./byte-buffer.ts";
import { ConnectionError, frameSizeError, protocolError } from "./connection-error.ts";
import { ErrorCode } from "./error-code.ts";
import { Flag, maxInt31 } from "./frame.ts";
import { type HeaderBlock, HeaderDecoder } from "./hpack/header-decoder.ts";

/** RFC 9113 sets no end to CONTINUATION frames; this does. */
const maxContinuations = 64;

/** Told of header blocks. May throw ConnectionError. */
export interface BlockSink {
  onBlock(streamId: number, block: HeaderBlock, end: boolean): void;
}

export class HeaderBlocks {
  /** The stream whose block is under way, 0 for none. */
  openStreamId = 0;
  /** Blocks begun in several frames so far. */
  begun = 0;
  readonly #sink: BlockSink;
  readonly #maxListBytes: number;
  readonly #decoder: HeaderDecoder;
  readonly #parts: ByteBuffer = new ByteBuffer();
  #flags = 0;
  #continuations = 0;

  constructor(sink: BlockSink, maxTableBytes: number, maxListBytes: number) {
    this.#sink = sink;
    this.#maxListBytes = maxListBytes;
    this.#decoder = new HeaderDecoder({ maxTableBytes, maxListBytes });
  }

  /** Lets go of a block under way. */
  stop(): void {
    this.#parts.take();
  }

  onHeaders(flags: number, streamId: number, bytes: Uint8Array, from: number, to: number): void {
    if (streamId === 0) throw protocolError("HEADERS came on stream 0");
    let at = from;
    let end = to;
    if ((flags & Flag.padded) !== 0) {
      if (at === end) throw frameSizeError("padded HEADERS have no padding length");
      end -= bytes[at++] ?? 0;
    }
    if ((flags & Flag.priority) !== 0) {
      // Section 6.2: priority was deprecated, its place remains.
      if (end - at < 5) throw protocolError("HEADERS are shorter than their padding and priority");
      if ((readUint32(bytes, at) & maxInt31) === streamId) throw protocolError("a stream depends on itself");
      at += 5;
    }
    if (at > end) throw protocolError("HEADERS are shorter than their padding");
    if ((flags & Flag.endHeaders) !== 0) {
      this.#checkSize(end - at);
      this.#decode(streamId, flags, bytes, at, end);
      return;
    }
    this.openStreamId = streamId;
    this.begun++;
    this.#flags = flags;
    this.#continuations = 0;
    this.#keep(bytes, at, end);
  }

  onContinuation(flags: number, streamId: number, bytes: Uint8Array, from: number, to: number): void {
    // That it is the stream's own has been seen from the frame's head.
    if (this.openStreamId === 0) throw protocolError("CONTINUATION came without HEADERS");
    if (++this.#continuations > maxContinuations) {
      throw new ConnectionError(ErrorCode.enhanceYourCalm, "too many CONTINUATION frames");
    }
    this.#keep(bytes, from, to);
    if ((flags & Flag.endHeaders) === 0) return;
    const block = this.#parts.take();
    this.openStreamId = 0;
    this.#decode(streamId, this.#flags, block, 0, block.length);
  }

  #keep(bytes: Uint8Array, from: number, to: number): void {
    this.#checkSize(this.#parts.length + to - from);
    this.#parts.append(bytes, from, to);
  }

  /** The list counts 32 bytes a field beyond its texts, and Huffman code takes 30 bits for a byte at worst: twice the list is ample. */
  #checkSize(bytes: number): void {
    if (bytes <= this.#maxListBytes * 2) return;
    throw new ConnectionError(ErrorCode.enhanceYourCalm, "a header block is too large");
  }

  /** Whatever becomes of the stream, the block is read: the table must follow. */
  #decode(streamId: number, flags: number, bytes: Uint8Array, from: number, to: number): void {
    this.#sink.onBlock(streamId, this.#decoder.decode(bytes, from, to), (flags & Flag.endStream) !== 0);
  }
}
