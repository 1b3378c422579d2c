// One gRPC request on a node:http2 session, as the function that Connect's protocols send through. Knows the stream and what happened to
// it; knows no messages. Listens from the moment the stream exists: a stream's own async iterator loses data where the first read comes
// late (nodejs/node#65677), and connect-node's client waits for ever for a stream that was cut without a code.

import * as http2 from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  getAbortSignalReason,
  type UniversalClientRequest,
  type UniversalClientResponse,
} from "@connectrpc/connect/protocol";
import { parseTimeout } from "@connectrpc/connect/protocol-grpc";
import { markMaybeProcessed, markUnprocessed, markUnsendable } from "../core/call-fate.ts";
import { fitGrpcTimeout } from "../core/grpc-timeout.ts";
import { toFields } from "../grpc/metadata.ts";
import { errorCodeName } from "../http2/error-code.ts";

const { NGHTTP2_CANCEL, NGHTTP2_NO_ERROR, NGHTTP2_REFUSED_STREAM } = http2.constants;

/** Bytes of an answer that may wait for their reader before the stream is paused. */
const highWaterBytes = 64 * 1024;

/** Bytes of a header list as RFC 9113 section 10.5.1 counts them; nghttp2 sends no more than 64 KiB. */
const maxHeaderBytes = 60 * 1024;

/** What a request needs to know of its connection. */
export interface Http2RequestContext {
  readonly session: http2.ClientHttp2Session;
  /** Names the peer in errors. */
  readonly url: string;
  /** The clock's time, in milliseconds. */
  now(): number;
  /** The last stream that the peer's GOAWAY said it may have processed; undefined without a GOAWAY. */
  goawayLastId(): number | undefined;
  /** Whether the connection is on its way out: GOAWAY was received, or `drain()` called. */
  isLeaving(): boolean;
  /** Why the connection ended, where anything said so. */
  lostReason(): unknown;
  /** Something came. */
  onHeard(): void;
  /** The stream is over, on the wire too. Called exactly once if a stream was opened. */
  onClosed(): void;
}

/**
 * Sends a request. Resolves with the answer's header; its body ends when the trailers have come. Rejects, or fails the body, with a
 * ConnectError: the signal's reason after an abort, `unavailable` where the connection was lost, else what the peer's RST_STREAM code means.
 * Calls that the peer cannot have processed are marked so (see call-fate.ts).
 */
export function sendHttp2Request(
  request: UniversalClientRequest,
  context: Http2RequestContext,
): Promise<UniversalClientResponse> {
  return new Promise((resolve, reject) => {
    const { signal } = request;
    if (signal?.aborted) {
      context.onClosed();
      reject(getAbortSignalReason(signal));
      return;
    }
    let headers: http2.OutgoingHttpHeaders;
    try {
      headers = toHttp2Headers(request);
    } catch (error) {
      context.onClosed();
      reject(error instanceof ConnectError ? markUnsendable(error) : error);
      return;
    }
    const headerBytes = sizeOf(headers);
    if (headerBytes > maxHeaderBytes) {
      // Sent all the same, it would cost the whole session: nghttp2 closes it, Bun with every call on it.
      context.onClosed();
      const message = `cannot send ${headerBytes} bytes of metadata as ${maxHeaderBytes} is the most`;
      reject(markUnsendable(new ConnectError(message, Code.ResourceExhausted)));
      return;
    }
    let stream: http2.ClientHttp2Stream;
    try {
      stream = context.session.request(headers, { endStream: false });
    } catch (error) {
      context.onClosed();
      reject(refusedHeader(error) ?? markUnprocessed(brokenOff(context, error), "never-sent", context.session));
      return;
    }
    const { timeoutMs = Number.POSITIVE_INFINITY } = parseTimeout(
      request.header.get("grpc-timeout"),
      Number.POSITIVE_INFINITY,
    );
    const dueMs = context.now() + timeoutMs;
    const body = new StreamBody(stream);
    stream.on("data", () => context.onHeard());
    const trailer = new Headers();
    let isComplete = false;
    let isAnswered = false;
    let streamError: unknown;

    const fail = (error: unknown) => {
      reject(error);
      body.fail(error);
    };
    const onAbort = () => {
      // A call that is given up is CANCEL on the wire, a passed deadline included:
      // https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#errors
      stream.close(NGHTTP2_CANCEL);
      if (signal !== undefined) fail(getAbortSignalReason(signal));
    };
    signal?.addEventListener("abort", onAbort, { once: true });

    stream.on("response", (headers) => {
      isAnswered = true;
      context.onHeard();
      // Trailers-only: the one block of headers says it all.
      if (headers["grpc-status"] !== undefined) isComplete = true;
      resolve({ status: Number(headers[":status"] ?? 0), header: toHeaders(headers), body, trailer });
    });
    stream.on("trailers", (headers) => {
      isComplete = true;
      for (const [name, value] of toHeaders(headers)) trailer.append(name, value);
    });
    stream.on("end", () => {
      // An aborted stream ends too, on some runtimes before it says that it was aborted.
      if (!isComplete) return;
      body.end();
      // The answer is whole; what we have not sent yet is of no use to anyone. CANCEL, as node and Deno wait for the peer to take
      // the rest where the code is NO_ERROR (measured on node 24.21 and Deno 2.9.6).
      if (!stream.writableFinished) stream.close(NGHTTP2_CANCEL);
    });
    stream.on("error", (error) => {
      streamError = error;
    });
    stream.once("close", () => {
      signal?.removeEventListener("abort", onAbort);
      context.onClosed();
      if (isComplete) body.end();
      // A lost connection closes its streams before itself on some runtimes: one turn later it is plain which of the two happened.
      else setImmediate(() => fail(explainClose(stream, context, { isAnswered, dueMs, error: streamError })));
    });
    void sendBody(request.body, stream);
  });
}

