// One connection to one endpoint, over our own HTTP/2: its states from opening the socket to its end. Makes no calls itself.

import type { Transport } from "@connectrpc/connect";
import type { Compression } from "@connectrpc/connect/protocol";
import { type Clock, maxTimerMs } from "../core/clock.ts";
import { deadlineQueueOf } from "../core/deadline-queue.ts";
import type { Endpoint } from "../core/endpoint.ts";
import { SessionTransport } from "../grpc/client/session-transport.ts";
import type { Keepalive } from "../grpc/keepalive.ts";
import type { ByteSocket, ByteSocketListener } from "../http2/byte-socket.ts";
import { ErrorCode, errorCodeName } from "../http2/error-code.ts";
import { Http2Session, type SessionHost, type SessionOptions } from "../http2/session.ts";
import type { StreamListener } from "../http2/stream.ts";
import type {
  CallCounts,
  Connection,
  ConnectionListener,
  ConnectionState,
  UnaryCaller,
} from "../transport/connector.ts";
import { ConnectTimeout } from "./connect-timeout.ts";
import type { KeepalivePolicy } from "./keepalive-policy.ts";
import { neverSpokeHttp2 } from "./never-ready.ts";

/** What connections of one connector share. */
export interface SocketConnectionOptions {
  readonly open: (endpoint: Endpoint, signal: AbortSignal) => Promise<ByteSocket>;
  readonly connectTimeoutMs: number;
  readonly maxReceiveBytes: number;
  readonly maxSendBytes: number;
  readonly acceptCompression: readonly Compression[];
  readonly sendCompression: Compression | undefined;
  readonly compressMinBytes: number;
  /** Calls under way on a connection at a time, and those that may wait for their turn; undefined for any number. */
  readonly maxCalls: number;
  readonly maxPendingCalls: number;
  readonly keepalive: KeepalivePolicy;
  readonly clock: Clock;
  readonly defer: SessionOptions["defer"];
}

export class SocketConnection implements Connection, SessionHost {
  readonly endpoint: Endpoint;
  state: ConnectionState = { type: "idle" };
  readonly #transport: SessionTransport;
  readonly #listener: ConnectionListener;
  readonly #options: SocketConnectionOptions;
  readonly #gone = Promise.withResolvers<void>();
  /** While the socket is being opened. */
  #opening: AbortController | undefined;
  #session: Http2Session | undefined;
  #keepalive: Keepalive | undefined;
  #cancelConnectTimeout: (() => void) | undefined;
  /** Why we closed it before there was a session to tell. */
  #reason: unknown;
  #isClosing = false;

  constructor(endpoint: Endpoint, listener: ConnectionListener, options: SocketConnectionOptions) {
    this.endpoint = endpoint;
    this.#listener = listener;
    this.#options = options;
    this.#transport = new SessionTransport({ url: endpoint.url, ...options });
  }

  get caller(): UnaryCaller {
    return this.#transport;
  }

  get transport(): Transport {
    return this.#transport;
  }

  get counts(): CallCounts {
    return this.#transport.counts;
  }

  ping(onAnswer: () => void): void {
    if (this.state.type === "ready") this.#session?.connection.ping(onAnswer);
  }

