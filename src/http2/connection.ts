// One HTTP/2 connection, either side, without I/O: bytes in, calls and bytes out. RFC 9113. Knows no sockets, no timers and no gRPC.
// What comes is in inbound.ts, what goes in sender.ts, what there is in stream-set.ts; this file is what others see of them.

import { ConnectionError } from "./connection-error.ts";
import { type ConnectionLimits, resolveLimits } from "./connection-limits.ts";
import { ErrorCode } from "./error-code.ts";
import { maxInt31 } from "./frame.ts";
import { FrameReader } from "./frame-reader.ts";
import { HpackBombError, HpackError } from "./hpack/header-decoder.ts";
import type { Http2Host } from "./http2-host.ts";
import { Inbound } from "./inbound.ts";
import { PeerBudgets } from "./peer-budgets.ts";
import { ReceiveWindows } from "./receive-windows.ts";
import { Sender, type SenderOwner } from "./sender.ts";
import { defaultSettings, type Settings } from "./settings.ts";
import type { PreparedFields, Stream, StreamListener } from "./stream.ts";
import { StreamSet } from "./stream-set.ts";

export { type ConnectionLimits, defaultLimits } from "./connection-limits.ts";
export type { Http2Host } from "./http2-host.ts";

/**
 * Answers and other frames that may wait while the socket takes nothing: CVE-2019-9512, -9515. Data does not wait there, but header
 * blocks do.
 */
const maxStuckBytes = 4 * 1024 * 1024;

/** What a connection is made with. */
export interface ConnectionOptions {
  readonly role: "client" | "server";
  readonly host: Http2Host;
  readonly limits?: Partial<ConnectionLimits>;
  /** Milliseconds that only rise, for what peers earn back with time. */
  readonly now: () => number;
}

/** Throws RangeError for limits that cannot be. */
export class Http2Connection implements SenderOwner {
  readonly #host: Http2Host;
  readonly #isClient: boolean;
  readonly #limits: ConnectionLimits;
  readonly #now: () => number;
  readonly #reader: FrameReader;
  readonly #inbound: Inbound;
  readonly #sender: Sender;
  readonly #streams: StreamSet;
  readonly #windows: ReceiveWindows;
  readonly #budgets: PeerBudgets;
  readonly #peer: Settings = defaultSettings();
  #over = false;
  #receiving = false;
  /** The host knows that there is something to flush. */
  #announced = false;
  #writableTurns = 0;
  /** Streams up to this one have their headers in frames; up to the other, these have left for the socket. */
  #lastWrittenId = 0;
  #lastFlushedId = 0;
  /** Streams to be reset at the next flush, as too much waits for the peer. */
  readonly #overfull: Stream[] = [];

  constructor(options: ConnectionOptions) {
    const { role, host, now } = options;
    const limits = resolveLimits(options.limits);
    this.#host = host;
    this.#isClient = role === "client";
    this.#limits = limits;
    this.#now = now;
    // What a client sends is its own affair.
    this.#sender = new Sender(this, this.#isClient ? Number.POSITIVE_INFINITY : limits.maxPendingBytes);
    this.#windows = new ReceiveWindows(this.#sender, limits);
    this.#budgets = new PeerBudgets(limits.maxConcurrentStreams, now());
    const parts = {
      isClient: this.#isClient,
      host,
      limits,
      peer: this.#peer,
      budgets: this.#budgets,
      sender: this.#sender,
      windows: this.#windows,
    };
    this.#streams = new StreamSet(parts);
    this.#inbound = new Inbound(parts, this.#streams);
    this.#reader = new FrameReader(this.#inbound, limits.maxFrameBytes, !this.#isClient);
  }

  /** Writes the preface: RFC 9113, section 3.4. Once, before all else. */
  start(): void {
    this.#inbound.control.writePreface();
  }

  // How it stands.

  /** Streams that have not ended. */
  get streamCount(): number {
    return this.#streams.size;
  }

  /** Whether the peer's SETTINGS have come. */
  get isSettled(): boolean {
    return this.#inbound.control.isSettled;
  }

  /** Whether the peer has acknowledged our SETTINGS. */
  get isAcknowledged(): boolean {
    return this.#inbound.control.unacknowledged === 0;
  }

  /** No callback comes any more. */
  get isOver(): boolean {
    return this.#over;
  }

  /** Whether `open` may be called (clients only). False for good after the peer's GOAWAY and when ids are used up. */
  get canOpen(): boolean {
    return this.#streams.canOpen();
  }

  /** Whether the peer or the ids allow no more streams, ever. */
  get isExhausted(): boolean {
    return this.#streams.isExhausted;
  }

