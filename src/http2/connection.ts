// One HTTP/2 connection, either side, without I/O: bytes in, calls and bytes out. RFC 9113. Knows no sockets, no timers and no gRPC.

import { Budget } from "./budget.ts";
import { ByteBuffer, noBytes } from "./byte-buffer.ts";
import { ConnectionError } from "./connection-error.ts";
import { ErrorCode, errorCodeName } from "./error-code.ts";
import { type BlockFacts, judgeBlock } from "./field-rules.ts";
import { clientPreface, defaultWindowBytes, Flag, FrameType, maxInt31, putUint32, readUint32 } from "./frame.ts";
import { FrameReader, type FrameSink } from "./frame-reader.ts";
import { type HeaderBlock, HeaderDecoder, HpackError } from "./hpack/header-decoder.ts";
import { Sender, type SenderOwner } from "./sender.ts";
import { defaultSettings, readSettings, type Settings, writeSettings } from "./settings.ts";
import { type PreparedFields, Stream, type StreamListener } from "./stream.ts";
import { StreamTable } from "./stream-table.ts";

/** Told what concerns the connection as a whole. Called while it reads or writes; must not throw. */
export interface Http2Host {
  /** There is something to flush. Not called while `receive` runs: then once at its end. */
  onOutput(): void;
  /** A peer opened a stream (servers only). Where `block.tooLarge` its fields are lost. Returns who is told of the rest. */
  onStream(stream: Stream, block: HeaderBlock, end: boolean): StreamListener;
  /** The peer's settings came, the first time or again. */
  onSettings(): void;
  /** The peer takes no more streams; those above `lastStreamId` were reset as unprocessed. */
  onGoaway(lastStreamId: number, code: number): void;
  /** The connection is over, by an offence of the peer's: flush, then close the socket. All streams were reset. */
  onError(code: number, reason: string): void;
  /** The last stream has ended. */
  onIdle(): void;
  /** After a time when none could, a stream may be opened (clients only). */
  onSlot(): void;
}

/** What a connection allows its peer; sizes in bytes. */
export interface ConnectionLimits {
  readonly maxConcurrentStreams: number;
  /** Receive window of a stream at first, at least 65535; and how far it grows while a fast sender fills it. */
  readonly initialWindowBytes: number;
  readonly maxWindowBytes: number;
  /** Receive window of the connection. It opens again as data comes, as long as less than `maxHeldBytes` waits to be consumed. */
  readonly connectionWindowBytes: number;
  readonly maxHeldBytes: number;
  readonly maxFrameBytes: number;
  readonly maxHeaderListBytes: number;
  /** Bytes that may wait for the peer to take them, on all streams; above, new streams are refused. */
  readonly maxPendingBytes: number;
}

export const defaultLimits: ConnectionLimits = {
  maxConcurrentStreams: 1000,
  initialWindowBytes: 256 * 1024,
  maxWindowBytes: 4 * 1024 * 1024,
  connectionWindowBytes: 4 * 1024 * 1024,
  maxHeldBytes: 16 * 1024 * 1024,
  maxFrameBytes: 16384,
  maxHeaderListBytes: 64 * 1024,
  maxPendingBytes: 32 * 1024 * 1024,
};

/** Control frames that may wait while the socket takes nothing. */
const maxStuckBytes = 1024 * 1024;
/** Ids of streams we reset, whose late frames are no offence. */
const rememberedResets = 1024;
/** RFC 9113 sets no end to CONTINUATION frames; this does. */
const maxContinuations = 64;

/** What a connection is made with. */
export interface ConnectionOptions {
  readonly role: "client" | "server";
  readonly host: Http2Host;
  readonly limits?: Partial<ConnectionLimits>;
  /** Milliseconds that only rise, for what peers earn back with time. */
  readonly now: () => number;
}

export class Http2Connection implements FrameSink, SenderOwner {
  readonly #host: Http2Host;
  readonly #isClient: boolean;
  readonly #limits: ConnectionLimits;
  readonly #now: () => number;
  readonly #reader: FrameReader;
  readonly #sender: Sender;
  readonly #decoder: HeaderDecoder;
  readonly #streams: StreamTable<Stream> = new StreamTable();
  readonly #peer: Settings = defaultSettings();
  #hasPeerSettings = false;
  #over = false;
  #receiving = false;
  #announced = false;

