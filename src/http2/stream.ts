// One stream's state. The connection changes it; the layer above only holds it.

import type { HeaderBlock } from "./hpack/header-decoder.ts";

/** Told what comes on a stream. Called while the connection reads; must not throw. */
export interface StreamListener {
  /** Response headers (informational ones too) or trailers; trailers come with `end`. */
  onHeaders(block: HeaderBlock, end: boolean): void;
  /** A piece of data, valid during the call only; may be empty with `end`. Each byte must be given back by `consumed`. */
  onData(bytes: Uint8Array, from: number, to: number, end: boolean): void;
  /** The stream is over before its time. `unprocessed`: no program of the peer has seen it (RFC 9113, sections 6.8 and 8.7). */
  onReset(code: number, unprocessed: boolean): void;
  /** Everything given to the stream to send is in frames now. Only where some of it had to wait. */
  onDrained(): void;
}

/** Fields whose bytes are made once and sent again as long as the peer's table stays as it is. */
export interface PreparedFields {
  readonly fields: readonly string[];
  bytes: Uint8Array | undefined;
  version: number;
}

/** Something that waits to be sent, in order. */
export interface Pending {
  /** A few bytes to go before `body`, in the same frame. */
  readonly head: Uint8Array | undefined;
  readonly body: Uint8Array;
  /** How much of `head` and `body` together is gone. */
  sent: number;
  readonly end: boolean;
  /** Trailers instead of data. */
  readonly trailers: { readonly prepared: PreparedFields; readonly extra: readonly string[] | undefined } | undefined;
  next: Pending | undefined;
}

export class Stream {
  readonly id: number;
  listener: StreamListener;
  /** What the peer still takes; below 0 after it shrank its initial window. */
  sendWindow: number;
  /** What we still take. */
  receiveWindow: number;
  /** Read by the layer above and not yet announced to the peer. */
  consumedBytes = 0;
  /** Received and not yet consumed. */
  heldBytes = 0;
  /** We sent END_STREAM, or it waits in `pending`. */
  localEnd = false;
  localEndSent = false;
  remoteEnd = false;
  /**
   * Servers only, set by the layer above: the rest of the request is taken though the answer is whole. Otherwise the client is told to
   * stop at once (RFC 9113, section 8.1), which some take for a failure of the answer.
   */
  takesRest = false;
  closed = false;
  /** The peer ended it by RST_STREAM, and not we. */
  resetByPeer = false;
  /** Headers (a final response's, for a client) have come. */
  gotHeaders = false;
  /** Bytes of content still to come by content-length; -1 where it named none. */
  contentLeft = -1;
  firstPending: Pending | undefined;
  lastPending: Pending | undefined;
  pendingBytes = 0;
  /** Bytes of data put into frames. */
  sentBytes = 0;
  /** `sentBytes` when progress was last seen, and the time of it; 0 while nothing waits. For session-watch.ts. */
  stallMark = 0;
  stallSinceMs = 0;
  /** When the peer opened it, and what its request headers take. */
  openedMs = 0;
  headerBytes = 0;
  /** In the list of those who wait for their turn to send. */
  queued = false;

  constructor(id: number, listener: StreamListener, sendWindow: number, receiveWindow: number) {
    this.id = id;
    this.listener = listener;
    this.sendWindow = sendWindow;
    this.receiveWindow = receiveWindow;
  }
}