  /** The last stream that the peer opened and we took. */
  get lastPeerStreamId(): number {
    return this.#streams.lastPeerId;
  }

  /** The peer's SETTINGS_MAX_HEADER_LIST_SIZE; Infinity where it set none. */
  get peerMaxHeaderListBytes(): number {
    return this.#peer.maxHeaderListBytes;
  }

  /** Bytes of data that wait for the peer's windows or the socket, on all streams. */
  get pendingBytes(): number {
    return this.#sender.pendingBytes;
  }

  /** Whether more waits than `maxPendingBytes`, and not of a single stream, whose message is as large as its program made it. */
  get isOverfull(): boolean {
    return this.#sender.pendingBytes > this.#limits.maxPendingBytes && this.#sender.pendingStreams > 1;
  }

  /** Whether at most `maxPendingBytes` wait, so that more data should be made. Where not, the host's `onRoom` follows. */
  hasRoom(): boolean {
    return this.#streams.hasRoom();
  }

  /** What the peer still takes on the connection. */
  get sendWindow(): number {
    return this.#sender.window;
  }

  /** Bytes of data sent so far. */
  get sentBytes(): number {
    return this.#sender.sentBytes;
  }

  /** Whether the socket takes more. */
  get isWritable(): boolean {
    return this.#sender.writable;
  }

  /** How often it took more again. */
  get writeProgress(): number {
    return this.#writableTurns;
  }

  /** Whether part of a frame or of a header block has come, and its rest has not. */
  get isAmidFrame(): boolean {
    return this.#reader.isAmidFrame || this.#inbound.blocks.openStreamId !== 0;
  }

  /** Changes when frames come; not with the frames of one header block, but with every piece of data. */
  get readProgress(): number {
    const { blocks } = this.#inbound;
    return blocks.openStreamId === 0 ? this.#reader.frames + this.#reader.pieces : -blocks.begun;
  }

  /** Frames that have come, or begun to. */
  get framesRead(): number {
    return this.#reader.frames;
  }

  /** Every stream, by rising id; a copy. */
  streams(): Stream[] {
    return this.#streams.all();
  }

  // Bytes.

