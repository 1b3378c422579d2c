// Messages that came and wait for their reader, and how many bytes may come for those that were read. Counts for flow control; sends nothing.

import { copyOf, messageHeadBytes, wholeMessage } from "../message.ts";
import { MessageReader, type MessageSink } from "../message-reader.ts";

/**
 * Only as many bytes as one piece of data has are taken apart ahead of the reader; the others are kept as they came. What waits is thus
 * bounded by the window, not by how many messages fit into it.
 */
export class MessageQueue implements MessageSink {
  /** The message that was shifted last came compressed. */
  wasCompressed = false;
  readonly #maxMessageBytes: number;
  readonly #reader: MessageReader;
  #messages: Uint8Array[] = [];
  #at = 0;
  /** Places in `#messages` of those that are compressed: few streams have any. */
  #compressed: Set<Uint8Array> | undefined;
  #kept: Uint8Array[] = [];
  #keptAt = 0;
  /** Bytes taken apart; of those, bytes of whole messages that wait; and what was given back to the peer already. */
  #readBytes = 0;
  #waitingBytes = 0;
  #givenBytes = 0;

  constructor(maxMessageBytes: number) {
    this.#maxMessageBytes = maxMessageBytes;
    this.#reader = new MessageReader(maxMessageBytes);
  }

  /** Whether a message or a piece of data waits. */
  get hasMessages(): boolean {
    return this.#at < this.#messages.length || this.hasKept;
  }

  get hasKept(): boolean {
    return this.#keptAt < this.#kept.length;
  }

  /** Whether part of a message has come, and its rest has not. */
  get isAmidMessage(): boolean {
    return !this.#reader.isEmpty;
  }

  /** Takes a piece apart. Throws what MessageReader throws. */
  read(bytes: Uint8Array, from: number, to: number): void {
    this.#readBytes += to - from;
    this.#reader.read(bytes, from, to, this);
  }

  /** Puts a copy of a piece by: it comes after all that is there. One that is a message takes no more room as such. */
  keep(bytes: Uint8Array, from: number, to: number): void {
    const message =
      this.hasKept || this.isAmidMessage ? undefined : wholeMessage(bytes, from, to, this.#maxMessageBytes);
    if (message === undefined) {
      this.#kept.push(copyOf(bytes, from, to));
    } else {
      this.#readBytes += to - from;
      this.onMessage(message, false);
    }
  }

  /** The piece that was put by first; `hasKept` must hold. */
  unkeep(): Uint8Array {
    const bytes = this.#kept[this.#keptAt++];
    if (bytes === undefined) throw new RangeError("Cannot take a piece as none was kept");
    if (this.#keptAt === this.#kept.length) {
      this.#kept = [];
      this.#keptAt = 0;
    }
    return bytes;
  }

  onMessage(message: Uint8Array, compressed: boolean): void {
    this.#messages.push(message);
    this.#waitingBytes += messageHeadBytes + message.length;
    if (!compressed) return;
    this.#compressed ??= new Set();
    this.#compressed.add(message);
  }

  /** The next message; `wasCompressed` tells what it is. */
  shift(): Uint8Array | undefined {
    const message = this.#messages[this.#at];
    if (message === undefined) return undefined;
    this.#at++;
    if (this.#at === this.#messages.length) {
      this.#messages = [];
      this.#at = 0;
    }
    this.#waitingBytes -= messageHeadBytes + message.length;
    this.wasCompressed = this.#compressed?.delete(message) ?? false;
    return message;
  }

  /**
   * Bytes that the peer may send more since the last time: those of messages that were read, and of the one under way, which is bounded by
   * its own limit.
   */
  takeCredit(): number {
    const credit = this.#readBytes - this.#waitingBytes - this.#givenBytes;
    if (credit <= 0) return 0;
    this.#givenBytes += credit;
    return credit;
  }

  /** Drops everything. */
  clear(): void {
    this.#messages = [];
    this.#at = 0;
    this.#kept = [];
    this.#keptAt = 0;
  }
}