  connect(): void {
    if (this.state.type !== "idle") return;
    this.state = { type: "connecting" };
    const { clock, connectTimeoutMs, open } = this.#options;
    this.#cancelConnectTimeout = clock.schedule(connectTimeoutMs, () => {
      if (this.state.type === "connecting") void this.close(new ConnectTimeout(this.endpoint.url, connectTimeoutMs));
    });
    this.#opening = new AbortController();
    open(this.endpoint, this.#opening.signal)
      .then((socket) => this.#onOpen(socket))
      // The opener's own words, or a socket's that cannot even be started.
      .catch((error: unknown) => {
        this.#opening = undefined;
        this.#isClosing = true;
        this.#close(error);
        this.#gone.resolve();
      });
  }

  drain(): Promise<void> {
    switch (this.state.type) {
      case "idle":
      case "connecting":
        return this.close();
      case "ready":
        this.#leave();
        break;
      case "draining":
      case "closed":
        break;
      default:
        this.state satisfies never;
    }
    return this.#gone.promise;
  }

  close(reason?: unknown): Promise<void> {
    if (this.state.type === "closed") return this.#gone.promise;
    this.#isClosing = true;
    this.#reason ??= reason;
    if (this.#session !== undefined) {
      this.#session.destroy(reason);
      return this.#gone.promise;
    }
    const opening = this.#opening;
    this.#close(undefined);
    // Its opener says when there is nothing left of it.
    if (opening === undefined) this.#gone.resolve();
    else opening.abort(reason);
    return this.#gone.promise;
  }

  #onOpen(socket: ByteSocket): void {
    this.#opening = undefined;
    if (this.state.type !== "connecting") {
      socket.start({ onBytes() {}, onWritable() {}, onClosed: () => this.#gone.resolve() });
      socket.destroy();
      return;
    }
    const { clock, defer, connectTimeoutMs } = this.#options;
    const session = new Http2Session({
      role: "client",
      socket: new WatchedSocket(socket, this.#gone.resolve),
      host: this,
      clock,
      defer,
      // No streams of the peer's: pushes are refused by SETTINGS.
      limits: { maxConcurrentStreams: 0, maxOwnStreams: this.#options.maxCalls },
      // How long a server may take to read what it is sent, or to end what it began to send, is the caller's affair, who has deadlines:
      // a slow line is no attack.
      timeouts: {
        settingsMs: connectTimeoutMs,
        frameMs: maxTimerMs,
        windowStallMs: maxTimerMs,
        overfullMs: maxTimerMs,
      },
    });
    this.#session = session;
    session.start();
  }

  // What the session tells.

  onStream(): StreamListener {
    throw new Error("Cannot take a stream as servers open none");
  }

  /** Ready means that the peer has spoken HTTP/2, not only that it accepted: its SETTINGS come first (RFC 9113, section 3.4). */
  onSettings(): void {
    const session = this.#session;
    if (this.state.type !== "connecting" || session === undefined) return;
    try {
      const { endpoint } = this;
      const keepalive = this.#options.keepalive.start(endpoint, session.connection, (dead) => session.destroy(dead));
      this.#keepalive = keepalive;
      this.#transport.begin(session, keepalive === undefined ? undefined : () => keepalive.onStream());
    } catch (error) {
      // Thrown into the socket's callback, it would end the process.
      void this.close(error);
      return;
    }
    this.#cancelConnectTimeout?.();
    this.#move({ type: "ready", sinceMs: this.#options.clock.now() });
  }

  onGoaway(_lastStreamId: number, code: number, debugText: string): void {
    const session = this.#session;
    if (code !== ErrorCode.noError && session !== undefined) {
      const text = debugText === "" ? "" : `: ${JSON.stringify(debugText)}`;
      // What the calls that it cuts off are told.
      session.reason ??= new Error(`the server ended the connection with ${errorCodeName(code)}${text}`);
    }
    this.#options.keepalive.onGoaway(this.endpoint, code, debugText);
    this.#leave();
  }

  onIdle(): void {
    // Ids are used up after 2^30 calls: RFC 9113, section 5.1.1.
    if (this.#session?.connection.isExhausted) this.#leave();
  }

  onSlot(): void {
    this.#transport.onSlot();
  }

  onClosed(reason: unknown): void {
    this.#close(reason);
  }

  // The end.

  /** Takes no new calls, lets those under way go on; the session closes after the last. */
  #leave(): void {
    this.#transport.stop();
    if (this.state.type === "ready" || this.state.type === "connecting") this.#move({ type: "draining" });
    this.#session?.leave();
  }

  #close(sessionReason: unknown): void {
    if (this.state.type === "closed") return;
    this.#cancelConnectTimeout?.();
    this.#keepalive?.stop();
    this.#transport.stop();
    const reason = this.#reason ?? sessionReason;
    const wasConnecting = this.state.type === "connecting";
    this.#move({ type: "closed", reason: wasConnecting ? this.#whyNeverReady(reason) : reason });
    deadlineQueueOf(this.#options.clock).rest();
  }

  #whyNeverReady(reason: unknown): unknown {
    const { url } = this.endpoint;
    // The opener's own words, or those of who closed it.
    if (this.#session === undefined || this.#isClosing) return reason;
    return neverSpokeHttp2(url, reason);
  }

  #move(state: ConnectionState): void {
    this.state = state;
    this.#listener.onState(state);
  }
}

/** The socket, and word of its end when it is really gone: a session ends before its socket does. */
class WatchedSocket implements ByteSocket, ByteSocketListener {
  readonly #socket: ByteSocket;
  readonly #onGone: () => void;
  #listener: ByteSocketListener | undefined;

  constructor(socket: ByteSocket, onGone: () => void) {
    this.#socket = socket;
    this.#onGone = onGone;
  }

  get isDrained(): boolean {
    return this.#socket.isDrained;
  }

  start(listener: ByteSocketListener): void {
    this.#listener = listener;
    this.#socket.start(this);
  }

  write(chunks: readonly Uint8Array[]): boolean {
    return this.#socket.write(chunks);
  }

  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  onBytes(bytes: Uint8Array, length: number): void {
    this.#listener?.onBytes(bytes, length);
  }

  onWritable(): void {
    this.#listener?.onWritable();
  }

  onClosed(error: unknown): void {
    this.#listener?.onClosed(error);
    this.#onGone();
  }
}
