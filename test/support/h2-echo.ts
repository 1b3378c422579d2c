// A server and a client right on Http2Session, without gRPC: what tests of sessions, floods and h2spec talk to. The server echoes, or
// answers as the path says.

import { once } from "node:events";
import * as net from "node:net";
import process from "node:process";
import { systemClock } from "../../src/core/clock.ts";
import type { ByteSocket } from "../../src/http2/byte-socket.ts";
import type { HeaderBlock } from "../../src/http2/hpack/header-decoder.ts";
import { Http2Session, type SessionHost, type SessionOptions } from "../../src/http2/session.ts";
import type { PreparedFields, Stream, StreamListener } from "../../src/http2/stream.ts";
import { wrapNodeSocket } from "../../src/runtime/node-socket.ts";
import { listenOnLoopback } from "./loopback.ts";

/** What a session of these tests may be given. */
export type H2Options = Partial<Omit<SessionOptions, "role" | "socket" | "host">>;

const defaults = { clock: systemClock, defer: (run: () => void) => process.nextTick(run) };

/** A server's side of one connection. */
export interface EchoSession {
  readonly session: Http2Session;
  /** Requests that came, by their paths. */
  readonly paths: string[];
  /** Resolves with the reason when the session has closed. */
  readonly closed: Promise<unknown>;
}

/**
 * Serves a socket. The path decides: `/bytes/N` is answered with N bytes, `/hang` never, all others with the request's data once it is
 * whole.
 */
export function serveEchoOn(socket: ByteSocket, options: H2Options = {}): EchoSession {
  const paths: string[] = [];
  let tellClosed = (_reason: unknown): void => {};
  const closed = new Promise<unknown>((resolve) => {
    tellClosed = resolve;
  });
  const host: SessionHost = {
    onStream(stream, block, end) {
      const path = block.fields[block.fields.indexOf(":path") + 1] ?? "";
      paths.push(path);
      return new EchoStream(session, answers, stream, path, end);
    },
    onSettings() {},
    onGoaway() {},
    onIdle() {},
    onSlot() {},
    onClosed: (reason) => tellClosed(reason),
  };
  const session = new Http2Session({ ...defaults, ...options, role: "server", socket, host });
  const answers: Answers = {
    headers: session.connection.prepare([":status", "200", "content-type", "application/octet-stream"]),
    trailers: session.connection.prepare(["grpc-status", "0"]),
  };
  session.start();
  return { session, paths, closed };
}

interface Answers {
  readonly headers: PreparedFields;
  readonly trailers: PreparedFields;
}

class EchoStream implements StreamListener {
  readonly #session: Http2Session;
  readonly #answers: Answers;
  readonly #stream: Stream;
  readonly #path: string;
  readonly #parts: Uint8Array[] = [];

  constructor(session: Http2Session, answers: Answers, stream: Stream, path: string, end: boolean) {
    this.#session = session;
    this.#answers = answers;
    this.#stream = stream;
    this.#path = path;
    if (end) this.#answer();
  }

  onHeaders(_block: HeaderBlock, end: boolean): void {
    if (end) this.#answer();
  }

  onData(bytes: Uint8Array, from: number, to: number, end: boolean): void {
    if (to > from) this.#parts.push(new Uint8Array(bytes.subarray(from, to)));
    this.#session.connection.consumed(this.#stream, to - from);
    if (end) this.#answer();
  }

  onReset(): void {}

  onDrained(): void {}

