// One request and its answer on a stream of our own HTTP/2, translated to and from the form that handlers speak: everything that is no
// native gRPC. The same as node-exchange.ts does on the runtime's.

import { Code, ConnectError, type ContextValues } from "@connectrpc/connect";
import type { UniversalHandlerFn, UniversalServerRequest, UniversalServerResponse } from "@connectrpc/connect/protocol";
import type { Clock } from "../core/clock.ts";
import type { Logger } from "../core/logger.ts";
import { ByteQueue } from "../grpc/server/byte-queue.ts";
import type { CallTracker, TrackedCall } from "../grpc/server/call-tracker.ts";
import type { RoomQueue } from "../grpc/server/room-queue.ts";
import { logReset, whyReset } from "../grpc/server/why-reset.ts";
import { noBytes } from "../http2/byte-buffer.ts";
import type { Http2Connection } from "../http2/connection.ts";
import { ErrorCode } from "../http2/error-code.ts";
import { connectionFields } from "../http2/field-rules.ts";
import type { HeaderBlock } from "../http2/hpack/header-decoder.ts";
import type { Stream, StreamListener } from "../http2/stream.ts";
import { respellGrpcMessage } from "./grpc-message.ts";
import type { EarlyRefusal } from "./overload/early-refusal.ts";
import { textResponse } from "./plain-response.ts";
import { requestUrl } from "./request-url.ts";

/** How long a client may go on sending after its answer is complete: curl takes it for a failure where it may not. */
const uploadGraceMs = 1000;

/** What one exchange needs beside itself. */
export interface StreamExchangeOptions {
  readonly connection: Http2Connection;
  /** Why the connection ended; undefined where it has not, or the client just closed it. */
  readonly whyOver: () => unknown;
  readonly room: RoomQueue;
  readonly handler: UniversalHandlerFn;
  readonly refuse: EarlyRefusal | undefined;
  /** Makes the values that a call begins with. */
  readonly newValues: () => ContextValues;
  readonly scheme: "http" | "https";
  readonly calls: CallTracker;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Serves a stream that just came. Returns who is told of the rest of it. */
export function serveStream(
  stream: Stream,
  block: HeaderBlock,
  end: boolean,
  options: StreamExchangeOptions,
): StreamListener {
  const exchange = new StreamExchange(stream, block, end, options);
  void exchange.serve();
  return exchange;
}

class StreamExchange implements StreamListener, TrackedCall {
  nextCall: TrackedCall | undefined = undefined;
  previousCall: TrackedCall | undefined = undefined;
  readonly #stream: Stream;
  readonly #options: StreamExchangeOptions;
  readonly #block: HeaderBlock;
  readonly #method: string;
  readonly #path: string;
  /** Aborts what the handler gets as the signal of the request. */
  readonly #handling: AbortController = new AbortController();
  /** The client waits for no answer any more. */
  #isGone = false;
  readonly #body: StreamBody;
  /** All of the answer is handed over. */
  #isAnswered = false;
  #wake: () => void = () => {};
  #cancelUpload: () => void = () => {};

  constructor(stream: Stream, block: HeaderBlock, end: boolean, options: StreamExchangeOptions) {
    this.#stream = stream;
    this.#options = options;
    this.#block = block;
    this.#method = fieldOf(block.fields, ":method");
    this.#path = fieldOf(block.fields, ":path");
    this.#body = new StreamBody(stream, options.connection);
    stream.takesRest = true;
    if (end) this.#body.finish(undefined);
  }

  // What the stream and the server tell.

  onHeaders(_trailers: HeaderBlock, end: boolean): void {
    if (end) this.#onRequestEnd();
  }

  onData(bytes: Uint8Array, from: number, to: number, end: boolean): void {
    this.#body.feed(bytes, from, to);
    if (end) this.#onRequestEnd();
  }

  #onRequestEnd(): void {
    this.#body.finish(undefined);
    this.#cancelUpload();
  }

