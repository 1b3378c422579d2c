// Reaches endpoints by gRPC over the runtime's own HTTP/2 (node:http2), with the message framing of @connectrpc/connect-node.
// Runs on Bun, Deno and Node. One session a connection; a session is never reused for another endpoint.

import * as http2 from "node:http2";
import type { Socket } from "node:net";
import type { ConnectionOptions, TLSSocket } from "node:tls";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import type { UniversalClientRequest, UniversalClientResponse } from "@connectrpc/connect/protocol";
import { createTransport } from "@connectrpc/connect/protocol-grpc";
import { markUnprocessed } from "../core/call-fate.ts";
import { systemClock } from "../core/clock.ts";
import type { Endpoint } from "../core/endpoint.ts";
import type { Logger } from "../core/logger.ts";
import type { Keepalive } from "../grpc/keepalive.ts";
import { brotli, gzip } from "../runtime/zlib-compression.ts";
import type { Connection, ConnectionListener, ConnectionState, Connector } from "../transport/connector.ts";
import { type ClientTls, type ClientTlsOptions, createClientTls } from "./client-tls.ts";
import { ConnectTimeout } from "./connect-timeout.ts";
import { type ConnectorOptions, checkConnectorOptions } from "./connector-options.ts";
import { sendHttp2Request } from "./http2-request.ts";
import { KeepalivePolicy } from "./keepalive-policy.ts";
import { neverSpokeHttp2, tlsFailure } from "./never-ready.ts";
import { engineOptions } from "./socket-connector.ts";

export type { ClientTlsOptions } from "./client-tls.ts";

/** How connections are made. */
export interface NodeHttp2ConnectorOptions extends ConnectorOptions {
  /** TLS settings of endpoints whose URL is https. */
  readonly tls?: ClientTlsOptions;
  /** Told of certificates that were replaced while the client runs. Silent by default. */
  readonly logger?: Logger;
}

/** With every default in its place. */
type ResolvedOptions = Required<Omit<NodeHttp2ConnectorOptions, "tls" | "logger" | "keepalive">> & {
  readonly tls: ClientTls;
  readonly keepalive: KeepalivePolicy;
};

/** Creates a connector over node:http2. Throws RangeError or TypeError on bad options; reads the files of `tls`, opens nothing else. */
export function createNodeHttp2Connector(options: NodeHttp2ConnectorOptions = {}): Connector {
  const { connectTimeoutMs = 20_000, maxReceiveBytes = 4 * 1024 * 1024, clock = systemClock } = options;
  const { tls: givenTls = {}, logger, keepalive } = options;
  for (const [name, value] of Object.entries(options)) {
    // Without types they would be lost without a word.
    if (value === undefined || !Object.hasOwn(engineOptions, name)) continue;
    throw new TypeError(`Cannot create connector as "${name}" is an option of createHttp2Connector, not of this one`);
  }
  checkConnectorOptions({ connectTimeoutMs, maxReceiveBytes, keepalive });
  const tls = createClientTls(givenTls, { logger, clock });
  const resolved = { connectTimeoutMs, maxReceiveBytes, tls, clock, keepalive: new KeepalivePolicy(keepalive, clock) };
  return (endpoint, listener) => new NodeHttp2Connection(endpoint, listener, resolved);
}

class NodeHttp2Connection implements Connection {
  readonly endpoint: Endpoint;
  readonly transport: Transport;
  state: ConnectionState = { type: "idle" };
  readonly #listener: ConnectionListener;
  readonly #options: ResolvedOptions;
  readonly #closed = Promise.withResolvers<void>();
  #session: http2.ClientHttp2Session | undefined;
  #cancelConnectTimeout: (() => void) | undefined;
  #keepalive: Keepalive | undefined;
  /** Known once TCP and TLS are through. */
  #socket: Socket | TLSSocket | undefined;
  #streams = 0;
  /** Headers and pieces of data that came. */
  #heard = 0;
  /** Graceful servers send GOAWAY twice, first with the largest id there is: the last one counts (RFC 9113 section 6.8). */
  #goawayLastId: number | undefined;
  /** Why the session ended, as far as anything said so. */
  #reason: unknown;
  #isClosing = false;

  constructor(endpoint: Endpoint, listener: ConnectionListener, options: ResolvedOptions) {
    this.endpoint = endpoint;
    this.#listener = listener;
    this.#options = options;
    this.transport = createTransport({
      baseUrl: endpoint.url,
      httpClient: (request) => this.#send(request),
      useBinaryFormat: true,
      interceptors: [],
      acceptCompression: [gzip, brotli],
      sendCompression: null,
      compressMinBytes: 1024,
      readMaxBytes: options.maxReceiveBytes,
      writeMaxBytes: 0xffff_ffff,
    });
  }