/** What an incomplete stream means, by what happened to the stream and to the connection under it. */
function explainClose(
  stream: http2.ClientHttp2Stream,
  context: Http2RequestContext,
  { isAnswered, dueMs, error }: { readonly isAnswered: boolean; readonly dueMs: number; readonly error: unknown },
): ConnectError {
  const lastId = context.goawayLastId();
  const wasNeverSent = stream.id === undefined;
  const isAboveGoaway = lastId !== undefined && stream.id !== undefined && stream.id > lastId;
  const isRefused = wasNeverSent || isAboveGoaway || stream.rstCode === NGHTTP2_REFUSED_STREAM;
  // RFC 9113 section 8.7: REFUSED_STREAM and GOAWAY guarantee that the request was not processed. Whoever has begun to answer has seen it,
  // whatever it says now.
  if (isRefused && !isAnswered) {
    const refusal = brokenOff(context, error ?? new Error("the peer refused the call"));
    const isAlone = !wasNeverSent && !isAboveGoaway;
    return markUnprocessed(refusal, wasNeverSent ? "never-sent" : "refused", isAlone ? undefined : context.session);
  }
  // A stream whose connection went away carries CANCEL or no code, depending on the runtimes at both ends.
  const hasNoCode = stream.rstCode === NGHTTP2_NO_ERROR;
  if (context.session.destroyed || (hasNoCode && context.isLeaving())) {
    return lost(context, error ?? new Error("the connection was lost during the call"));
  }
  if (hasNoCode) return new ConnectError(`${context.url} ended the call without a status`, Code.Internal);
  // The peer's clock may be the faster one.
  if (stream.rstCode === NGHTTP2_CANCEL && context.now() >= dueMs) {
    return new ConnectError("the operation timed out", Code.DeadlineExceeded, undefined, undefined, error);
  }
  const name = errorCodeName(stream.rstCode);
  const code = resetCodes[name] ?? Code.Internal;
  return new ConnectError(`${context.url} reset the call with ${name}`, code, undefined, undefined, error);
}

/** The connection went away under the call, and under all others it had. */
function lost(context: Http2RequestContext, error: unknown): ConnectError {
  return markMaybeProcessed(brokenOff(context, error), context.session);
}

function brokenOff(context: Http2RequestContext, error: unknown): ConnectError {
  const why = context.lostReason() ?? error;
  const text = why instanceof Error ? why.message : String(why);
  return new ConnectError(`${context.url}: ${text}`, Code.Unavailable, undefined, undefined, why);
}

/** A header that HTTP/2 forbids (`connection`, `keep-alive`, ...) is the caller's mistake, and would be one on every endpoint. */
function refusedHeader(error: unknown): ConnectError | undefined {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (!/^ERR_(HTTP2_INVALID_(CONNECTION_HEADERS|HEADER_VALUE|PSEUDOHEADER)|INVALID_(CHAR|HTTP_TOKEN))$/.test(code))
    return undefined;
  const text = error instanceof Error ? error.message : "";
  return markUnsendable(new ConnectError(text, Code.InvalidArgument, undefined, undefined, error));
}

