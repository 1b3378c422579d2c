// Cuts a stream of bytes, in whatever pieces it comes, into frames. Knows sizes, not meanings.

import { readUint32 } from "../core/uint32.ts";
import { ByteBuffer, noBytes } from "./byte-buffer.ts";
import { ConnectionError } from "./connection-error.ts";
import { ErrorCode } from "./error-code.ts";
import { clientPreface, Flag, FrameType, frameHeadBytes } from "./frame.ts";

/** Told of frames in their order. May throw ConnectionError. Slices are valid during the call only. */
export interface FrameSink {
  /** A frame's head has come, its payload not yet. DATA: `length` counts against flow control, padding included. */
  onHead(type: number, flags: number, streamId: number, length: number): void;
  /** A padded DATA frame's padding is known: `padding` bytes, its length's own byte included, and `dataLength` of data. */
  onPadding(streamId: number, flags: number, padding: number, dataLength: number): void;
  /** Part of a DATA frame's data, or all of it; `isLast` once a frame, with the last or an empty part. */
  onData(streamId: number, bytes: Uint8Array, from: number, to: number, isLast: boolean, flags: number): void;
  /** Any other frame, whole. */
  onFrame(type: number, flags: number, streamId: number, bytes: Uint8Array, from: number, to: number): void;
}

/** Reads frames of at most `maxFrameBytes` of payload, the size we announced. */
export class FrameReader {
  readonly #sink: FrameSink;
  readonly #maxFrameBytes: number;
  /** How much of the client's preface is still to come. */
  #prefaceLeft: number;
  readonly #head: Uint8Array = new Uint8Array(frameHeadBytes);
  #headHas = 0;
  #inFrame = false;
  #type = 0;
  #flags = 0;
  #streamId = 0;
  /** Bytes of the payload still to come, and of padding at its end. */
  #left = 0;
  #padding = 0;
  #wantsPadLength = false;
  /** A frame that comes in pieces. */
  readonly #partial: ByteBuffer = new ByteBuffer();
  #stopped = false;
  /** Frames that began so far, and pieces of DATA that came. */
  frames = 0;
  pieces = 0;

  constructor(sink: FrameSink, maxFrameBytes: number, expectsPreface: boolean) {
    this.#sink = sink;
    this.#maxFrameBytes = maxFrameBytes;
    this.#prefaceLeft = expectsPreface ? clientPreface.length : 0;
  }

  /** Whether part of a frame has come, and its rest has not. */
  get isAmidFrame(): boolean {
    return this.#inFrame || this.#headHas > 0;
  }

  /** Nothing more is read. */
  stop(): void {
    this.#stopped = true;
    this.#partial.take();
  }

  /** Reads `bytes` up to `length`. Throws ConnectionError. */
  read(bytes: Uint8Array, length: number): void {
    let at = this.#prefaceLeft > 0 ? this.#readPreface(bytes, length) : 0;
    while (at < length && !this.#stopped) {
      if (!this.#inFrame) {
        if (this.#headHas === 0 && length - at >= frameHeadBytes) {
          this.#begin(bytes, at);
          at += frameHeadBytes;
        } else {
          while (at < length && this.#headHas < frameHeadBytes) this.#head[this.#headHas++] = bytes[at++] ?? 0;
          if (this.#headHas < frameHeadBytes) return;
          this.#headHas = 0;
          this.#begin(this.#head, 0);
        }
      }
      at = this.#type === FrameType.data ? this.#readData(bytes, at, length) : this.#readPayload(bytes, at, length);
    }
  }

  #readPreface(bytes: Uint8Array, length: number): number {
    let at = 0;
    while (at < length && this.#prefaceLeft > 0) {
      if (bytes[at++] !== clientPreface.charCodeAt(clientPreface.length - this.#prefaceLeft)) {
        throw new ConnectionError(ErrorCode.protocolError, "the peer does not speak HTTP/2");
      }
      this.#prefaceLeft--;
    }
    return at;
  }

  #begin(bytes: Uint8Array, at: number): void {
    this.frames++;
    const length = ((bytes[at] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    this.#type = bytes[at + 3] ?? 0;
    this.#flags = bytes[at + 4] ?? 0;
    // The first bit is reserved: to be ignored. RFC 9113, section 4.1.
    this.#streamId = readUint32(bytes, at + 5) & 0x7fff_ffff;
    if (length > this.#maxFrameBytes) {
      throw new ConnectionError(ErrorCode.frameSizeError, `a frame of ${length} bytes exceeds ${this.#maxFrameBytes}`);
    }
    this.#sink.onHead(this.#type, this.#flags, this.#streamId, length);
    this.#left = length;
    this.#padding = 0;
    this.#wantsPadLength = this.#type === FrameType.data && (this.#flags & Flag.padded) !== 0;
    if (this.#wantsPadLength && length === 0) {
      throw new ConnectionError(ErrorCode.frameSizeError, "a padded frame has no padding length");
    }
    if (length > 0) {
      this.#inFrame = true;
    } else if (this.#type === FrameType.data) {
      this.#sink.onData(this.#streamId, noBytes, 0, 0, true, this.#flags);
    } else {
      this.#sink.onFrame(this.#type, this.#flags, this.#streamId, noBytes, 0, 0);
    }
  }

  #readData(bytes: Uint8Array, from: number, length: number): number {
    let at = from;
    if (!this.#inFrame || at >= length) return at;
    if (this.#wantsPadLength) {
      this.#wantsPadLength = false;
      this.#padding = bytes[at++] ?? 0;
      this.#left--;
      // RFC 9113, section 6.1.
      if (this.#padding > this.#left) {
        throw new ConnectionError(ErrorCode.protocolError, "padding is as long as its frame");
      }
      const dataLength = this.#left - this.#padding;
      this.#sink.onPadding(this.#streamId, this.#flags, this.#padding + 1, dataLength);
      if (dataLength === 0) this.#sink.onData(this.#streamId, noBytes, 0, 0, true, this.#flags);
    }
    const data = Math.min(this.#left - this.#padding, length - at);
    if (data > 0) {
      this.pieces++;
      this.#left -= data;
      at += data;
      this.#inFrame = this.#left > 0;
      this.#sink.onData(this.#streamId, bytes, at - data, at, this.#left === this.#padding, this.#flags);
    }
    if (this.#left === this.#padding) {
      const skipped = Math.min(this.#padding, length - at);
      this.#padding -= skipped;
      this.#left -= skipped;
      at += skipped;
      this.#inFrame = this.#left > 0;
    }
    return at;
  }

  #readPayload(bytes: Uint8Array, from: number, length: number): number {
    if (!this.#inFrame) return from;
    const available = Math.min(this.#left, length - from);
    const to = from + available;
    this.#left -= available;
    this.#inFrame = this.#left > 0;
    if (this.#partial.length === 0 && this.#left === 0) {
      this.#sink.onFrame(this.#type, this.#flags, this.#streamId, bytes, from, to);
      return to;
    }
    this.#partial.append(bytes, from, to);
    if (this.#left === 0) {
      const whole = this.#partial.take();
      this.#sink.onFrame(this.#type, this.#flags, this.#streamId, whole, 0, whole.length);
    }
    return to;
  }
}