  /** Reads what came. `bytes` may be reused afterwards. */
  receive(bytes: Uint8Array, length: number): void {
    if (this.#over) return;
    this.#receiving = true;
    this.#budgets.nowMs = this.#now();
    try {
      this.#reader.read(bytes, length);
      this.#checkStuck();
    } catch (error) {
      if (error instanceof ConnectionError) this.fail(error.code, error.message);
      else if (error instanceof HpackError) this.fail(ErrorCode.compressionError, error.message);
      else if (error instanceof HpackBombError) this.fail(ErrorCode.enhanceYourCalm, error.message);
      else throw error;
    } finally {
      this.#receiving = false;
    }
    if (this.#hasOutput) this.onWritten();
  }

  get #hasOutput(): boolean {
    return this.#sender.output.length > 0 || this.#sender.hasTurns || this.#overfull.length > 0;
  }

  /** What a peer makes us answer while it takes none of our answers. */
  #checkStuck(): void {
    if (this.#sender.writable || this.#sender.output.length < maxStuckBytes) return;
    throw new ConnectionError(ErrorCode.enhanceYourCalm, "the peer asks and reads no answers");
  }

  /** Hands everything that may go to `write`, in order, unless the socket takes nothing. */
  flush(write: (chunk: Uint8Array) => void): void {
    const { output } = this.#sender;
    // What is written meanwhile goes out with this flush.
    this.#announced = true;
    if (this.#overfull.length > 0) this.#resetOverfull();
    // Data is put into frames only as fast as the socket takes it.
    if (this.#sender.writable && this.#sender.hasTurns) {
      this.#sender.pump();
      this.#streams.offerSlot();
    }
    this.#announced = false;
    if (!this.#sender.writable || output.length === 0) return;
    this.#lastFlushedId = this.#lastWrittenId;
    output.take(write);
    if (this.#sender.hasTurns && this.#sender.writable && this.#sender.window > 0) this.onWritten();
  }

  /** All that `flush` handed out is sent: the memory it lies in may be written again. */
  reclaim(): void {
    this.#sender.output.reclaim();
  }

  /** Whether the socket takes more. Turning it on flushes by way of `onOutput`. */
  setWritable(writable: boolean): void {
    if (this.#sender.writable === writable) return;
    this.#sender.writable = writable;
    if (writable) this.#writableTurns++;
    this.#announced = false;
    if (this.#hasOutput) this.onWritten();
  }

  // Streams.

  /** Fields to be sent many times; for this connection only. Names in lower case, one character a byte. */
  prepare(fields: readonly string[]): PreparedFields {
    return { fields, bytes: undefined, version: -1 };
  }

  /** Opens a stream with request headers (clients only); `canOpen` must hold. `extra` are fields that differ from call to call. */
  open(listener: StreamListener, prepared: PreparedFields, extra: readonly string[] | undefined, end: boolean): Stream {
    const stream = this.#streams.open(listener);
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

  /** See `Sender.sendBorrowed`. */
  sendBorrowed(stream: Stream, head: Uint8Array, body: Uint8Array, end: boolean): boolean {
    return this.#sender.sendBorrowed(stream, head, body, end);
  }

  /** The layer above is done with `bytes` of a stream's data: the peer may send as many more. */
  consumed(stream: Stream, bytes: number): void {
    if (bytes > 0 && !stream.closed) this.#windows.consumed(stream, bytes);
  }

  /**
   * The layer above keeps `bytes` of messages that were consumed until it has worked them off, and then says `letGo`. They count as
   * `maxHeldBytes` says, so that a peer sends no faster than that.
   */
  keep(bytes: number): void {
    this.#windows.keep(bytes);
  }

  /** See `keep`. */
  letGo(bytes: number): void {
    this.#windows.letGo(bytes);
  }

  /** Ends a stream before its time. Its listener hears nothing more. */
  resetStream(stream: Stream, code: number): void {
    if (!stream.closed) this.#streams.reset(stream.id, code);
  }

  /** As `resetStream`, and tells the listener: for whoever is not the layer above. */
  failStream(stream: Stream, code: number): void {
    if (stream.closed) return;
    this.#streams.reset(stream.id, code);
    stream.listener.onReset(code, false);
  }

  #resetOverfull(): void {
    for (const stream of this.#overfull.splice(0)) this.failStream(stream, ErrorCode.enhanceYourCalm);
  }

  // The connection's own frames, and its end.

  /** Says that no stream above `lastStreamId` is taken: 2^31-1 to begin with, then the last one accepted (RFC 9113, section 6.8). */
  goaway(lastStreamId: number, code: number, debugText = ""): void {
    if (this.#over) return;
    const { lastAccepted } = this.#streams;
    this.#sender.writeGoaway(Math.min(lastStreamId, lastAccepted), code, debugText);
    if (lastStreamId < maxInt31) this.#streams.lastAccepted = Math.min(lastAccepted, lastStreamId);
  }

  /** Sends a PING; `onAnswer` is called when its answer comes. */
  ping(onAnswer: () => void): void {
    if (!this.#over) this.#inbound.control.pings.send(onAnswer);
  }

  /** The socket is gone: resets all streams. Those whose headers never left are unprocessed, and leave no more. No callback comes afterwards. */
  abort(code: number): void {
    if (this.#over) return;
    // Before anybody is told: whoever hears that a call was not sent may send it elsewhere.
    if (this.#isClient && this.#lastWrittenId > this.#lastFlushedId) this.#sender.writable = false;
    this.#stop();
    this.#resetAll(code);
  }

  /** Ends the connection for an offence of the peer's. */
  fail(code: number, reason: string): void {
    if (this.#over) return;
    this.#sender.writeGoaway(this.#isClient ? 0 : this.#streams.lastPeerId, code, reason);
    this.#stop();
    this.#host.onError(code, reason);
    this.#resetAll(code);
  }

  #stop(): void {
    this.#over = true;
    this.#reader.stop();
    this.#inbound.blocks.stop();
    this.#windows.stop();
    this.#streams.stop();
  }

  #resetAll(code: number): void {
    const flushed = this.#lastFlushedId;
    for (const stream of this.#streams.all()) {
      if (stream.closed) continue;
      const { listener } = stream;
      this.#streams.forget(stream);
      listener.onReset(code, this.#isClient && stream.id > flushed);
    }
  }

  // What the sender tells.

  onWritten(): void {
    if (this.#announced || this.#receiving || this.#over || !this.#sender.writable) return;
    this.#announced = true;
    this.#host.onOutput();
  }

  onDataSent(): void {
    this.#budgets.earnBySending();
  }

  onEndSent(stream: Stream): void {
    // The answer is whole, the request not: section 8.1.
    if (!stream.remoteEnd && !this.#isClient && !stream.takesRest) {
      this.#streams.reset(stream.id, ErrorCode.noError);
    } else {
      this.#streams.closeIfDone(stream);
    }
  }

  onOverfull(stream: Stream): void {
    this.#overfull.push(stream);
    this.onWritten();
  }
}
