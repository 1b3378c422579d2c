// What a connection sends: frames, in turn among the streams, as far as the peer's windows and the socket allow. RFC 9113, sections 5.2 and 6.

import { putUint32 } from "../core/uint32.ts";
import { noBytes } from "./byte-buffer.ts";
import { defaultMaxFrameBytes, defaultWindowBytes, Flag, FrameType, frameHeadBytes, putFrameHead } from "./frame.ts";
import { HeaderEncoder } from "./hpack/header-encoder.ts";
import { Output } from "./output.ts";
import { worthyDataBytes } from "./peer-budgets.ts";
import type { Pending, PreparedFields, Stream } from "./stream.ts";

/** Output that is put together before the socket must take it. */
const maxOutputBytes: number = 256 * 1024;

/** The same for a body that would have to be copied otherwise. */
const maxBorrowedBytes: number = 2 * 1024 * 1024;

/** Told what has been put into frames. */
export interface SenderOwner {
  /** There is something to flush. */
  onWritten(): void;
  /** A DATA frame went out that was of use: whole, or of some size. */
  onDataSent(): void;
  /** END_STREAM is in a frame. */
  onEndSent(stream: Stream): void;
  /** Too much would wait, so that what the stream was given is dropped: it cannot go on. */
  onOverfull(stream: Stream): void;
}

export class Sender {
  readonly output: Output = new Output();
  readonly encoder: HeaderEncoder = new HeaderEncoder();
  /** The peer's SETTINGS_MAX_FRAME_SIZE. */
  maxFrameBytes: number = defaultMaxFrameBytes;
  /** What the peer takes on the connection. */
  window: number = defaultWindowBytes;
  /** Bytes of data that wait, on all streams, and how many these are. */
  pendingBytes = 0;
  pendingStreams = 0;
  /** Bytes of data put into frames so far. */
  sentBytes = 0;
  /** Whether the socket takes more. */
  writable = true;
  readonly #owner: SenderOwner;
  readonly #maxPendingBytes: number;
  readonly #turns: Stream[] = [];
  /** Where the DATA frame that was written last ends, and whose it is. */
  #frameTo = 0;
  #frameStreamId = 0;

  /** See `ConnectionLimits.maxPendingBytes`; Infinity where nothing is to be dropped. */
  constructor(owner: SenderOwner, maxPendingBytes: number) {
    this.#owner = owner;
    this.#maxPendingBytes = maxPendingBytes;
  }

  /** Whether streams wait for their turn. */
  get hasTurns(): boolean {
    return this.#turns.length > 0;
  }

  /** Sends response headers, or trailers with `end`, behind whatever data waits. */
  sendHeaders(stream: Stream, prepared: PreparedFields, extra: readonly string[] | undefined, end: boolean): void {
    if (stream.closed || stream.localEnd) return;
    if (stream.firstPending !== undefined) {
      if (end) stream.localEnd = true;
      this.wait(stream, {
        head: undefined,
        body: noBytes,
        sent: 0,
        end,
        trailers: { prepared, extra },
        next: undefined,
      });
      return;
    }
    this.writeHeaders(stream, prepared, extra, end);
  }

  /**
   * Sends `head` (a few bytes) and `body` as data. Returns false where some of it has to wait: `onDrained` follows then. `body` must
   * not change afterwards.
   */
  sendData(stream: Stream, head: Uint8Array | undefined, body: Uint8Array, end: boolean): boolean {
    if (stream.closed || stream.localEnd) return true;
    if (end) stream.localEnd = true;
    const headBytes = head === undefined ? 0 : head.length;
    const length = headBytes + body.length;
    if (
      stream.firstPending === undefined &&
      (length === 0 || (length <= stream.sendWindow && length <= this.window)) &&
      length <= this.maxFrameBytes &&
      this.writable &&
      this.output.length < maxOutputBytes
    ) {
      this.writeData(stream, head, 0, headBytes, body, 0, body.length, end);
      return true;
    }
    this.wait(stream, {
      head: head?.slice(),
      body,
      sent: 0,
      end,
      trailers: undefined,
      next: undefined,
    });
    return false;
  }

