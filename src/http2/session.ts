// A connection on its socket: when bytes are written, and how the socket ends. Speaks HTTP/2 through connection.ts, knows no gRPC.

import type { Clock } from "../core/clock.ts";
import type { ByteSocket } from "./byte-socket.ts";
import { Http2Connection } from "./connection.ts";
import { ConnectionError } from "./connection-error.ts";
import type { ConnectionLimits } from "./connection-limits.ts";
import { ErrorCode } from "./error-code.ts";
import { maxInt31 } from "./frame.ts";
import type { HeaderBlock } from "./hpack/header-decoder.ts";
import type { Http2Host } from "./http2-host.ts";
import { resolveTimeouts, type SessionTimeouts, SessionWatch } from "./session-watch.ts";
import type { Stream, StreamListener } from "./stream.ts";

/** Told what concerns the session as a whole. Must not throw. */
export interface SessionHost {
  /** A peer opened a stream (servers only); see `Http2Host.onStream`. */
  onStream(stream: Stream, block: HeaderBlock, end: boolean): StreamListener;
  /** The peer's settings came, the first time or again. */
  onSettings(): void;
  /** The peer takes no more streams; see `Http2Host.onGoaway`. */
  onGoaway(lastStreamId: number, code: number, debugText: string): void;
  /** The peer sent a PING; it is answered already. */
  onPing?(): void;
  /** The last stream has ended. */
  onIdle(): void;
  /** After a time when none could, a stream may be opened (clients only). */
  onSlot(): void;
  /** There is room for data again; see `Http2Host.onRoom`. */
  onRoom?(): void;
  /** The session is over and all its streams were reset. Once, and the last call. `reason` is undefined where it ended in order. */
  onClosed(reason: unknown): void;
}

/** What a session is made of. */
export interface SessionOptions {
  readonly role: "client" | "server";
  readonly socket: ByteSocket;
  readonly host: SessionHost;
  readonly limits?: Partial<ConnectionLimits>;
  readonly timeouts?: Partial<SessionTimeouts>;
  readonly clock: Clock;
  /**
   * Runs a function soon, once what is running now is done: `process.nextTick`, or `queueMicrotask` where there is none. With `isBusy`, that
   * may be when the other sockets were read, too: `setImmediate`.
   */
  readonly defer: (run: () => void, isBusy: boolean) => void;
}

/** With more streams than these a connection is busy: those that the other sockets wake are worth waiting for. */
const fewStreams = 4;

/** Runs out where a peer to whom we said why does not close its side. */
const lastWordsMs = 300;
/** The same after an orderly end, whose last bytes may still be on their way. */
const lingerMs = 2000;
/** Longest wait for the PING between the two GOAWAYs. */
const goawayPingMs = 1000;

