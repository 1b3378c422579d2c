// What the peer's frames do to streams and connection, for both roles. RFC 9113, sections 5, 6 and 8. Reads no bytes of heads and sends
// no data.

import { readUint32 } from "../core/uint32.ts";
import { ConnectionError, frameSizeError, protocolError } from "./connection-error.ts";
import { ControlFrames, headerTableBytes } from "./control-frames.ts";
import { ErrorCode, errorCodeName } from "./error-code.ts";
import { type BlockFacts, judgeBlock } from "./field-rules.ts";
import { Flag, FrameType, maxInt31 } from "./frame.ts";
import type { FrameSink } from "./frame-reader.ts";
import { type BlockSink, HeaderBlocks } from "./header-blocks.ts";
import type { HeaderBlock } from "./hpack/header-decoder.ts";
import { tinyDataBytes } from "./peer-budgets.ts";
import type { Stream, StreamListener } from "./stream.ts";
import type { ConnectionParts, StreamSet } from "./stream-set.ts";

export class Inbound implements FrameSink, BlockSink {
  readonly control: ControlFrames;
  readonly blocks: HeaderBlocks;
  readonly #parts: ConnectionParts;
  readonly #streams: StreamSet;

  constructor(parts: ConnectionParts, streams: StreamSet) {
    this.#parts = parts;
    this.#streams = streams;
    this.control = new ControlFrames(parts, streams);
    this.blocks = new HeaderBlocks(this, headerTableBytes, parts.limits.maxHeaderListBytes);
  }

  // What FrameReader tells.

  onHead(type: number, flags: number, streamId: number, length: number): void {
    const open = this.blocks.openStreamId;
    if (open !== 0 && (type !== FrameType.continuation || streamId !== open)) {
      // Section 6.10.
      throw protocolError("a frame stands amid a header block");
    }
    if (!this.control.isSettled && (type !== FrameType.settings || (flags & Flag.ack) !== 0)) {
      // Section 3.4.
      throw protocolError("the first frame is not SETTINGS");
    }
    if (type === FrameType.data) this.#onDataHead(flags, streamId, length);
  }

  onPadding(streamId: number, flags: number, padding: number, dataLength: number): void {
    this.#judgeData(flags, dataLength);
    const stream = this.#streams.get(streamId);
    if (stream !== undefined) this.#parts.windows.skip(stream, padding);
  }

  onData(streamId: number, bytes: Uint8Array, from: number, to: number, isLast: boolean, flags: number): void {
    const stream = this.#streams.get(streamId);
    if (stream === undefined || stream.closed || stream.remoteEnd) return;
    const length = to - from;
    const end = isLast && (flags & Flag.endStream) !== 0;
    if (length === 0 && !end) return;
    if (stream.contentLeft >= 0) {
      stream.contentLeft -= length;
      // Section 8.1.1.
      if (stream.contentLeft < 0 || (end && stream.contentLeft > 0)) {
        this.#offend(stream, ErrorCode.protocolError);
        return;
      }
    }
    this.#parts.windows.hold(stream, length);
    if (end) stream.remoteEnd = true;
    stream.listener.onData(bytes, from, to, end);
    if (end) this.#streams.closeIfDone(stream);
  }

  onFrame(type: number, flags: number, streamId: number, bytes: Uint8Array, from: number, to: number): void {
    switch (type) {
      case FrameType.headers:
        this.blocks.onHeaders(flags, streamId, bytes, from, to);
        return;
      case FrameType.continuation:
        this.blocks.onContinuation(flags, streamId, bytes, from, to);
        return;
      case FrameType.windowUpdate:
        this.#onWindowUpdate(streamId, bytes, from, to);
        return;
      case FrameType.rstStream:
        this.#onReset(streamId, bytes, from, to);
        return;
      case FrameType.settings:
        this.control.onSettings(flags, streamId, bytes, from, to);
        return;
      case FrameType.ping:
        this.control.onPing(flags, streamId, bytes, from, to);
        return;
      case FrameType.goaway:
        this.control.onGoaway(streamId, bytes, from, to);
        return;
      case FrameType.priority:
        this.#onPriority(streamId, bytes, from, to);
        return;
      case FrameType.pushPromise:
        // Clients refuse pushes by SETTINGS, servers never get any: section 8.4.
        throw protocolError("a PUSH_PROMISE came");
      default:
        // Section 4.1: unknown types are ignored.
        this.#parts.budgets.chatter("unknown frames");
    }
  }

  // Data.