  #answer(): void {
    const { connection } = this.#session;
    if (this.#path === "/hang") return;
    connection.sendHeaders(this.#stream, this.#answers.headers, undefined, false);
    if (this.#path.startsWith("/bytes/")) {
      const body = new Uint8Array(Number(this.#path.slice("/bytes/".length))).fill(120);
      connection.sendData(this.#stream, undefined, body, false);
    } else {
      for (const part of this.#parts) connection.sendData(this.#stream, undefined, part, false);
    }
    connection.sendHeaders(this.#stream, this.#answers.trailers, undefined, true);
  }
}

/** A server of echoes on a port of the loopback. */
export interface EchoServer extends AsyncDisposable {
  readonly port: number;
  /** Every connection so far. */
  readonly sessions: readonly EchoSession[];
}

/** Starts it. Disposing of it cuts what is open. */
export async function startH2Echo(options: H2Options = {}): Promise<EchoServer> {
  const sessions: EchoSession[] = [];
  const server = net.createServer((socket) => {
    sessions.push(serveEchoOn(wrapNodeSocket(socket), options));
  });
  const listening = await listenOnLoopback(server);
  return {
    port: listening.port,
    sessions,
    async [Symbol.asyncDispose]() {
      await listening[Symbol.asyncDispose]();
      await Promise.all(sessions.map(({ closed }) => closed));
    },
  };
}

/** What a call of the client's got. */
export interface H2Answer {
  readonly headers: readonly string[];
  readonly trailers: readonly string[];
  readonly body: Uint8Array;
}

/** A client's session. */
export interface H2Client extends AsyncDisposable {
  readonly session: Http2Session;
  readonly closed: Promise<unknown>;
  /** Sends a request with a body, or without, and resolves with the answer; rejects when the stream is reset. */
  call(path: string, body?: Uint8Array): Promise<H2Answer>;
}

/** Connects to a port of the loopback; resolves when the server's settings have come. */
export async function connectH2(
  port: number,
  options: H2Options = {},
): Promise<H2Client & { readonly socket: net.Socket }> {
  const socket = net.connect(port, "127.0.0.1");
  await once(socket, "connect");
  const client = callOn(wrapNodeSocket(socket), options);
  await client.ready;
  return { ...client, socket };
}

/** A client on a socket that is connected. */
export function callOn(socket: ByteSocket, options: H2Options = {}): H2Client & { readonly ready: Promise<void> } {
  let tellClosed = (_reason: unknown): void => {};
  let tellReady = (): void => {};
  const slots: (() => void)[] = [];
  const closed = new Promise<unknown>((resolve) => {
    tellClosed = resolve;
  });
  const ready = new Promise<void>((resolve) => {
    tellReady = resolve;
  });
  const host: SessionHost = {
    onStream: () => {
      throw new Error("a server opened a stream");
    },
    onSettings: () => tellReady(),
    onGoaway() {},
    onIdle() {},
    onSlot() {
      while (session.connection.canOpen && slots.length > 0) slots.shift()?.();
    },
    onClosed(reason) {
      tellReady();
      tellClosed(reason);
    },
  };
  const session = new Http2Session({ ...defaults, ...options, role: "client", socket, host });
  session.start();
  const prepared = new Map<string, PreparedFields>();
  const { connection } = session;
  const send = (path: string, body: Uint8Array | undefined, call: ClientStream) => {
    const fields = prepared.get(path) ?? connection.prepare(requestFields(path));
    prepared.set(path, fields);
    call.stream = connection.open(call, fields, undefined, body === undefined);
    if (body !== undefined) connection.sendData(call.stream, undefined, body, true);
  };
  return {
    session,
    closed,
    ready,
    call: (path, body) =>
      new Promise((resolve, reject) => {
        const call = new ClientStream(session, body?.length ?? 0, resolve, reject);
        if (connection.canOpen) send(path, body, call);
        else if (connection.isExhausted) reject(new Error("no stream can be opened"));
        else slots.push(() => send(path, body, call));
      }),
    async [Symbol.asyncDispose]() {
      session.destroy(undefined);
      await closed;
    },
  };
}

/** Request headers for a path. */
export function requestFields(path: string): string[] {
  return [":method", "POST", ":scheme", "http", ":path", path, ":authority", "test"];
}

class ClientStream implements StreamListener {
  stream: Stream | undefined;
  readonly #session: Http2Session;
  readonly #resolve: (answer: H2Answer) => void;
  readonly #reject: (reason: unknown) => void;
  #body: Uint8Array;
  #length = 0;
  #headers: readonly string[] = [];

  /** `expectedBytes` are made room for at once. */
  constructor(
    session: Http2Session,
    expectedBytes: number,
    resolve: (answer: H2Answer) => void,
    reject: (reason: unknown) => void,
  ) {
    this.#session = session;
    this.#body = new Uint8Array(expectedBytes);
    this.#resolve = resolve;
    this.#reject = reject;
  }

  onHeaders(block: HeaderBlock, end: boolean): void {
    if (end) this.#done(block.fields);
    else this.#headers = block.fields;
  }

  onData(bytes: Uint8Array, from: number, to: number, end: boolean): void {
    const length = this.#length + to - from;
    if (length > this.#body.length) {
      const grown = new Uint8Array(Math.max(length, this.#body.length * 2));
      grown.set(this.#body.subarray(0, this.#length));
      this.#body = grown;
    }
    this.#body.set(bytes.subarray(from, to), this.#length);
    this.#length = length;
    if (this.stream !== undefined) this.#session.connection.consumed(this.stream, to - from);
    if (end) this.#done([]);
  }

  onReset(code: number, unprocessed: boolean): void {
    this.#reject(new ResetError(code, unprocessed, this.#session.reason));
  }

  onDrained(): void {}

  #done(trailers: readonly string[]): void {
    this.#resolve({ headers: this.#headers, trailers, body: this.#body.subarray(0, this.#length) });
  }
}

/** A stream was reset. `cause` is the session's reason, where it had ended by then. */
export class ResetError extends Error {
  override readonly name = "ResetError";
  readonly code: number;
  readonly unprocessed: boolean;

  constructor(code: number, unprocessed: boolean, cause: unknown) {
    super(`the stream was reset: code ${code}`, { cause });
    this.code = code;
    this.unprocessed = unprocessed;
  }
}

/** One run of bytes. */
export function joinBytes(parts: readonly Uint8Array[]): Uint8Array {
  const [only] = parts;
  if (parts.length === 1 && only !== undefined) return only;
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