  connect(): void {
    if (this.state.type !== "idle") return;
    this.state = { type: "connecting" };
    let tls: ConnectionOptions;
    try {
      tls = isTls(this.endpoint) ? this.#options.tls.connectionOptions(this.endpoint) : {};
    } catch (error) {
      // What an option of the caller's said. Not told from within this call.
      queueMicrotask(() => void this.close(error));
      return;
    }
    const session = http2.connect(this.endpoint.url, {
      ...tls,
      // As on our server: beyond 10 MB of what is queued node 24.21 resets calls with ENHANCE_YOUR_CALM, though the peer said nothing.
      maxSessionMemory: Number.MAX_SAFE_INTEGER,
    });
    this.#session = session;
    // Ready means that the peer has spoken HTTP/2, not only that it accepted: its SETTINGS come first (RFC 9113 section 3.4).
    session.once("remoteSettings", () => {
      if (this.state.type !== "connecting") return;
      this.#keepalive = this.#startKeepalive(session);
      this.#move({ type: "ready", sinceMs: this.#options.clock.now() });
    });
    session.on("error", (error) => {
      this.#reason ??= error;
    });
    session.once("connect", (_session, socket) => {
      this.#socket = socket;
      // Node 24.21 leaves the socket of a session open that failed with bytes unsent, and its session is then never closed: so it
      // is for a TLS 1.3 server that refuses the client's certificate after the handshake (RFC 8446 section 4.4.2.4).
      socket.on("error", () => socket.destroy());
    });
    session.on("goaway", (code, lastStreamId, debugData) => {
      this.#goawayLastId = lastStreamId;
      this.#options.keepalive.onGoaway(this.endpoint, code, new TextDecoder().decode(debugData));
      if (this.state.type === "ready" || this.state.type === "connecting") this.#move({ type: "draining" });
      this.#closeWhenDone();
    });
    session.once("close", () => this.#onClose());
    this.#cancelConnectTimeout = this.#options.clock.schedule(this.#options.connectTimeoutMs, () => {
      if (this.state.type === "connecting") {
        void this.close(new ConnectTimeout(this.endpoint.url, this.#options.connectTimeoutMs));
      }
    });
  }

  ping(onAnswer: () => void): void {
    if (this.state.type === "ready" && this.#session !== undefined) sendPing(this.#session, onAnswer);
  }

  drain(): Promise<void> {
    switch (this.state.type) {
      case "idle":
      case "connecting":
        return this.close();
      case "ready":
        this.#move({ type: "draining" });
        break;
      case "draining":
      case "closed":
        break;
      default:
        this.state satisfies never;
    }
    this.#closeWhenDone();
    return this.#closed.promise;
  }

  close(reason?: unknown): Promise<void> {
    if (this.state.type === "closed") return this.#closed.promise;
    this.#isClosing = true;
    this.#reason ??= reason;
    if (this.#session === undefined) this.#onClose();
    else this.#session.destroy();
    // A session that was closing before waits for its socket, and the socket for a peer that reads (measured on node 24.21).
    this.#socket?.destroy();
    return this.#closed.promise;
  }

  #closeWhenDone(): void {
    if (this.state.type !== "draining" || this.#streams > 0) return;
    this.#session?.close();
  }

  #startKeepalive(session: http2.ClientHttp2Session): Keepalive | undefined {
    const streams = () => this.#streams;
    // Bun 1.4.5 counts no bytes of a session's socket: what its calls hear must do.
    const progress = () => this.#heard + (this.#socket?.bytesRead ?? 0);
    const connection = {
      get readProgress() {
        return progress();
      },
      get streamCount() {
        return streams();
      },
      ping(onAnswer: () => void) {
        if (session.destroyed) return;
        // After a GOAWAY Node and Deno send none (measured on node 24.21 and Deno 2.9.6): then their deadlines are all that calls have.
        session.ping(onAnswer);
      },
    };
    return this.#options.keepalive.start(this.endpoint, connection, (dead) => void this.close(dead));
  }

  #onClose(): void {
    this.#cancelConnectTimeout?.();
    this.#keepalive?.stop();
    if (this.state.type === "closed") return;
    const reason = this.state.type === "connecting" ? this.#whyNeverReady() : this.#reason;
    this.#move({ type: "closed", reason });
    this.#closed.resolve();
  }

  #whyNeverReady(): unknown {
    if (this.#isClosing) return this.#reason;
    const { url } = this.endpoint;
    // What answered there is something else, or speaks TLS where we do not.
    const hasConnected = this.#socket !== undefined;
    if (hasConnected || this.#reason === undefined) return neverSpokeHttp2(url, this.#reason);
    return tlsFailure(url, this.#reason) ?? this.#reason;
  }

  #move(state: ConnectionState): void {
    this.state = state;
    this.#listener.onState(state);
  }

  async #send(request: UniversalClientRequest): Promise<UniversalClientResponse> {
    const session = this.#session;
    // node closes a session by itself in some cases, without a GOAWAY of the peer: it takes no new calls, so it must be replaced.
    if (this.state.type === "ready" && session?.closed) this.#move({ type: "draining" });
    if (this.state.type !== "ready" || session === undefined || session.closed || session.destroyed) {
      throw markUnprocessed(
        new ConnectError(`the connection to ${this.endpoint.url} takes no new calls`, Code.Unavailable),
      );
    }
    this.#streams++;
    this.#keepalive?.onStream();
    return sendHttp2Request(request, {
      session,
      url: this.endpoint.url,
      now: () => this.#options.clock.now(),
      goawayLastId: () => this.#goawayLastId,
      isLeaving: () => this.state.type !== "ready",
      lostReason: () => this.#reason,
      onHeard: () => {
        this.#heard++;
      },
      onClosed: () => {
        this.#streams--;
        this.#closeWhenDone();
      },
    });
  }
}

function sendPing(session: http2.ClientHttp2Session, onAnswer: () => void): void {
  if (session.closed || session.destroyed) return;
  session.ping((error) => {
    if (error === null) onAnswer();
  });
}

function isTls({ url }: Endpoint): boolean {
  return new URL(url).protocol === "https:";
}