  #onDataHead(flags: number, streamId: number, length: number): void {
    if (streamId === 0) throw protocolError("DATA came on stream 0");
    this.#parts.windows.onFrame(length);
    const stream = this.#streams.get(streamId);
    if (stream === undefined) {
      this.#onLateData(streamId, length);
      return;
    }
    if (stream.remoteEnd) {
      this.#offend(stream, ErrorCode.streamClosed);
      return;
    }
    if (!stream.gotHeaders) throw protocolError("DATA came before HEADERS");
    stream.receiveWindow -= length;
    if (stream.receiveWindow < 0) {
      this.#offend(stream, ErrorCode.flowControlError);
      return;
    }
    if ((flags & Flag.padded) === 0) this.#judgeData(flags, length);
  }

  /** Small pieces cost as much as large ones: those that are no message's are counted, others earn. */
  #judgeData(flags: number, length: number): void {
    if (length >= tinyDataBytes) this.#parts.budgets.earnByData();
    else if ((flags & Flag.endStream) === 0) this.#parts.budgets.chatter("DATA frames that are all but empty");
  }

  /** Data on a stream that is not there: as much as its window allowed is no offence while the peer may not know of our reset. */
  #onLateData(streamId: number, length: number): void {
    const reset = this.#streams.resets.find(streamId, this.#parts.budgets.nowMs);
    if (reset === undefined) {
      this.#onClosedStream(streamId, "DATA");
      return;
    }
    reset.windowLeft -= length;
    if (reset.windowLeft < 0) {
      throw new ConnectionError(ErrorCode.flowControlError, "the peer overran the window of a stream that was reset");
    }
    if (length < tinyDataBytes) this.#parts.budgets.chatter("frames on streams that were reset");
  }

  // Headers.

  onBlock(streamId: number, block: HeaderBlock, end: boolean): void {
    if (block.tooLarge) this.#parts.budgets.oversize();
    const stream = this.#streams.get(streamId);
    if (stream !== undefined) {
      if (stream.remoteEnd) this.#offend(stream, ErrorCode.streamClosed);
      else this.#onMoreHeaders(stream, block, end);
    } else if (this.#parts.isClient || this.#isClosed(streamId)) {
      this.#onLateHeaders(streamId);
    } else {
      this.#onNewStream(streamId, block, end);
    }
  }

  #onNewStream(streamId: number, block: HeaderBlock, end: boolean): void {
    const { budgets } = this.#parts;
    budgets.earnByStream();
    if (streamId > this.#streams.lastAccepted) return;
    this.#streams.lastPeerId = streamId;
    if (this.#streams.isOverfull) {
      this.#streams.reset(streamId, ErrorCode.refusedStream);
      budgets.refusal(block.listBytes);
      return;
    }
    const facts: BlockFacts = block.tooLarge ? unknownRequest : judgeBlock(block);
    if (facts.kind !== "request" || (end && facts.contentLength > 0)) {
      this.#refuse(streamId, ErrorCode.protocolError);
      return;
    }
    const stream = this.#streams.take(streamId, ignoring, block.tooLarge ? 0 : block.listBytes);
    stream.gotHeaders = true;
    stream.contentLeft = facts.contentLength;
    stream.remoteEnd = end;
    stream.listener = this.#parts.host.onStream(stream, block, end);
  }

  #onMoreHeaders(stream: Stream, block: HeaderBlock, end: boolean): void {
    const facts: BlockFacts = block.tooLarge ? unknownTrailers : judgeBlock(block);
    if (!this.#parts.isClient || stream.gotHeaders) {
      // Section 8.1: a second block ends the stream.
      if (facts.kind !== "trailers" || !end || stream.contentLeft > 0) {
        this.#offend(stream, ErrorCode.protocolError);
        return;
      }
    } else if (block.tooLarge || facts.kind === "response") {
      stream.gotHeaders = true;
      stream.contentLeft = end ? -1 : facts.contentLength;
    } else if (facts.kind !== "informational" || end) {
      this.#offend(stream, ErrorCode.protocolError);
      return;
    } else {
      this.#parts.budgets.chatter("informational headers");
    }
    if (end) stream.remoteEnd = true;
    stream.listener.onHeaders(block, end);
    if (end) this.#streams.closeIfDone(stream);
  }

  #onLateHeaders(streamId: number): void {
    const reset = this.#streams.resets.find(streamId, this.#parts.budgets.nowMs);
    if (reset === undefined || --reset.blocksLeft < 0) this.#onClosedStream(streamId, "HEADERS");
  }

  /** Whether a client may not open it, as it did so before or it is not for clients to open: section 5.1.1. */
  #isClosed(streamId: number): boolean {
    if ((streamId & 1) === 0) throw protocolError("a client opened a stream of an even id");
    return streamId <= this.#streams.lastPeerId;
  }

  /** A frame for a stream that is not there: late after our reset, or an offence. Section 5.1. */
  #onClosedStream(streamId: number, what: string): void {
    const { budgets } = this.#parts;
    const isIdle = this.#streams.isIdle(streamId);
    if (isIdle && streamId > this.#streams.lastAccepted) return;
    if (isIdle) throw protocolError(`${what} came on a stream that was never opened`);
    const { resets } = this.#streams;
    if (resets.find(streamId, budgets.nowMs) === undefined && !resets.mayHaveForgotten(streamId, budgets.nowMs)) {
      throw new ConnectionError(ErrorCode.streamClosed, `${what} came on a stream that has ended`);
    }
    budgets.chatter("frames on streams that were reset");
  }

  // Windows and resets.

  #onWindowUpdate(streamId: number, bytes: Uint8Array, from: number, to: number): void {
    if (to - from !== 4) throw frameSizeError("WINDOW_UPDATE is not 4 bytes");
    const increment = readUint32(bytes, from) & maxInt31;
    const { budgets, sender } = this.#parts;
    budgets.chatter("WINDOW_UPDATE frames");
    if (streamId === 0) {
      if (increment === 0) throw protocolError("WINDOW_UPDATE by 0");
      sender.window += increment;
      if (sender.window > maxInt31) {
        throw new ConnectionError(ErrorCode.flowControlError, "the connection's window exceeds 2^31-1");
      }
      return;
    }
    const stream = this.#streams.get(streamId);
    if (stream === undefined) {
      this.#refuseIdle(streamId, "WINDOW_UPDATE");
      return;
    }
    if (increment === 0) {
      this.#offend(stream, ErrorCode.protocolError);
      return;
    }
    stream.sendWindow += increment;
    if (stream.sendWindow > maxInt31) this.#offend(stream, ErrorCode.flowControlError);
    else if (stream.firstPending !== undefined) sender.queue(stream);
  }

  #onReset(streamId: number, bytes: Uint8Array, from: number, to: number): void {
    if (to - from !== 4) throw frameSizeError("RST_STREAM is not 4 bytes");
    if (streamId === 0) throw protocolError("RST_STREAM came on stream 0");
    const stream = this.#streams.get(streamId);
    if (stream === undefined) {
      this.#refuseIdle(streamId, "RST_STREAM");
      this.#parts.budgets.chatter("RST_STREAM frames");
      return;
    }
    const code = readUint32(bytes, from);
    const { listener } = stream;
    stream.resetByPeer = true;
    this.#streams.close(stream);
    listener.onReset(code, code === ErrorCode.refusedStream);
    if (!this.#parts.isClient) this.#parts.budgets.resetByPeer(stream.openedMs);
  }

  /** WINDOW_UPDATE and RST_STREAM may cross the stream's end, but not come before its beginning: section 5.1. */
  #refuseIdle(streamId: number, what: string): void {
    if (this.#streams.isIdle(streamId) && streamId <= this.#streams.lastAccepted) {
      throw protocolError(`${what} came on a stream that was never opened`);
    }
  }

  #onPriority(streamId: number, bytes: Uint8Array, from: number, to: number): void {
    if (streamId === 0) throw protocolError("PRIORITY came on stream 0");
    this.#parts.budgets.chatter("PRIORITY frames");
    // Section 5.3.2: deprecated, so that what it says is of no account.
    let code: number | undefined;
    if (to - from !== 5) code = ErrorCode.frameSizeError;
    else if ((readUint32(bytes, from) & maxInt31) === streamId) code = ErrorCode.protocolError;
    if (code === undefined) return;
    const stream = this.#streams.get(streamId);
    if (stream === undefined) this.#refuse(streamId, code);
    else this.#offend(stream, code);
  }

  // Stream errors: section 5.4.2.

  #offend(stream: Stream, code: number): void {
    const { listener } = stream;
    this.#streams.reset(stream.id, code);
    listener.onReset(code, false);
    this.#parts.budgets.offence(errorCodeName(code));
  }

  /** As `#offend`, where there is no stream. */
  #refuse(streamId: number, code: number): void {
    this.#streams.reset(streamId, code);
    this.#parts.budgets.offence(errorCodeName(code));
  }
}

const unknownRequest: BlockFacts = { kind: "request", contentLength: -1 };
const unknownTrailers: BlockFacts = { kind: "trailers", contentLength: -1 };

/** Until `onStream` has returned. */
const ignoring: StreamListener = { onHeaders() {}, onData() {}, onReset() {}, onDrained() {} };