  /** As `sendData`, for a `body` that may change afterwards: what cannot go at once is copied. */
  sendBorrowed(stream: Stream, head: Uint8Array, body: Uint8Array, end: boolean): boolean {
    if (stream.closed || stream.localEnd) return true;
    if (end) stream.localEnd = true;
    const length = head.length + body.length;
    let sent = 0;
    const isFree = stream.firstPending === undefined && this.writable && !this.hasTurns;
    while (isFree && sent < length && this.output.length < maxBorrowedBytes) {
      const to = sent + Math.min(length - sent, stream.sendWindow, this.window, this.maxFrameBytes);
      if (to <= sent) break;
      const headFrom = Math.min(sent, head.length);
      const headTo = Math.min(to, head.length);
      const bodyFrom = Math.max(sent - head.length, 0);
      this.writeData(
        stream,
        head,
        headFrom,
        headTo,
        body,
        bodyFrom,
        Math.max(to - head.length, 0),
        end && to === length,
      );
      sent = to;
    }
    if (sent === length) return true;
    const rest = new Uint8Array(length - sent);
    if (sent < head.length) rest.set(head.subarray(sent));
    rest.set(body.subarray(Math.max(sent - head.length, 0)), Math.max(head.length - sent, 0));
    this.wait(stream, { head: undefined, body: rest, sent: 0, end, trailers: undefined, next: undefined });
    return false;
  }

  /** What the stream still had to send is not sent. */
  drop(stream: Stream): void {
    if (stream.pendingBytes > 0) this.pendingStreams--;
    this.pendingBytes -= stream.pendingBytes;
    stream.pendingBytes = 0;
    stream.firstPending = undefined;
    stream.lastPending = undefined;
  }

  wait(stream: Stream, pending: Pending): void {
    const bytes = (pending.head?.length ?? 0) + pending.body.length;
    const most = this.#maxPendingBytes;
    if (bytes > 0 && this.pendingBytes > most && this.pendingBytes + bytes > most * 2) {
      this.drop(stream);
      stream.localEnd = true;
      this.#owner.onOverfull(stream);
      return;
    }
    if (stream.pendingBytes === 0 && bytes > 0) this.pendingStreams++;
    stream.pendingBytes += bytes;
    this.pendingBytes += bytes;
    if (stream.lastPending === undefined) stream.firstPending = pending;
    else stream.lastPending.next = pending;
    stream.lastPending = pending;
    this.queue(stream);
  }

  queue(stream: Stream): void {
    if (stream.queued) return;
    stream.queued = true;
    this.#turns.push(stream);
    this.#owner.onWritten();
  }

  /** Puts waiting data into frames, a frame a stream in turn, as far as windows and the socket allow. */
  pump(): void {
    const turns = this.#turns;
    let at = 0;
    for (; at < turns.length && this.output.length < maxOutputBytes; at++) {
      const stream = turns[at];
      if (stream === undefined) continue;
      stream.queued = false;
      if (stream.closed) continue;
      if (this.#sendTurn(stream) && !stream.closed && stream.firstPending !== undefined) {
        stream.queued = true;
        turns.push(stream);
      }
      if (this.window <= 0 && !this.#hasWindowless(turns, at + 1)) {
        at++;
        break;
      }
    }
    if (at > 0) turns.splice(0, at);
  }