  #nextId = 1;
  #lastPeerId = 0;
  /** Above it, peers' streams are ignored: we said so in a GOAWAY. */
  #lastAccepted = maxInt31;
  #peerGoneAway = false;
  #wasFull = false;
  /** Streams up to this one have left for the socket. */
  #lastWrittenId = 0;
  #lastFlushedId = 0;

  #receiveWindow: number;
  #unannounced = 0;
  #heldBytes = 0;
  #windowTarget: number;

  /** The header block under way: the stream it belongs to, 0 for none. */
  #blockStreamId = 0;
  #blockFlags = 0;
  readonly #block: ByteBuffer = new ByteBuffer();
  #continuations = 0;

  readonly #recentResets: Set<number> = new Set();
  readonly #pings: (() => void)[] = [];
  #pingsSent = 0;
  #pingsAnswered = 0;

  /** Streams the peer resets: CVE-2023-44487. */
  readonly #resetsByPeer: Budget;
  /** Streams the peer makes us reset: CVE-2025-8671. */
  readonly #resetsByUs: Budget;
  /** Frames that carry nothing: CVE-2019-9512, -9515, -9518. Earned back by those that do. */
  readonly #idleFrames: Budget;

  constructor(options: ConnectionOptions) {
    const limits = { ...defaultLimits, ...options.limits };
    this.#host = options.host;
    this.#isClient = options.role === "client";
    this.#limits = limits;
    this.#now = options.now;
    this.#reader = new FrameReader(this, limits.maxFrameBytes, !this.#isClient);
    this.#sender = new Sender(this);
    this.#decoder = new HeaderDecoder({ maxTableBytes: 4096, maxListBytes: limits.maxHeaderListBytes });
    this.#receiveWindow = limits.connectionWindowBytes;
    this.#windowTarget = limits.initialWindowBytes;
    const nowMs = options.now();
    this.#resetsByPeer = new Budget(1000, 200, nowMs);
    this.#resetsByUs = new Budget(200, 50, nowMs);
    this.#idleFrames = new Budget(2000, 500, nowMs);
  }

  /** Writes the preface: RFC 9113, section 3.4. Once, before all else. */
  start(): void {
    const limits = this.#limits;
    const payload = writeSettings(
      {
        headerTableBytes: 4096,
        maxConcurrentStreams: limits.maxConcurrentStreams,
        initialWindowBytes: limits.initialWindowBytes,
        maxFrameBytes: limits.maxFrameBytes,
        maxHeaderListBytes: limits.maxHeaderListBytes,
      },
      this.#isClient,
    );
    if (this.#isClient) {
      this.#sender.output.reserve(clientPreface.length);
      for (let index = 0; index < clientPreface.length; index++) {
        this.#sender.output.buf[this.#sender.output.pos++] = clientPreface.charCodeAt(index);
      }
    }
    this.#sender.writeFrame(FrameType.settings, 0, 0, payload);
    this.#sender.writeWindowUpdate(0, limits.connectionWindowBytes - defaultWindowBytes);
    this.onWritten();
  }

  /** Streams that have not ended. */
  get streamCount(): number {
    return this.#streams.size;
  }

  /** Whether the peer's SETTINGS have come. */
  get isSettled(): boolean {
    return this.#hasPeerSettings;
  }

  /** No callback comes any more. */
  get isOver(): boolean {
    return this.#over;
  }

  /** Whether `open` may be called (clients only). False for good after the peer's GOAWAY and when ids are used up. */
  get canOpen(): boolean {
    return !this.#over && !this.#peerGoneAway && this.#nextId <= maxInt31 && !this.#isFull();
  }

  /** Whether the peer or the ids allow no more streams, ever. */
  get isExhausted(): boolean {
    return this.#over || this.#peerGoneAway || this.#nextId > maxInt31;
  }