function sizeOf(headers: http2.OutgoingHttpHeaders): number {
  let bytes = 0;
  for (const [name, value] of Object.entries(headers)) bytes += name.length + String(value).length + 32;
  return bytes;
}

/** Those that are not `internal`: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#errors */
const resetCodes: Readonly<Record<string, Code>> = {
  REFUSED_STREAM: Code.Unavailable,
  CANCEL: Code.Canceled,
  ENHANCE_YOUR_CALM: Code.ResourceExhausted,
  INADEQUATE_SECURITY: Code.PermissionDenied,
};

/** Writes the messages as fast as the peer takes them. Never rejects: a failing source cancels the stream. */
async function sendBody(body: AsyncIterable<Uint8Array> | undefined, stream: http2.ClientHttp2Stream): Promise<void> {
  try {
    if (body !== undefined) {
      for await (const chunk of body) {
        if (stream.closed || stream.destroyed) return;
        if (!stream.write(chunk)) await drained(stream);
      }
    }
    if (!stream.closed && !stream.destroyed) stream.end();
  } catch {
    // Connect aborts the call with this error by itself; the peer must hear of it either way.
    if (!stream.closed) stream.close(NGHTTP2_CANCEL);
  }
}

function drained(stream: http2.ClientHttp2Stream): Promise<void> {
  return new Promise((resolve) => {
    const onReady = () => {
      stream.off("drain", onReady);
      stream.off("close", onReady);
      resolve();
    };
    stream.on("drain", onReady);
    stream.on("close", onReady);
  });
}

/** The chunks of an answer, for one reader. Pauses the stream when the reader is slow. */
class StreamBody implements AsyncIterable<Uint8Array>, AsyncIterator<Uint8Array> {
  readonly #stream: http2.ClientHttp2Stream;
  readonly #chunks: Uint8Array[] = [];
  #bytes = 0;
  #end: { readonly error: unknown } | "clean" | undefined;
  #wake: (() => void) | undefined;

  constructor(stream: http2.ClientHttp2Stream) {
    this.#stream = stream;
    stream.on("data", (chunk: Uint8Array) => {
      this.#chunks.push(chunk);
      this.#bytes += chunk.byteLength;
      if (this.#bytes >= highWaterBytes) stream.pause();
      this.#wake?.();
    });
  }

  end(): void {
    this.#finish("clean");
  }

  fail(error: unknown): void {
    this.#finish({ error });
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array>> {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) {
        this.#bytes -= chunk.byteLength;
        if (this.#stream.isPaused() && this.#bytes < highWaterBytes) this.#stream.resume();
        return { done: false, value: chunk };
      }
      if (this.#end === "clean") return { done: true, value: undefined };
      if (this.#end !== undefined) throw this.#end.error;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }

  /** The reader gives up on the answer: Connect's pipe() reports a broken message through this. */
  async throw(error: unknown): Promise<IteratorResult<Uint8Array>> {
    if (!this.#stream.closed) this.#stream.close(NGHTTP2_CANCEL);
    this.#finish({ error });
    throw error;
  }

  #finish(end: { readonly error: unknown } | "clean"): void {
    this.#end ??= end;
    this.#wake?.();
  }
}

/** Throws ConnectError, `invalid_argument`, for metadata that gRPC does not carry. */
function toHttp2Headers(request: UniversalClientRequest): http2.OutgoingHttpHeaders {
  toFields(request.header);
  const url = new URL(request.url);
  const headers: http2.OutgoingHttpHeaders = {
    ":method": request.method,
    // Node's own default leaves out the brackets of an IPv6 address (RFC 3986 section 3.2.2).
    ":authority": url.host,
    ":path": url.pathname + url.search,
  };
  for (const [name, value] of request.header) headers[name] = name === "grpc-timeout" ? fitGrpcTimeout(value) : value;
  return headers;
}

function toHeaders(headers: http2.IncomingHttpHeaders): Headers {
  const result = new Headers();
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || name.startsWith(":")) continue;
    for (const item of Array.isArray(value) ? value : [value]) result.append(name, item);
  }
  return result;
}