  onReset(code: number): void {
    const { connection, logger, whyOver } = this.#options;
    logReset(logger, connection, this.#stream, code);
    if (!this.#isAnswered) {
      this.#isGone = true;
      this.#handling.abort(whyReset(connection, this.#stream, code, whyOver()));
    }
    const gone = new ConnectError("the client went away before its request was complete", Code.Canceled);
    this.#body.finish(gone);
    this.#cancelUpload();
    this.#options.calls.remove(this);
    this.#wake();
  }

  onDrained(): void {
    if (this.#isAnswered) this.#onSent();
    this.#wake();
  }

  /** The answer is whole, and in frames. */
  #onSent(): void {
    const { calls, clock, connection } = this.#options;
    calls.remove(this);
    if (this.#stream.closed) return;
    this.#cancelUpload = clock.schedule(uploadGraceMs, () => connection.resetStream(this.#stream, ErrorCode.noError));
  }

  /** The handler's signal aborts. Those of RPCs answer so; what else goes on ends with its connection. */
  cut(reason: ConnectError): void {
    this.#handling.abort(reason);
  }

  // The exchange.

  /** Returns when the answer is written, or the client is gone; never rejects. */
  async serve(): Promise<void> {
    const { calls, handler, logger } = this.#options;
    calls.add(this);
    try {
      const asked = this.#refuse() ?? this.#parse();
      await this.#write("status" in asked ? asked : await handler(asked));
    } catch (error) {
      if (this.#isGone) return;
      logger.error("Answer failed", { method: this.#method, url: this.#path, error });
      this.#abandon();
    } finally {
      await this.#body.return();
    }
  }

  /** What no handler should see. */
  #refuse(): UniversalServerResponse | undefined {
    // Its fields are lost: RFC 6585, section 5.
    if (this.#block.tooLarge) return textResponse(431, "Request Header Fields Too Large");
    // No proxy: RFC 9110, section 9.3.6.
    if (this.#method === "CONNECT") return textResponse(501, "Not Implemented");
    const { refuse } = this.#options;
    if (refuse === undefined) return undefined;
    const { fields } = this.#block;
    const contentType = fieldOf(fields, "content-type");
    return refuse({ path: this.#path, contentType, hasOrigin: fieldOf(fields, "origin") !== "" });
  }

  #parse(): UniversalServerRequest | UniversalServerResponse {
    const { fields } = this.#block;
    const { connection, newValues, scheme } = this.#options;
    try {
      const url = requestUrl(scheme, fieldOf(fields, ":authority") || fieldOf(fields, "host"), this.#path);
      const header = new Headers();
      for (let index = 0; index < fields.length; index += 2) {
        const name = fields[index] ?? "";
        // Cookies come in pieces, which belong together: RFC 9113, section 8.2.3.
        if (name === "cookie" && header.has(name)) header.set(name, `${header.get(name)}; ${fields[index + 1]}`);
        else if (!name.startsWith(":")) header.append(name, fields[index + 1] ?? "");
      }
      // RFC 9110, section 10.1.1: whoever waits for leave gets it, as handlers read when they like.
      if (/^100-continue$/i.test(header.get("expect") ?? "") && !this.#stream.remoteEnd) {
        connection.sendHeaders(this.#stream, connection.prepare([":status", "100"]), undefined, false);
      }
      const { signal } = this.#handling;
      const contextValues = newValues();
      return { httpVersion: "2.0", method: this.#method, url, header, body: this.#body, signal, contextValues };
    } catch {
      // A method, host, path or header that has no place in a URL or in fetch's Headers.
      return textResponse(400, "Bad Request");
    }
  }

  async #write(answer: UniversalServerResponse): Promise<void> {
    const { connection, room } = this.#options;
    const stream = this.#stream;
    const isHead = this.#method === "HEAD";
    const iterator = answer.body?.[Symbol.asyncIterator]();
    try {
      // Read before the head is written: until the first message a handler may still set headers.
      let chunk = await iterator?.next();
      if (this.#isGone) return;
      const hasBody = !isHead && chunk !== undefined && chunk.done !== true;
      const hasTrailers = !isHead && answer.trailer !== undefined;
      const head = connection.prepare([":status", String(answer.status), ...toFields(answer.header)]);
      // Without body and trailers the head ends the stream itself, as gRPC's trailers-only form wants it.
      connection.sendHeaders(stream, head, undefined, !hasBody && !hasTrailers);
      while (hasBody && chunk !== undefined && chunk.done !== true) {
        while (!room.isOpen && !this.#isGone) await this.#room();
        if (this.#isGone) return;
        if (!connection.sendData(stream, undefined, chunk.value, false)) await this.#drained();
        if (this.#isGone) return;
        chunk = await iterator?.next();
        if (this.#isGone) return;
      }
      this.#isAnswered = true;
      if (hasTrailers && answer.trailer !== undefined) {
        respellGrpcMessage(answer.trailer);
        connection.sendHeaders(stream, connection.prepare(toFields(answer.trailer)), undefined, true);
      } else if (hasBody) {
        connection.sendData(stream, undefined, noBytes, true);
      }
      // What waits for the client's window is part of the answer: onDrained or onReset follows.
      if (stream.firstPending === undefined) this.#onSent();
    } finally {
      // Not awaited: a generator that is busy takes it only when it gets there.
      iterator?.return?.().catch(() => {});
    }
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  /** There may be room for more of the answer, or nobody waits for it any more. */
  #room(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      this.#options.room.change().then(resolve);
    });
  }

  /** Ends an answer that cannot be completed so that the client cannot take it for a whole one. */
  #abandon(): void {
    this.#isAnswered = true;
    this.#options.connection.resetStream(this.#stream, ErrorCode.internalError);
    this.#options.calls.remove(this);
  }
}

/** The body of a request, for one reader. What is not read is not given back to the client's windows, and so makes it wait. */
class StreamBody implements AsyncIterableIterator<Uint8Array> {
  readonly #stream: Stream;
  readonly #connection: Http2Connection;
  readonly #unread: ByteQueue = new ByteQueue();
  #end: { readonly error: ConnectError | undefined } | undefined;
  #isDropped = false;
  #wake: () => void = () => {};

  constructor(stream: Stream, connection: Http2Connection) {
    this.#stream = stream;
    this.#connection = connection;
  }

  feed(bytes: Uint8Array, from: number, to: number): void {
    if (this.#isDropped) this.#connection.consumed(this.#stream, to - from);
    else this.#unread.append(bytes, from, to);
    this.#wake();
  }

  finish(error: ConnectError | undefined): void {
    this.#end ??= { error };
    this.#wake();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array>> {
    for (;;) {
      const chunk = this.#unread.shift();
      if (chunk !== undefined) {
        this.#connection.consumed(this.#stream, chunk.length);
        return { done: false, value: chunk };
      }
      if (this.#end?.error !== undefined && !this.#isDropped) throw this.#end.error;
      if (this.#end !== undefined || this.#isDropped) return { done: true, value: undefined };
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async return(): Promise<IteratorResult<Uint8Array>> {
    this.#isDropped = true;
    this.#connection.consumed(this.#stream, this.#unread.length);
    this.#unread.clear();
    this.#wake();
    return { done: true, value: undefined };
  }
}

function toFields(headers: Headers | undefined): string[] {
  const fields: string[] = [];
  headers?.forEach((value, name) => {
    if (!connectionFields.has(name)) fields.push(name, value);
  });
  return fields;
}

function fieldOf(fields: readonly string[], name: string): string {
  for (let index = 0; index < fields.length; index += 2) if (fields[index] === name) return fields[index + 1] ?? "";
  return "";
}
