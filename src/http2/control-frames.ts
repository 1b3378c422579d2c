// SETTINGS, PING and GOAWAY of the peer's, and what they answer of ours. RFC 9113, sections 6.5, 6.7 and 6.8.

import { readUint32 } from "../core/uint32.ts";
import { noBytes } from "./byte-buffer.ts";
import { ConnectionError, frameSizeError, protocolError } from "./connection-error.ts";
import { ErrorCode } from "./error-code.ts";
import { clientPreface, defaultWindowBytes, Flag, FrameType, maxInt31 } from "./frame.ts";
import { Pings } from "./pings.ts";
import { readSettings, writeSettings } from "./settings.ts";
import type { ConnectionParts, StreamSet } from "./stream-set.ts";

/** A peer that allows more gets frames of this size: one stream's frame must not keep the others waiting. */
const maxSentFrameBytes = 64 * 1024;

/** Our SETTINGS_HEADER_TABLE_SIZE: the default. */
export const headerTableBytes = 4096;

/** How much of what a GOAWAY says beside its code is read. */
const maxDebugBytes = 256;

export class ControlFrames {
  readonly pings: Pings;
  /** The peer's SETTINGS have come. */
  isSettled = false;
  /** SETTINGS of ours that the peer has not acknowledged. */
  unacknowledged = 0;
  readonly #parts: ConnectionParts;
  readonly #streams: StreamSet;

  constructor(parts: ConnectionParts, streams: StreamSet) {
    this.#parts = parts;
    this.#streams = streams;
    this.pings = new Pings(parts.sender);
  }

  /** What each side says first: RFC 9113, section 3.4. */
  writePreface(): void {
    const { isClient, limits, sender } = this.#parts;
    const { maxConcurrentStreams, initialWindowBytes, maxFrameBytes, maxHeaderListBytes } = limits;
    const payload = writeSettings(
      { headerTableBytes, maxConcurrentStreams, initialWindowBytes, maxFrameBytes, maxHeaderListBytes },
      isClient,
    );
    if (isClient) {
      const { output } = sender;
      output.reserve(clientPreface.length);
      for (let index = 0; index < clientPreface.length; index++) {
        output.buf[output.pos++] = clientPreface.charCodeAt(index);
      }
    }
    this.unacknowledged++;
    sender.writeFrame(FrameType.settings, 0, 0, payload);
    sender.writeWindowUpdate(0, limits.connectionWindowBytes - defaultWindowBytes);
  }

  onSettings(flags: number, streamId: number, bytes: Uint8Array, from: number, to: number): void {
    if (streamId !== 0) throw protocolError("SETTINGS came on a stream");
    const { peer, sender, budgets, host } = this.#parts;
    if ((flags & Flag.ack) !== 0) {
      if (to !== from) throw frameSizeError("an answer to SETTINGS has settings");
      if (this.unacknowledged > 0) this.unacknowledged--;
      else budgets.chatter("answers to SETTINGS");
      return;
    }
    budgets.settings();
    const windowBefore = peer.initialWindowBytes;
    // Both, as the next header block must tell of the smallest: RFC 7541, section 4.2.
    sender.encoder.setMaxTableBytes(readSettings(peer, bytes, from, to, this.#parts.isClient));
    sender.encoder.setMaxTableBytes(peer.headerTableBytes);
    sender.maxFrameBytes = Math.min(peer.maxFrameBytes, maxSentFrameBytes);
    const change = peer.initialWindowBytes - windowBefore;
    if (change !== 0) this.#moveWindows(change);
    this.isSettled = true;
    // Section 6.5.3.
    sender.writeFrame(FrameType.settings, Flag.ack, 0, noBytes);
    host.onSettings();
    this.#streams.offerSlot();
  }

  /** Section 6.9.2: a new initial window moves those of all streams. */
  #moveWindows(change: number): void {
    for (const stream of this.#streams.all()) {
      stream.sendWindow += change;
      if (stream.sendWindow > maxInt31) {
        throw new ConnectionError(ErrorCode.flowControlError, "a stream's window exceeds 2^31-1");
      }
      if (stream.firstPending !== undefined) this.#parts.sender.queue(stream);
    }
  }

  onPing(flags: number, streamId: number, bytes: Uint8Array, from: number, to: number): void {
    if (to - from !== 8) throw frameSizeError("PING is not 8 bytes");
    if (streamId !== 0) throw protocolError("PING came on a stream");
    this.#parts.budgets.chatter("PING frames");
    if ((flags & Flag.ack) !== 0) {
      this.pings.onAnswer(bytes, from);
      return;
    }
    this.#parts.sender.writeFrame(FrameType.ping, Flag.ack, 0, bytes.subarray(from, to));
    this.#parts.host.onPing?.();
  }

  onGoaway(streamId: number, bytes: Uint8Array, from: number, to: number): void {
    if (streamId !== 0) throw protocolError("GOAWAY came on a stream");
    if (to - from < 8) throw frameSizeError("GOAWAY is shorter than 8 bytes");
    this.#parts.budgets.chatter("GOAWAY frames");
    const lastStreamId = readUint32(bytes, from) & maxInt31;
    const code = readUint32(bytes, from + 4);
    const debug = bytes.subarray(from + 8, Math.min(to, from + 8 + maxDebugBytes));
    this.#streams.peerGoneAway = true;
    if (this.#parts.isClient) {
      // Section 6.8: none of these has been, nor will be, processed.
      for (const stream of this.#streams.all()) {
        if (stream.id <= lastStreamId || stream.closed) continue;
        const { listener } = stream;
        this.#streams.close(stream);
        listener.onReset(ErrorCode.refusedStream, true);
      }
    }
    this.#parts.host.onGoaway(lastStreamId, code, String.fromCharCode(...debug));
  }
}