/** Throws RangeError for limits and timeouts that cannot be. */
export class Http2Session implements Http2Host {
  readonly connection: Http2Connection;
  /** Why the session ended, from before its streams are reset. */
  reason: unknown;
  readonly #isServer: boolean;
  readonly #socket: ByteSocket;
  readonly #host: SessionHost;
  readonly #clock: Clock;
  readonly #defer: SessionOptions["defer"];
  readonly #watch: SessionWatch;
  #chunks: Uint8Array[] = [];
  readonly #keepChunk: (chunk: Uint8Array) => void = (chunk) => {
    this.#chunks.push(chunk);
  };
  readonly #runFlush: () => void = () => this.#flush();
  #receiving = false;
  #flushing = false;
  #flushPlanned = false;
  #leaving = false;
  /** Nothing is read any more: the last bytes leave. */
  #ending = false;
  /** The socket is to be ended when it has taken what it was given. */
  #endsWhenWritable = false;
  #closed = false;
  #cancelTimer: (() => void) | undefined;

  constructor(options: SessionOptions) {
    const { role, socket, host, limits, clock, defer } = options;
    this.#isServer = role === "server";
    this.#socket = socket;
    this.#host = host;
    this.#clock = clock;
    this.#defer = defer;
    this.connection = new Http2Connection({
      role,
      host: this,
      now: () => clock.now(),
      ...(limits === undefined ? {} : { limits }),
    });
    this.#watch = new SessionWatch(this.connection, clock, resolveTimeouts(options.timeouts), () =>
      this.destroy(
        new ConnectionError(ErrorCode.enhanceYourCalm, "the peer takes no bytes"),
        ErrorCode.enhanceYourCalm,
      ),
    );
  }

  /** Takes over the socket. Once. */
  start(): void {
    this.#socket.start({
      onBytes: (bytes, length) => this.#onBytes(bytes, length),
      onWritable: () => this.#onWritable(),
      onClosed: (error) => this.#onSocketClosed(error),
    });
    this.connection.start();
    this.#watch.look();
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /**
   * Leaves in order: streams go on, and the session closes when the last has ended. A server says GOAWAY(2^31-1) first, and GOAWAY(last)
   * once the PING behind it is answered: by then every stream that the client began before it knew has come (RFC 9113, section 6.8).
   */
  leave(): void {
    if (this.#leaving || this.#ending || this.#closed) return;
    this.#leaving = true;
    if (!this.#isServer) {
      this.connection.goaway(0, ErrorCode.noError);
      this.#endIfIdle();
      return;
    }
    const finish = () => {
      if (this.#ending || this.#cancelTimer === undefined) return;
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
    this.#watch.stop();
    this.#ending = true;
    this.connection.goaway(this.#isServer ? this.connection.lastPeerStreamId : 0, code);
    this.connection.abort(code);
    this.#flush();
    this.#close();
    this.#socket.destroy();
  }

  // What the socket tells.

  #onBytes(bytes: Uint8Array, length: number): void {
    // What comes meanwhile is thrown away: bytes left unread would make the last ones of ours be lost with a reset of the socket.
    if (this.#ending) return;
    this.#receiving = true;
    this.connection.receive(bytes, length);
    this.#receiving = false;
    this.#watch.look();
  }

  #onWritable(): void {
    if (this.#socket.isDrained) this.connection.reclaim();
    if (this.#endsWhenWritable) this.#endSocket(lingerMs);
    else this.connection.setWritable(true);
  }

  #onSocketClosed(error: unknown): void {
    this.reason ??= error;
    this.connection.abort(ErrorCode.connectError);
    this.#close();
  }

  // Ends.

  #endIfIdle(): void {
    // The last stream may end while its last frames are being written: they are on no socket yet.
    if (!this.#leaving || this.#flushing || this.#cancelTimer !== undefined || this.connection.streamCount > 0) return;
    this.#end(true);
  }

  /** Sends what is left and ends the socket. A peer that offended gets little time to read it, and none where it does not read. */
  #end(inOrder: boolean): void {
    if (this.#ending || this.#closed) return;
    this.#ending = true;
    // The last answers are in frames; they go however much waits in the socket.
    const isWritable = this.connection.isWritable;
    this.connection.setWritable(true);
    const takesMore = this.#flush() && isWritable;
    if (inOrder && !takesMore) {
      this.connection.setWritable(false);
      this.#endsWhenWritable = true;
      this.#watch.look();
    } else if (inOrder || takesMore) {
      this.#endSocket(inOrder ? lingerMs : lastWordsMs);
    } else {
      // Nobody hears the last words behind all that waits.
      this.#watch.stop();
      this.#socket.destroy();
    }
  }

  #endSocket(patienceMs: number): void {
    this.#endsWhenWritable = false;
    this.#watch.stop();
    this.#socket.end();
    this.#cancelTimer?.();
    this.#cancelTimer = this.#clock.schedule(patienceMs, () => this.#socket.destroy());
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#ending = true;
    this.#endsWhenWritable = false;
    this.#watch.stop();
    this.#cancelTimer?.();
    this.#host.onClosed(this.reason);
  }

  // Output.

  /** Writes what there is; false where the socket takes no more for now. */
  #flush(): boolean {
    this.#flushPlanned = false;
    if (this.#closed || this.#flushing) return true;
    this.#flushing = true;
    let takesMore = true;
    // As often as the connection asks for it meanwhile: it makes frames of what waits piece by piece.
    for (;;) {
      if (this.#socket.isDrained) this.connection.reclaim();
      this.connection.flush(this.#keepChunk);
      if (this.#chunks.length === 0) break;
      const chunks = this.#chunks;
      this.#chunks = [];
      takesMore = this.#socket.write(chunks);
      if (takesMore) continue;
      this.connection.setWritable(false);
      break;
    }
    this.#flushing = false;
    this.#watch.look();
    this.#endIfIdle();
    return takesMore;
  }

  // What the connection tells.

  onOutput(): void {
    if (this.#flushing) return;
    // At the end of a chunk a server writes all its answers at once. A client waits, so that those it woke share the write.
    if (this.#receiving && this.#isServer) {
      this.#flush();
      return;
    }
    if (this.#flushPlanned || this.#closed) return;
    this.#flushPlanned = true;
    this.#defer(this.#runFlush, this.connection.streamCount > fewStreams);
  }

  onStream(stream: Stream, block: HeaderBlock, end: boolean): StreamListener {
    return this.#host.onStream(stream, block, end);
  }

  onSettings(): void {
    this.#host.onSettings();
  }

  onGoaway(lastStreamId: number, code: number, debugText: string): void {
    this.#host.onGoaway(lastStreamId, code, debugText);
  }

  onPing(): void {
    this.#host.onPing?.();
  }

  onError(code: number, reason: string): void {
    this.reason ??= new ConnectionError(code, reason);
    this.#end(false);
  }

  onIdle(): void {
    this.#host.onIdle();
    this.#endIfIdle();
  }

  onSlot(): void {
    this.#host.onSlot();
  }

  onRoom(): void {
    this.#host.onRoom?.();
  }
}