  /** Whether some stream has only headers or an empty end to send, which need no window. */
  #hasWindowless(turns: readonly Stream[], from: number): boolean {
    for (let at = from; at < turns.length; at++) {
      const first = turns[at]?.firstPending;
      if (first !== undefined && (first.head?.length ?? 0) + first.body.length === 0) return true;
    }
    return false;
  }

  /** Sends a frame of a stream; false where its window, or the connection's, has to open first. */
  #sendTurn(stream: Stream): boolean {
    const pending = stream.firstPending;
    if (pending === undefined) return false;
    if (pending.trailers !== undefined) {
      this.#shift(stream);
      this.writeHeaders(stream, pending.trailers.prepared, pending.trailers.extra, pending.end);
      if (stream.firstPending === undefined) stream.listener.onDrained();
      return true;
    }
    const headBytes = pending.head === undefined ? 0 : pending.head.length;
    const left = headBytes + pending.body.length - pending.sent;
    const length = Math.min(left, stream.sendWindow, this.window, this.maxFrameBytes);
    if (length <= 0 && left > 0) {
      // The connection's window is every stream's: this one stays in line for it.
      if (this.window <= 0 && stream.sendWindow > 0) {
        stream.queued = true;
        this.#turns.push(stream);
      }
      return false;
    }
    const { sent } = pending;
    pending.sent += length;
    stream.pendingBytes -= length;
    this.pendingBytes -= length;
    if (stream.pendingBytes === 0 && length > 0) this.pendingStreams--;
    const isWhole = length === left;
    if (isWhole) this.#shift(stream);
    const headTo = Math.min(headBytes, sent + length);
    const headFrom = Math.min(sent, headTo);
    const from = Math.max(sent - headBytes, 0);
    const to = Math.max(sent + length - headBytes, 0);
    this.writeData(stream, pending.head, headFrom, headTo, pending.body, from, to, isWhole && pending.end);
    // Even where the stream has ended with it.
    if (isWhole && stream.firstPending === undefined && (pending.end || !stream.closed)) stream.listener.onDrained();
    return true;
  }

  #shift(stream: Stream): void {
    stream.firstPending = stream.firstPending?.next;
    if (stream.firstPending !== undefined) return;
    stream.lastPending = undefined;
    stream.stallSinceMs = 0;
  }

  /** Data in one frame: `head` from `headFrom` to `headTo`, then `body` from `from` to `to`. */
  writeData(
    stream: Stream,
    head: Uint8Array | undefined,
    headFrom: number,
    headTo: number,
    body: Uint8Array,
    from: number,
    to: number,
    end: boolean,
  ): void {
    const output = this.output;
    const length = headTo - headFrom + to - from;
    if (!this.#growFrame(stream.id, length, end)) {
      output.reserve(frameHeadBytes + headTo - headFrom);
      output.frameAt = output.pos;
      output.pos = putFrameHead(output.buf, output.pos, length, FrameType.data, end ? Flag.endStream : 0, stream.id);
    }
    if (head !== undefined) for (let at = headFrom; at < headTo; at++) output.buf[output.pos++] = head[at] ?? 0;
    if (to > from) output.append(body, from, to);
    this.#frameTo = output.pos;
    this.#frameStreamId = stream.id;
    stream.sendWindow -= length;
    stream.sentBytes += length;
    this.window -= length;
    this.sentBytes += length;
    if (to === body.length || length >= worthyDataBytes) this.#owner.onDataSent();
    this.#sentEnd(stream, end);
  }

  /**
   * Makes the frame before longer, where that is of the same stream and nobody has it yet: many small messages are one frame then, for the
   * peer as well. False where it cannot be.
   */
  #growFrame(streamId: number, length: number, end: boolean): boolean {
    const { buf, frameAt, pos } = this.output;
    if (frameAt < 0 || pos !== this.#frameTo || streamId !== this.#frameStreamId) return false;
    const grown = pos - frameAt - frameHeadBytes + length;
    if (grown > defaultMaxFrameBytes || buf.length - pos < length) return false;
    putFrameHead(buf, frameAt, grown, FrameType.data, end ? Flag.endStream : 0, streamId);
    return true;
  }

  writeHeaders(stream: Stream, prepared: PreparedFields, extra: readonly string[] | undefined, end: boolean): void {
    const output = this.output;
    const bytes = this.#bytesOf(prepared);
    const bound = bytes.length + (extra === undefined ? 0 : HeaderEncoder.bound(extra));
    if (end) stream.localEnd = true;
    const flags = end ? Flag.endStream | Flag.endHeaders : Flag.endHeaders;
    if (bound <= this.maxFrameBytes) {
      output.reserve(frameHeadBytes + bound);
      const { buf } = output;
      const start = output.pos;
      let at = start + frameHeadBytes;
      for (let index = 0; index < bytes.length; index++) buf[at++] = bytes[index] ?? 0;
      if (extra !== undefined) at = this.encoder.encodeUnindexed(extra, buf, at);
      putFrameHead(buf, start, at - start - frameHeadBytes, FrameType.headers, flags, stream.id);
      output.pos = at;
    } else {
      const block = new Uint8Array(bound);
      block.set(bytes);
      const length = extra === undefined ? bytes.length : this.encoder.encodeUnindexed(extra, block, bytes.length);
      this.#writeSplit(stream.id, block.subarray(0, length), end);
    }
    this.#sentEnd(stream, end);
  }

  /** A block larger than a frame: section 6.10. */
  #writeSplit(streamId: number, block: Uint8Array, end: boolean): void {
    const most = this.maxFrameBytes;
    for (let at = 0; at === 0 || at < block.length; at += most) {
      const to = Math.min(at + most, block.length);
      const flags = (to === block.length ? Flag.endHeaders : 0) | (at === 0 && end ? Flag.endStream : 0);
      this.writeFrame(at === 0 ? FrameType.headers : FrameType.continuation, flags, streamId, block.subarray(at, to));
    }
  }

  #bytesOf(prepared: PreparedFields): Uint8Array {
    if (prepared.bytes !== undefined && prepared.version === this.encoder.version) return prepared.bytes;
    const { version } = this.encoder;
    const room = new Uint8Array(HeaderEncoder.bound(prepared.fields));
    const bytes = room.subarray(0, this.encoder.encode(prepared.fields, room, 0));
    // Bytes that add to the peer's table may go once only.
    if (version === this.encoder.version) {
      prepared.bytes = bytes;
      prepared.version = version;
    }
    return bytes;
  }

  #sentEnd(stream: Stream, end: boolean): void {
    if (end) {
      stream.localEndSent = true;
      this.#owner.onEndSent(stream);
    }
    this.#owner.onWritten();
  }

  writeReset(streamId: number, code: number): void {
    this.output.reserve(frameHeadBytes + 4);
    const { buf, pos } = this.output;
    this.output.pos = putUint32(buf, putFrameHead(buf, pos, 4, FrameType.rstStream, 0, streamId), code);
    this.#owner.onWritten();
  }

  writeWindowUpdate(streamId: number, bytes: number): void {
    if (bytes <= 0) return;
    this.output.reserve(frameHeadBytes + 4);
    const { buf, pos } = this.output;
    this.output.pos = putUint32(buf, putFrameHead(buf, pos, 4, FrameType.windowUpdate, 0, streamId), bytes);
    this.#owner.onWritten();
  }

  writeGoaway(lastStreamId: number, code: number, reason: string): void {
    const payload = new Uint8Array(8 + Math.min(reason.length, 256));
    putUint32(payload, 0, lastStreamId);
    putUint32(payload, 4, code);
    for (let index = 8; index < payload.length; index++) payload[index] = reason.charCodeAt(index - 8);
    this.writeFrame(FrameType.goaway, 0, 0, payload);
  }

  writeFrame(type: number, flags: number, streamId: number, payload: Uint8Array): void {
    this.output.reserve(frameHeadBytes + payload.length);
    const { buf } = this.output;
    const at = putFrameHead(buf, this.output.pos, payload.length, type, flags, streamId);
    buf.set(payload, at);
    this.output.pos = at + payload.length;
    this.#owner.onWritten();
  }
}
