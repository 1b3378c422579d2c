// Our gRPC client joined in memory with a server that answers by script, frame by frame: for tests of what goes over the wire.

import type { CallOptions } from "../../src/grpc/client/call-options.ts";
import { SessionTransport } from "../../src/grpc/client/session-transport.ts";
import { messageHead } from "../../src/grpc/message.ts";
import type { ConnectionLimits } from "../../src/http2/connection.ts";
import { Http2Session, type SessionHost } from "../../src/http2/session.ts";
import type { Stream, StreamListener } from "../../src/http2/stream.ts";
import { createManualClock, type ManualClock } from "../../src/testing/manual-clock.ts";
import { createSocketPair, type MemorySocket } from "./memory-socket.ts";

/** A call as the server sees it, and what it can do. */
export interface ServedCall {
  readonly headers: ReadonlyMap<string, string>;
  /** Fields as they came. */
  readonly fields: readonly string[];
  /** The request's data, in the pieces it came in. */
  readonly pieces: Uint8Array[];
  /** The request has ended. */
  readonly ended: boolean;
  /** The code with which the client reset the stream. */
  readonly resetCode: number | undefined;
  /** Sends response headers: 200 and gRPC, and these. */
  head(...fields: string[]): void;
  /** Sends a block of headers. */
  sendHeaders(fields: readonly string[], end: boolean): void;
  message(bytes: Uint8Array, compressed?: boolean): boolean;
  data(bytes: Uint8Array, end?: boolean): void;
  /** Sends trailers: `grpc-status: 0` where none are given. */
  trailers(...fields: string[]): void;
  reset(code: number): void;
  /** Gives back bytes of the request that were not consumed as they came. */
  consume(bytes: number): void;
}

/** What a pair is made with. */
export interface GrpcPairOptions extends Partial<Omit<CallOptions, "clock">> {
  /** Told of every call when its headers have come. */
  readonly onCall?: (call: ServedCall) => void;
  /** Told when the request has ended. */
  readonly onRequest?: (call: ServedCall) => void;
  readonly serverLimits?: Partial<ConnectionLimits>;
  readonly clientLimits?: Partial<ConnectionLimits>;
  /** Default true: the server gives its windows back at once. */
  readonly consumes?: boolean;
}

/** Both ends. */
export interface GrpcPair extends AsyncDisposable {
  readonly clock: ManualClock;
  readonly transport: SessionTransport;
  readonly session: Http2Session;
  readonly server: Http2Session;
  readonly clientSocket: MemorySocket;
  readonly serverSocket: MemorySocket;
  readonly calls: readonly ServedCall[];
}

/** Joins the two; resolves when the client has the server's settings. */
export async function createGrpcPair(options: GrpcPairOptions = {}): Promise<GrpcPair> {
  const clock = createManualClock();
  const [clientSocket, serverSocket] = createSocketPair();
  const calls: ServedCall[] = [];
  const transport = new SessionTransport({
    url: "http://peer.test:1",
    maxReceiveBytes: 4 * 1024 * 1024,
    maxSendBytes: 0xffff_ffff,
    acceptCompression: [],
    sendCompression: undefined,
    compressMinBytes: 0,
    ...options,
    clock,
  });
  const quiet: SessionHost = {
    onStream: () => {
      throw new Error("no server opens streams");
    },
    onSettings() {},
    onGoaway() {},
    onIdle() {},
    onSlot() {},
    onClosed() {},
  };
  const settled = Promise.withResolvers<void>();
  const server: Http2Session = new Http2Session({
    role: "server",
    socket: serverSocket,
    clock,
    defer: queueMicrotask,
    ...(options.serverLimits === undefined ? {} : { limits: options.serverLimits }),
    host: {
      ...quiet,
      onStream(stream, block, end) {
        const call = new Served(server, stream, block.fields, options.consumes ?? true, options.onRequest);
        calls.push(call);
        options.onCall?.(call);
        if (end) call.onData(new Uint8Array(0), 0, 0, true);
        return call;
      },
    },
  });
  const session: Http2Session = new Http2Session({
    role: "client",
    socket: clientSocket,
    clock,
    defer: queueMicrotask,
    ...(options.clientLimits === undefined ? {} : { limits: options.clientLimits }),
    host: {
      ...quiet,
      onSettings: () => settled.resolve(),
      onGoaway: () => transport.stop(),
      onSlot: () => transport.onSlot(),
      onClosed: () => transport.stop(),
    },
  });
  server.start();
  session.start();
  transport.begin(session);
  await settled.promise;
  return {
    clock,
    transport,
    session,
    server,
    clientSocket,
    serverSocket,
    calls,
    async [Symbol.asyncDispose]() {
      session.destroy(undefined);
      server.destroy(undefined);
      await clock.advance(0);
    },
  };
}

class Served implements ServedCall, StreamListener {
  readonly fields: readonly string[];
  readonly headers: ReadonlyMap<string, string>;
  readonly pieces: Uint8Array[] = [];
  ended = false;
  resetCode: number | undefined;
  readonly #session: Http2Session;
  readonly #stream: Stream;
  readonly #consumes: boolean;
  readonly #onRequest: ((call: ServedCall) => void) | undefined;

  constructor(
    session: Http2Session,
    stream: Stream,
    fields: readonly string[],
    consumes: boolean,
    onRequest: ((call: ServedCall) => void) | undefined,
  ) {
    this.#session = session;
    this.#stream = stream;
    this.#consumes = consumes;
    this.#onRequest = onRequest;
    this.fields = fields;
    const headers = new Map<string, string>();
    for (let index = 0; index < fields.length; index += 2) headers.set(fields[index] ?? "", fields[index + 1] ?? "");
    this.headers = headers;
  }

  onHeaders(): void {}

  onData(bytes: Uint8Array, from: number, to: number, end: boolean): void {
    if (to > from) this.pieces.push(bytes.slice(from, to));
    if (this.#consumes) this.consume(to - from);
    if (!end) return;
    this.ended = true;
    this.#onRequest?.(this);
  }

  onReset(code: number): void {
    this.resetCode = code;
  }

  onDrained(): void {}

  head(...fields: string[]): void {
    this.sendHeaders([":status", "200", "content-type", "application/grpc+proto", ...fields], false);
  }

  sendHeaders(fields: readonly string[], end: boolean): void {
    const { connection } = this.#session;
    connection.sendHeaders(this.#stream, connection.prepare(fields), undefined, end);
  }

  message(bytes: Uint8Array, compressed = false): boolean {
    return this.#session.connection.sendData(this.#stream, messageHead(bytes.length, compressed), bytes, false);
  }

  data(bytes: Uint8Array, end = false): void {
    this.#session.connection.sendData(this.#stream, undefined, bytes, end);
  }

  trailers(...fields: string[]): void {
    this.sendHeaders(fields.length === 0 ? ["grpc-status", "0"] : fields, true);
  }

  reset(code: number): void {
    this.#session.connection.resetStream(this.#stream, code);
  }

  consume(bytes: number): void {
    this.#session.connection.consumed(this.#stream, bytes);
  }
}
