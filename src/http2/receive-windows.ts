// What we let the peer send: the windows of the connection and of its streams, and when they open again. RFC 9113, section 5.2.

import { ConnectionError } from "./connection-error.ts";
import type { ConnectionLimits } from "./connection-limits.ts";
import { ErrorCode } from "./error-code.ts";
import type { Sender } from "./sender.ts";
import type { Stream } from "./stream.ts";

export class ReceiveWindows {
  readonly #sender: Sender;
  readonly #limits: ConnectionLimits;
  /** What the peer may still send on the connection, and what of it came and was not given back. */
  #window: number;
  #unannounced = 0;
  /** Data of all streams that nobody has consumed. */
  #heldBytes = 0;
  /** What a stream's window is opened up to. Grows, for all, with every half of it that one stream brought and its reader read. */
  #target: number;
  #stopped = false;

  constructor(sender: Sender, limits: ConnectionLimits) {
    this.#sender = sender;
    this.#limits = limits;
    this.#window = limits.connectionWindowBytes;
    this.#target = limits.initialWindowBytes;
  }

  /** Nothing is opened any more. */
  stop(): void {
    this.#stopped = true;
  }

  /** A DATA frame begins; padding counts: section 6.1. Throws ConnectionError where the connection's window is too small for it. */
  onFrame(length: number): void {
    this.#window -= length;
    if (this.#window < 0) {
      throw new ConnectionError(ErrorCode.flowControlError, "the peer overran the connection's window");
    }
    this.#unannounced += length;
    this.#reopen();
  }

  /** Data of a stream is handed on; it is given back by `consumed`, or when the stream is dropped. */
  hold(stream: Stream, bytes: number): void {
    stream.heldBytes += bytes;
    this.#heldBytes += bytes;
  }

  /** What counted against a stream's window and holds no data: padding. */
  skip(stream: Stream, bytes: number): void {
    if (!stream.remoteEnd) this.#giveBack(stream, bytes);
  }

  /** The layer above is done with `bytes` of a stream's data. */
  consumed(stream: Stream, bytes: number): void {
    stream.heldBytes -= bytes;
    this.#release(bytes);
    if (!stream.remoteEnd) this.#giveBack(stream, bytes);
  }

  /** `bytes` that were consumed are kept all the same, on whatever stream they came; and let go of. */
  keep(bytes: number): void {
    this.#heldBytes += bytes;
  }

  letGo(bytes: number): void {
    this.#release(bytes);
  }

  /** The stream is over: nobody will consume the rest. */
  drop(stream: Stream): void {
    if (stream.heldBytes === 0) return;
    const bytes = stream.heldBytes;
    stream.heldBytes = 0;
    this.#release(bytes);
  }

  #giveBack(stream: Stream, bytes: number): void {
    stream.consumedBytes += bytes;
    // Half of what this stream was opened to: the target may have grown since, by other streams.
    const opened = stream.receiveWindow + stream.heldBytes + stream.consumedBytes;
    if (stream.consumedBytes * 2 < Math.min(opened, this.#target)) return;
    // Its reader keeps up: the next window is larger, in however long this one came. A fast sender is spared the wait; a slow one has no use
    // for it until its reader stops: what nobody reads then is bounded for all streams together, by the connection's window.
    if (stream.heldBytes * 4 < this.#target && this.#target < this.#limits.maxWindowBytes) {
      this.#target = Math.min(this.#target * 2, this.#limits.maxWindowBytes);
    }
    const open = this.#target - stream.receiveWindow - stream.heldBytes;
    stream.consumedBytes = 0;
    if (open <= 0 || this.#stopped) return;
    stream.receiveWindow += open;
    this.#sender.writeWindowUpdate(stream.id, open);
  }

  #release(bytes: number): void {
    this.#heldBytes -= bytes;
    this.#reopen();
  }

  /** Opens the connection's window again: at once, as what one stream does not read must not stop the others; up to a limit. */
  #reopen(): void {
    if (this.#unannounced * 2 < this.#limits.connectionWindowBytes) return;
    if (this.#heldBytes > this.#limits.maxHeldBytes || this.#stopped) return;
    const bytes = this.#unannounced;
    this.#unannounced = 0;
    this.#window += bytes;
    this.#sender.writeWindowUpdate(0, bytes);
  }
}