  #isFull(): boolean {
    return (
      this.#streams.size >= this.#peer.maxConcurrentStreams || this.#sender.pendingBytes > this.#limits.maxPendingBytes
    );
  }

  /** Reads what came. `bytes` may be reused afterwards. */
  receive(bytes: Uint8Array, length: number): void {
    if (this.#over) return;
    this.#receiving = true;
    try {
      this.#reader.read(bytes, length);
    } catch (error) {
      if (error instanceof ConnectionError) this.fail(error.code, error.message);
      else if (error instanceof HpackError) this.fail(ErrorCode.compressionError, error.message);
      else throw error;
    } finally {
      this.#receiving = false;
    }
    if (this.#sender.output.length > 0 || this.#sender.hasTurns) {
      this.#announced = true;
      this.#host.onOutput();
    }
  }

  /** Hands everything that may go to `write`, in order, unless the socket takes nothing. */
  flush(write: (chunk: Uint8Array) => void): void {
    // What is written meanwhile goes out with this flush.
    this.#announced = true;
    // Data is put into frames only as fast as the socket takes it.
    if (this.#sender.writable) this.#sender.pump();
    this.#announced = false;
    if (!this.#sender.writable) return;
    if (this.#sender.output.length === 0) return;
    this.#lastFlushedId = this.#lastWrittenId;
    this.#sender.output.take(write);
    if (this.#sender.hasTurns && this.#sender.writable && this.#sender.window > 0) this.onWritten();
  }

  /** Whether the socket takes more. Turning it on flushes by way of `onOutput`. */
  setWritable(writable: boolean): void {
    if (this.#sender.writable === writable) return;
    this.#sender.writable = writable;
    if (writable && (this.#sender.output.length > 0 || this.#sender.hasTurns)) this.onWritten();
  }

  /** Fields to be sent many times; for this connection only. Names in lower case, one character a byte. */
  prepare(fields: readonly string[]): PreparedFields {
    return { fields, bytes: undefined, version: -1 };
  }

  /** Opens a stream with request headers (clients only); `canOpen` must hold. `extra` are fields that differ from call to call. */
  open(listener: StreamListener, prepared: PreparedFields, extra: readonly string[] | undefined, end: boolean): Stream {
    const stream = new Stream(this.#nextId, listener, this.#peer.initialWindowBytes, this.#limits.initialWindowBytes);
    this.#nextId += 2;
    this.#streams.add(stream);
    if (this.#isFull()) this.#wasFull = true;
    this.#lastWrittenId = stream.id;
    this.#sender.writeHeaders(stream, prepared, extra, end);
    return stream;
  }

  /** Sends response headers, or trailers with `end`, behind whatever data waits. */
  sendHeaders(stream: Stream, prepared: PreparedFields, extra: readonly string[] | undefined, end: boolean): void {
    this.#sender.sendHeaders(stream, prepared, extra, end);
  }

  /** See `Sender.sendData`. */
  sendData(stream: Stream, head: Uint8Array | undefined, body: Uint8Array, end: boolean): boolean {
    return this.#sender.sendData(stream, head, body, end);
  }

  /** The layer above is done with `bytes` of a stream's data: the peer may send as many more. */
  consumed(stream: Stream, bytes: number): void {
    if (bytes === 0 || stream.closed) return;
    stream.heldBytes -= bytes;
    this.#release(bytes);
    if (stream.remoteEnd) return;
    stream.consumedBytes += bytes;
    // A sender that filled half the window before we gave any of it back could use more.
    if (stream.consumedBytes * 2 < this.#windowTarget) return;
    if (stream.receiveWindow * 4 < this.#windowTarget && this.#windowTarget < this.#limits.maxWindowBytes) {
      this.#windowTarget = Math.min(this.#windowTarget * 2, this.#limits.maxWindowBytes);
    }
    const open = this.#windowTarget - stream.receiveWindow - stream.heldBytes;
    stream.consumedBytes = 0;
    if (open <= 0) return;
    stream.receiveWindow += open;
    this.#sender.writeWindowUpdate(stream.id, open);
    this.onWritten();
  }

  /** Ends a stream before its time. Its listener hears nothing more. */
  resetStream(stream: Stream, code: number): void {
    if (stream.closed) return;
    this.#writeReset(stream.id, code);
    this.#close(stream);
  }

  /** Says that no stream above `lastStreamId` is taken: 2^31-1 to begin with, then the last one accepted (RFC 9113, section 6.8). */
  goaway(lastStreamId: number, code: number): void {
    if (this.#over) return;
    this.#sender.writeGoaway(Math.min(lastStreamId, this.#lastAccepted), code, "");
    if (lastStreamId < maxInt31) this.#lastAccepted = Math.min(this.#lastAccepted, lastStreamId);
    this.onWritten();
  }

  /** The last stream that the peer opened and we took. */
  get lastPeerStreamId(): number {
    return this.#lastPeerId;
  }

  /** Sends a PING; `onAnswer` is called when its answer comes. */
  ping(onAnswer: () => void): void {
    if (this.#over) return;
    this.#pings.push(onAnswer);
    const payload = new Uint8Array(8);
    putUint32(payload, 4, this.#pingsSent++);
    this.#sender.writeFrame(FrameType.ping, 0, 0, payload);
    this.onWritten();
  }

  /** The socket is gone: resets all streams. Those whose headers never left are unprocessed. No callback comes afterwards. */
  abort(code: number): void {
    if (this.#over) return;
    this.#over = true;
    this.#reader.stop();
    const flushed = this.#lastFlushedId;
    for (const stream of this.#streams.all()) {
      const { listener } = stream;
      this.#forget(stream);
      listener.onReset(code, this.#isClient && stream.id > flushed);
    }
  }

  /** Ends the connection for an offence of the peer's. */
  fail(code: number, reason: string): void {
    if (this.#over) return;
    this.#sender.writeGoaway(this.#isClient ? 0 : this.#lastPeerId, code, reason);
    this.abort(code);
    this.#host.onError(code, reason);
    this.#host.onOutput();
  }

  // What FrameReader tells.

  onHead(type: number, _flags: number, streamId: number, length: number): void {
    if (this.#blockStreamId !== 0 && (type !== FrameType.continuation || streamId !== this.#blockStreamId)) {
      // RFC 9113, section 6.10.
      throw protocolError("a frame stands amid a header block");
    }
    if (!this.#hasPeerSettings && type !== FrameType.settings) {
      throw protocolError("the first frame is not SETTINGS");
    }
    if (type === FrameType.data) this.#onDataHead(streamId, length);
  }

  onData(streamId: number, bytes: Uint8Array, from: number, to: number, isLast: boolean, flags: number): void {
    const stream = this.#streams.get(streamId);
    if (stream === undefined || stream.closed || stream.remoteEnd) return;
    const length = to - from;
    const end = isLast && (flags & Flag.endStream) !== 0;
    if (length === 0 && !end) return;
    if (stream.contentLeft >= 0) {
      stream.contentLeft -= length;
      // RFC 9113, section 8.1.1.
      if (stream.contentLeft < 0 || (end && stream.contentLeft > 0)) {
        this.#offend(stream, ErrorCode.protocolError);
        return;
      }
    }
    stream.heldBytes += length;
    this.#heldBytes += length;
    if (end) stream.remoteEnd = true;
    stream.listener.onData(bytes, from, to, end);
    if (end) this.#maybeClose(stream);
  }

  onFrame(type: number, flags: number, streamId: number, bytes: Uint8Array, from: number, to: number): void {
    switch (type) {
      case FrameType.headers:
        this.#onHeaders(flags, streamId, bytes, from, to);
        return;
      case FrameType.continuation:
        this.#onContinuation(flags, streamId, bytes, from, to);
        return;
      case FrameType.windowUpdate:
        this.#onWindowUpdate(streamId, bytes, from, to);
        return;
      case FrameType.rstStream:
        this.#onReset(streamId, bytes, from, to);
        return;
      case FrameType.settings:
        this.#onSettings(flags, streamId, bytes, from, to);
        return;
      case FrameType.ping:
        this.#onPing(flags, streamId, bytes, from, to);
        return;
      case FrameType.goaway:
        this.#onGoaway(streamId, bytes, from, to);
        return;
      case FrameType.priority:
        this.#onPriority(streamId, bytes, from, to);
        return;
      case FrameType.pushPromise:
        // Clients refuse pushes by SETTINGS, servers never get any: section 8.4.
        throw protocolError("a PUSH_PROMISE came");
      default:
        // Section 4.1: unknown types are ignored.
        this.#spendIdleFrame("unknown frames");
    }
  }

  #onDataHead(streamId: number, length: number): void {
    if (streamId === 0) throw protocolError("DATA came on stream 0");
    this.#receiveWindow -= length;
    if (this.#receiveWindow < 0) {
      throw new ConnectionError(ErrorCode.flowControlError, "the peer overran the connection's window");
    }
    this.#unannounced += length;
    this.#reopen();
    const stream = this.#streams.get(streamId);
    if (stream === undefined || stream.remoteEnd) {
      this.#onClosedStream(streamId, "DATA");
      return;
    }
    if (!stream.gotHeaders) throw protocolError("DATA came before HEADERS");
    stream.receiveWindow -= length;
    if (stream.receiveWindow < 0) {
      this.#offend(stream, ErrorCode.flowControlError);
      return;
    }
    if (length === 0) this.#spendIdleFrame("empty DATA frames");
    else this.#idleFrames.earn();
  }

  #onHeaders(flags: number, streamId: number, bytes: Uint8Array, from: number, to: number): void {
    if (streamId === 0) throw protocolError("HEADERS came on stream 0");
    let at = from;
    let end = to;
    if ((flags & Flag.padded) !== 0) {
      const padding = bytes[at] ?? 0;
      at++;
      end -= padding;
    }
    let dependsOnItself = false;
    if ((flags & Flag.priority) !== 0) {
      dependsOnItself = (readUint32(bytes, at) & maxInt31) === streamId;
      at += 5;
    }
    if (at > end) {
      throw new ConnectionError(ErrorCode.protocolError, "HEADERS are shorter than their padding and priority");
    }
    if (dependsOnItself) throw protocolError("a stream depends on itself");
    if ((flags & Flag.endHeaders) !== 0) {
      this.#onBlock(streamId, flags, bytes, at, end);
      return;
    }
    this.#blockStreamId = streamId;
    this.#blockFlags = flags;
    this.#continuations = 0;
    this.#keepBlock(bytes, at, end);
  }

  #onContinuation(flags: number, streamId: number, bytes: Uint8Array, from: number, to: number): void {
    if (this.#blockStreamId === 0) throw protocolError("CONTINUATION came without HEADERS");
    if (++this.#continuations > maxContinuations) {
      throw new ConnectionError(ErrorCode.enhanceYourCalm, "too many CONTINUATION frames");
    }
    this.#keepBlock(bytes, from, to);
    if ((flags & Flag.endHeaders) === 0) return;
    const block = this.#block.take();
    this.#blockStreamId = 0;
    this.#onBlock(streamId, this.#blockFlags, block, 0, block.length);
  }

  #keepBlock(bytes: Uint8Array, from: number, to: number): void {
    // The list counts 32 bytes a field beyond its texts, and Huffman code takes 30 bits for a byte at worst: this is ample.
    if (this.#block.length + to - from > this.#limits.maxHeaderListBytes * 2) {
      throw new ConnectionError(ErrorCode.enhanceYourCalm, "a header block is too large");
    }
    this.#block.append(bytes, from, to);
  }

  #onBlock(streamId: number, flags: number, bytes: Uint8Array, from: number, to: number): void {
    // Before all else, whatever becomes of the stream: the table must follow.
    const block = this.#decoder.decode(bytes, from, to);
    const end = (flags & Flag.endStream) !== 0;
    const stream = this.#streams.get(streamId);
    if (stream !== undefined) {
      if (stream.remoteEnd) this.#offend(stream, ErrorCode.streamClosed);
      else this.#onMoreHeaders(stream, block, end);
    } else if (this.#isClient) {
      this.#onClosedStream(streamId, "HEADERS");
    } else {
      this.#onNewStream(streamId, block, end);
    }
  }

  #onNewStream(streamId: number, block: HeaderBlock, end: boolean): void {
    if ((streamId & 1) === 0) throw protocolError("a client opened a stream of an even id");
    if (streamId <= this.#lastPeerId) {
      this.#onClosedStream(streamId, "HEADERS");
      return;
    }
    this.#idleFrames.earn();
    if (streamId > this.#lastAccepted) return;
    this.#lastPeerId = streamId;
    if (
      this.#streams.size >= this.#limits.maxConcurrentStreams ||
      this.#sender.pendingBytes > this.#limits.maxPendingBytes
    ) {
      this.#refuse(streamId, ErrorCode.refusedStream);
      return;
    }
    const facts: BlockFacts = block.tooLarge ? unknownRequest : judgeBlock(block);
    if (facts.kind !== "request" || (end && facts.contentLength > 0)) {
      this.#refuse(streamId, ErrorCode.protocolError);
      return;
    }
    const stream = new Stream(streamId, ignoring, this.#peer.initialWindowBytes, this.#limits.initialWindowBytes);
    stream.gotHeaders = true;
    stream.contentLeft = facts.contentLength;
    stream.remoteEnd = end;
    this.#streams.add(stream);
    stream.listener = this.#host.onStream(stream, block, end);
  }

  #onMoreHeaders(stream: Stream, block: HeaderBlock, end: boolean): void {
    const facts: BlockFacts = block.tooLarge ? unknownTrailers : judgeBlock(block);
    if (!this.#isClient || stream.gotHeaders) {
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
    }
    this.#idleFrames.earn();
    if (end) stream.remoteEnd = true;
    stream.listener.onHeaders(block, end);
    if (end) this.#maybeClose(stream);
  }

  /** Whether nobody has opened it yet: RFC 9113, section 5.1. */
  #isIdle(streamId: number): boolean {
    const isOurs = (streamId & 1) === (this.#isClient ? 1 : 0);
    return isOurs ? streamId >= this.#nextId : streamId > this.#lastPeerId;
  }

  /** A frame for a stream that is not there: late after our reset, or an offence. RFC 9113, section 5.1. */
  #onClosedStream(streamId: number, what: string): void {
    const isIdle = this.#isIdle(streamId);
    if (isIdle && streamId > this.#lastAccepted) return;
    if (isIdle) throw protocolError(`${what} came on a stream that was never opened`);
    if (this.#recentResets.has(streamId)) {
      this.#spendIdleFrame("frames on streams that were reset");
      return;
    }
    throw new ConnectionError(ErrorCode.streamClosed, `${what} came on a stream that has ended`);
  }

  #onWindowUpdate(streamId: number, bytes: Uint8Array, from: number, to: number): void {
    if (to - from !== 4) throw new ConnectionError(ErrorCode.frameSizeError, "WINDOW_UPDATE is not 4 bytes");
    const increment = readUint32(bytes, from) & maxInt31;
    this.#spendIdleFrame("WINDOW_UPDATE frames");
    if (streamId === 0) {
      if (increment === 0) throw protocolError("WINDOW_UPDATE by 0");
      this.#sender.window += increment;
      if (this.#sender.window > maxInt31) {
        throw new ConnectionError(ErrorCode.flowControlError, "the connection's window exceeds 2^31-1");
      }
      return;
    }
    const stream = this.#streams.get(streamId);
    if (stream === undefined) {
      this.#ignoreOnClosed(streamId, "WINDOW_UPDATE");
      return;
    }
    if (increment === 0) {
      this.#offend(stream, ErrorCode.protocolError);
      return;
    }
    stream.sendWindow += increment;
    if (stream.sendWindow > maxInt31) this.#offend(stream, ErrorCode.flowControlError);
    else if (stream.firstPending !== undefined) this.#sender.queue(stream);
  }

  #onReset(streamId: number, bytes: Uint8Array, from: number, to: number): void {
    if (to - from !== 4) throw new ConnectionError(ErrorCode.frameSizeError, "RST_STREAM is not 4 bytes");
    if (streamId === 0) throw protocolError("RST_STREAM came on stream 0");
    const stream = this.#streams.get(streamId);
    if (stream === undefined) {
      this.#ignoreOnClosed(streamId, "RST_STREAM");
      return;
    }
    if (!this.#isClient && !this.#resetsByPeer.spend(this.#now)) {
      throw new ConnectionError(ErrorCode.enhanceYourCalm, "too many streams were reset");
    }
    const code = readUint32(bytes, from);
    const { listener } = stream;
    this.#close(stream);
    listener.onReset(code, code === ErrorCode.refusedStream);
  }

  /** WINDOW_UPDATE and RST_STREAM may cross the stream's end: RFC 9113, section 5.1. */
  #ignoreOnClosed(streamId: number, what: string): void {
    const isIdle = this.#isIdle(streamId);
    if (isIdle && streamId <= this.#lastAccepted) {
      throw protocolError(`${what} came on a stream that was never opened`);
    }
    if (what !== "WINDOW_UPDATE") this.#spendIdleFrame(`${what} frames`);
  }

  #onSettings(flags: number, streamId: number, bytes: Uint8Array, from: number, to: number): void {
    if (streamId !== 0) throw protocolError("SETTINGS came on a stream");
    if ((flags & Flag.ack) !== 0) {
      if (to !== from) throw new ConnectionError(ErrorCode.frameSizeError, "an answer to SETTINGS has settings");
      this.#spendIdleFrame("answers to SETTINGS");
      return;
    }
    this.#spendIdleFrame("SETTINGS frames");
    const windowBefore = this.#peer.initialWindowBytes;
    readSettings(this.#peer, bytes, from, to, this.#isClient);
    this.#sender.encoder.setMaxTableBytes(this.#peer.headerTableBytes);
    const change = this.#peer.initialWindowBytes - windowBefore;
    if (change !== 0) this.#moveWindows(change);
    this.#hasPeerSettings = true;
    this.#sender.writeFrame(FrameType.settings, Flag.ack, 0, noBytes);
    this.#checkStuck();
    this.#host.onSettings();
    this.#offerSlot();
  }

  /** Section 6.9.2: a new initial window moves those of all streams. */
  #moveWindows(change: number): void {
    for (const stream of this.#streams.all()) {
      stream.sendWindow += change;
      if (stream.sendWindow > maxInt31) {
        throw new ConnectionError(ErrorCode.flowControlError, "a stream's window exceeds 2^31-1");
      }
      if (stream.firstPending !== undefined) this.#sender.queue(stream);
    }
  }

  #onPing(flags: number, streamId: number, bytes: Uint8Array, from: number, to: number): void {
    if (to - from !== 8) throw new ConnectionError(ErrorCode.frameSizeError, "PING is not 8 bytes");
    if (streamId !== 0) throw protocolError("PING came on a stream");
    this.#spendIdleFrame("PING frames");
    if ((flags & Flag.ack) === 0) {
      this.#sender.writeFrame(FrameType.ping, Flag.ack, 0, bytes.subarray(from, to));
      this.#checkStuck();
      return;
    }
    if (this.#pings.length === 0 || readUint32(bytes, from + 4) !== this.#pingsAnswered) return;
    this.#pingsAnswered++;
    this.#pings.shift()?.();
  }

  #onGoaway(streamId: number, bytes: Uint8Array, from: number, to: number): void {
    if (streamId !== 0) throw protocolError("GOAWAY came on a stream");
    if (to - from < 8) throw new ConnectionError(ErrorCode.frameSizeError, "GOAWAY is shorter than 8 bytes");
    this.#spendIdleFrame("GOAWAY frames");
    const lastStreamId = readUint32(bytes, from) & maxInt31;
    const code = readUint32(bytes, from + 4);
    this.#peerGoneAway = true;
    if (this.#isClient) {
      for (const stream of this.#streams.all()) {
        if (stream.id <= lastStreamId) continue;
        const { listener } = stream;
        this.#close(stream);
        listener.onReset(ErrorCode.refusedStream, true);
      }
    }
    this.#host.onGoaway(lastStreamId, code);
  }

  #onPriority(streamId: number, bytes: Uint8Array, from: number, to: number): void {
    if (streamId === 0) throw protocolError("PRIORITY came on stream 0");
    this.#spendIdleFrame("PRIORITY frames");
    const stream = this.#streams.get(streamId);
    if (to - from !== 5) {
      if (stream === undefined) this.#refuse(streamId, ErrorCode.frameSizeError);
      else this.#offend(stream, ErrorCode.frameSizeError);
    } else if ((readUint32(bytes, from) & maxInt31) === streamId) {
      if (stream === undefined) this.#refuse(streamId, ErrorCode.protocolError);
      else this.#offend(stream, ErrorCode.protocolError);
    }
  }

  // Streams' ends.

  /** A stream error: RFC 9113, section 5.4.2. */
  #offend(stream: Stream, code: number): void {
    const { listener } = stream;
    this.#close(stream);
    this.#refuse(stream.id, code);
    listener.onReset(code, false);
  }

  /** Resets at the peer's instigation. */
  #refuse(streamId: number, code: number): void {
    this.#writeReset(streamId, code);
    if (!this.#resetsByUs.spend(this.#now)) {
      throw new ConnectionError(ErrorCode.enhanceYourCalm, `too many streams had to be reset: ${errorCodeName(code)}`);
    }
  }

  #maybeClose(stream: Stream): void {
    if (stream.remoteEnd && stream.localEndSent && !stream.closed) this.#close(stream);
  }

  #close(stream: Stream): void {
    const wasFull = this.#wasFull;
    this.#forget(stream);
    if (wasFull) this.#offerSlot();
    if (this.#streams.size === 0) this.#host.onIdle();
  }

  #forget(stream: Stream): void {
    stream.closed = true;
    this.#sender.pendingBytes -= stream.pendingBytes;
    stream.pendingBytes = 0;
    stream.firstPending = undefined;
    stream.lastPending = undefined;
    this.#streams.delete(stream);
    if (stream.heldBytes > 0) this.#release(stream.heldBytes);
    stream.heldBytes = 0;
  }

  #offerSlot(): void {
    if (!this.#wasFull || !this.canOpen) return;
    this.#wasFull = false;
    this.#host.onSlot();
  }

  // Receiving.

  #release(bytes: number): void {
    this.#heldBytes -= bytes;
    this.#reopen();
  }

  /** Opens the connection's window again: at once, as what one stream does not read must not stop the others; up to a limit. */
  #reopen(): void {
    if (this.#unannounced * 2 < this.#limits.connectionWindowBytes) return;
    if (this.#heldBytes > this.#limits.maxHeldBytes || this.#over) return;
    const bytes = this.#unannounced;
    this.#unannounced = 0;
    this.#receiveWindow += bytes;
    this.#sender.writeWindowUpdate(0, bytes);
    this.onWritten();
  }

  #spendIdleFrame(what: string): void {
    if (this.#idleFrames.spend(this.#now)) return;
    throw new ConnectionError(ErrorCode.enhanceYourCalm, `too many ${what}`);
  }

  /** What a peer makes us answer while it takes none of our answers: CVE-2019-9512, -9515. */
  #checkStuck(): void {
    if (this.#sender.writable || this.#sender.output.length < maxStuckBytes) return;
    throw new ConnectionError(ErrorCode.enhanceYourCalm, "the peer asks and reads no answers");
  }

  // What the sender tells.

  onWritten(): void {
    if (this.#announced || this.#receiving || this.#over) return;
    this.#announced = true;
    this.#host.onOutput();
  }

  onDataSent(): void {
    this.#idleFrames.earn();
  }

  onEndSent(stream: Stream): void {
    if (stream.remoteEnd) {
      this.#close(stream);
    } else if (!this.#isClient) {
      // The answer is whole, the request not: section 8.1.
      this.#writeReset(stream.id, ErrorCode.noError);
      this.#close(stream);
    }
  }

  #writeReset(streamId: number, code: number): void {
    this.#recentResets.add(streamId);
    if (this.#recentResets.size > rememberedResets) {
      for (const oldest of this.#recentResets) {
        this.#recentResets.delete(oldest);
        break;
      }
    }
    this.#sender.writeReset(streamId, code);
  }
}

const unknownRequest: BlockFacts = { kind: "request", contentLength: -1 };
const unknownTrailers: BlockFacts = { kind: "trailers", contentLength: -1 };

/** Until `onStream` has returned. */
const ignoring: StreamListener = { onHeaders() {}, onData() {}, onReset() {}, onDrained() {} };

function protocolError(reason: string): ConnectionError {
  return new ConnectionError(ErrorCode.protocolError, reason);
}
