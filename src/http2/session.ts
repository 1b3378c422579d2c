// A connection on its socket: when bytes are written, and how the socket ends. Speaks HTTP/2 through connection.ts, knows no gRPC.

import type { Clock } from "../core/clock.ts";
import type { ByteSocket } from "./byte-socket.ts";
import { type ConnectionLimits, Http2Connection, type Http2Host } from "./connection.ts";
import { ConnectionError } from "./connection-error.ts";
import { ErrorCode } from "./error-code.ts";
import { maxInt31 } from "./frame.ts";
import type { HeaderBlock } from "./hpack/header-decoder.ts";
import type { Stream, StreamListener } from "./stream.ts";

/** Told what concerns the session as a whole. Must not throw. */
export interface SessionHost {
  /** A peer opened a stream (servers only); see `Http2Host.onStream`. */
  onStream(stream: Stream, block: HeaderBlock, end: boolean): StreamListener;
  /** The peer's settings came, the first time or again. */
  onSettings(): void;
  /** The peer takes no more streams. */
  onGoaway(lastStreamId: number, code: number): void;
  /** The last stream has ended. */
  onIdle(): void;
  /** After a time when none could, a stream may be opened (clients only). */
  onSlot(): void;
  /** The session is over and all its streams were reset. Once, and the last call. `reason` is undefined where it ended in order. */
  onClosed(reason: unknown): void;
}

/** What a session is made of. */
export interface SessionOptions {
  readonly role: "client" | "server";
  readonly socket: ByteSocket;
  readonly host: SessionHost;
  readonly limits?: Partial<ConnectionLimits>;
  readonly clock: Clock;
  /** Runs a function soon, once what is running now is done: `process.nextTick`, or `queueMicrotask` where there is none. */
  readonly defer: (run: () => void) => void;
}

/** How long the last words may take to leave before the socket is destroyed. */
const lastWordsMs = 500;
/** Longest wait for the PING between the two GOAWAYs. */
const goawayPingMs = 1000;

export class Http2Session implements Http2Host {
  readonly connection: Http2Connection;
  /** Why the session ended, from before its streams are reset. */
  reason: unknown;
  readonly #isServer: boolean;
  readonly #socket: ByteSocket;
  readonly #host: SessionHost;
  readonly #clock: Clock;
  readonly #defer: (run: () => void) => void;
  readonly #chunks: Uint8Array[] = [];
  #receiving = false;
  #flushPlanned = false;
  #leaving = false;
  #ended = false;
  #closed = false;
  #cancelTimer: (() => void) | undefined;

  constructor(options: SessionOptions) {
    this.#isServer = options.role === "server";
    this.#socket = options.socket;
    this.#host = options.host;
    this.#clock = options.clock;
    this.#defer = options.defer;
    this.connection = new Http2Connection({
      role: options.role,
      host: this,
      now: () => options.clock.now(),
      ...(options.limits === undefined ? {} : { limits: options.limits }),
    });
  }

  /** Takes over the socket. Once. */
  start(): void {
    this.#socket.start({
      onBytes: (bytes, length) => this.#onBytes(bytes, length),
      onWritable: () => this.connection.setWritable(true),
      onClosed: (error) => this.#onSocketClosed(error),
    });
    this.connection.start();
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /**
   * Leaves in order: streams go on, and the session closes when the last has ended. A server says GOAWAY(2^31-1) first, and GOAWAY(last)
   * once the PING behind it is answered: by then every stream that the client began before it knew has come (RFC 9113, section 6.8).
   */
  leave(): void {
    if (this.#leaving || this.#closed) return;
    this.#leaving = true;
    if (!this.#isServer) {
      this.connection.goaway(0, ErrorCode.noError);
      this.#endIfIdle();
      return;
    }
    const finish = () => {
      if (this.#closed || this.#cancelTimer === undefined) return;
      this.#cancelTimer();
      this.#cancelTimer = undefined;
      this.connection.goaway(this.connection.lastPeerStreamId, ErrorCode.noError);
      this.#endIfIdle();
    };
    this.connection.goaway(maxInt31, ErrorCode.noError);
    this.#cancelTimer = this.#clock.schedule(goawayPingMs, finish);
    this.connection.ping(finish);
  }

  /** Closes now: streams are reset, a GOAWAY with `code` is tried. */
  destroy(reason: unknown, code: number = ErrorCode.noError): void {
    if (this.#closed) return;
    this.reason ??= reason;
    this.connection.goaway(this.#isServer ? this.connection.lastPeerStreamId : 0, code);
    this.connection.abort(code);
    this.#flush();
    this.#close();
    this.#socket.destroy();
  }

  #onBytes(bytes: Uint8Array, length: number): void {
    if (this.#ended) return;
    this.#receiving = true;
    this.connection.receive(bytes, length);
    this.#receiving = false;
  }

  #onSocketClosed(error: unknown): void {
    this.reason ??= error;
    this.connection.abort(ErrorCode.connectError);
    this.#close();
  }

  /** Sends what is left and ends the socket; a peer that does not read it gets no more time. */
  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#flush();
    this.#socket.end();
    this.#cancelTimer?.();
    this.#cancelTimer = this.#clock.schedule(lastWordsMs, () => this.#socket.destroy());
  }

  #endIfIdle(): void {
    if (this.#leaving && this.#cancelTimer === undefined && this.connection.streamCount === 0) this.#end();
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#ended = true;
    this.#cancelTimer?.();
    this.#host.onClosed(this.reason);
  }

  #flush(): void {
    this.#flushPlanned = false;
    const chunks = this.#chunks;
    this.connection.flush((chunk) => chunks.push(chunk));
    if (chunks.length === 0) return;
    const isWritable = this.#socket.write(chunks.splice(0));
    if (!isWritable) this.connection.setWritable(false);
  }

  // What the connection tells.

  onOutput(): void {
    // At the end of a chunk a server writes all its answers at once. A client waits, so that those it woke share the write.
    if (this.#receiving && this.#isServer) {
      this.#flush();
      return;
    }
    if (this.#flushPlanned || this.#closed) return;
    this.#flushPlanned = true;
    this.#defer(() => this.#flush());
  }

  onStream(stream: Stream, block: HeaderBlock, end: boolean): StreamListener {
    return this.#host.onStream(stream, block, end);
  }

  onSettings(): void {
    this.#host.onSettings();
  }

  onGoaway(lastStreamId: number, code: number): void {
    this.#host.onGoaway(lastStreamId, code);
  }

  onError(code: number, reason: string): void {
    this.reason ??= new ConnectionError(code, reason);
    this.#end();
  }

  onIdle(): void {
    this.#host.onIdle();
    this.#endIfIdle();
  }

  onSlot(): void {
    this.#host.onSlot();
  }
}
