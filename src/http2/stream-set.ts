// The streams of a connection, from their first frame to their last: ids, limits, and which closed streams may still be spoken of.
// RFC 9113, section 5.1. Knows no frames' contents.

import type { ConnectionLimits } from "./connection-limits.ts";
import { maxInt31 } from "./frame.ts";
import type { Http2Host } from "./http2-host.ts";
import type { PeerBudgets } from "./peer-budgets.ts";
import type { ReceiveWindows } from "./receive-windows.ts";
import { RecentResets } from "./recent-resets.ts";
import type { Sender } from "./sender.ts";
import type { Settings } from "./settings.ts";
import { Stream, type StreamListener } from "./stream.ts";
import { StreamTable } from "./stream-table.ts";

/** What the parts of a connection share. */
export interface ConnectionParts {
  readonly isClient: boolean;
  readonly host: Http2Host;
  readonly limits: ConnectionLimits;
  /** The peer's settings. */
  readonly peer: Settings;
  readonly budgets: PeerBudgets;
  readonly sender: Sender;
  readonly windows: ReceiveWindows;
}

export class StreamSet {
  readonly resets: RecentResets = new RecentResets();
  /** The id of the stream we open next (clients only). */
  nextId = 1;
  /** The highest id of a stream that the peer opened. */
  lastPeerId = 0;
  /** Above it, the peer's streams are ignored: we said so in a GOAWAY. */
  lastAccepted: number = maxInt31;
  /** The peer said GOAWAY: it takes no more streams of ours. */
  peerGoneAway = false;
  readonly #parts: ConnectionParts;
  readonly #table: StreamTable<Stream> = new StreamTable();
  #headerBytes = 0;
  /** That no stream could be opened is known to the host, who waits for `onSlot`. */
  #wasFull = false;
  /** The same of data: the host waits for `onRoom`. */
  #wasCrowded = false;
  #isOver = false;

  constructor(parts: ConnectionParts) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#table.size;
  }

  get(id: number): Stream | undefined {
    return this.#table.get(id);
  }

  /** Every stream by rising id; a copy. */
  all(): Stream[] {
    return this.#table.all();
  }

  /** Whether the peer or the ids allow no more streams of ours, ever. */
  get isExhausted(): boolean {
    return this.#isOver || this.peerGoneAway || this.nextId > maxInt31;
  }

  /** Whether a stream of ours may be opened now. Where limits forbid it, `onSlot` follows. */
  canOpen(): boolean {
    if (this.isExhausted) return false;
    const { peer, sender, limits } = this.#parts;
    const { size } = this.#table;
    if (
      size < peer.maxConcurrentStreams &&
      size < limits.maxOwnStreams &&
      sender.pendingBytes <= limits.maxPendingBytes
    )
      return true;
    this.#wasFull = true;
    return false;
  }

  /** Whether so little waits for the peer that more should be put to it. Where not, `onRoom` follows. */
  hasRoom(): boolean {
    const { sender, limits } = this.#parts;
    if (sender.pendingBytes <= limits.maxPendingBytes) return true;
    this.#wasCrowded = true;
    return false;
  }

  /** Whether a stream of the peer's more would be too many. */
  get isOverfull(): boolean {
    const { limits } = this.#parts;
    return this.#table.size >= limits.maxConcurrentStreams || this.#headerBytes > limits.maxHeldHeaderBytes;
  }

  /** Opens a stream of ours. */
  open(listener: StreamListener): Stream {
    const stream = this.#create(this.nextId, listener);
    this.nextId += 2;
    return stream;
  }

  /** Takes a stream of the peer's, whose headers take `headerBytes`. */
  take(id: number, listener: StreamListener, headerBytes: number): Stream {
    const stream = this.#create(id, listener);
    stream.openedMs = this.#parts.budgets.nowMs;
    stream.headerBytes = headerBytes;
    this.#headerBytes += headerBytes;
    return stream;
  }

  #create(id: number, listener: StreamListener): Stream {
    const { peer, limits } = this.#parts;
    const stream = new Stream(id, listener, peer.initialWindowBytes, limits.initialWindowBytes);
    this.#table.add(stream);
    return stream;
  }

  /** Whether nobody has opened it yet: section 5.1. */
  isIdle(id: number): boolean {
    const isOurs = (id & 1) === (this.#parts.isClient ? 1 : 0);
    return isOurs ? id >= this.nextId : id > this.lastPeerId;
  }

  /** Resets a stream, whether it is there or not. Its listener hears nothing. */
  reset(id: number, code: number): void {
    const { budgets, sender } = this.#parts;
    const stream = this.#table.get(id);
    this.resets.add(id, stream?.receiveWindow ?? this.#parts.limits.initialWindowBytes, budgets.nowMs);
    sender.writeReset(id, code);
    if (stream !== undefined) this.close(stream);
  }

  /** Ends a stream both of whose sides have ended. */
  closeIfDone(stream: Stream): void {
    if (!stream.remoteEnd || !stream.localEndSent || stream.closed) return;
    this.#parts.budgets.earnByEnd();
    this.close(stream);
  }

  close(stream: Stream): void {
    if (stream.closed) return;
    this.forget(stream);
    this.offerSlot();
    if (this.#table.size === 0 && !this.#isOver) this.#parts.host.onIdle();
  }

  /** As `close`, telling nobody. */
  forget(stream: Stream): void {
    stream.closed = true;
    this.#headerBytes -= stream.headerBytes;
    this.#parts.sender.drop(stream);
    this.#table.delete(stream);
    this.#parts.windows.drop(stream);
  }

  /** Tells a host that waits that there is room: for a stream, or for data. */
  offerSlot(): void {
    if (this.#wasCrowded && this.hasRoom()) {
      this.#wasCrowded = false;
      this.#parts.host.onRoom?.();
    }
    if (!this.#wasFull || !this.canOpen()) return;
    this.#wasFull = false;
    this.#parts.host.onSlot();
  }

  /** The connection is over: no host is told anything, and no stream can be opened. */
  stop(): void {
    this.#isOver = true;
  }
}
