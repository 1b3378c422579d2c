// One request and its answer on node:http or node:http2, translated to and from the form that handlers speak.
// Replaces connect-node's adapter, which throws into the event loop on a request without a host and writes to the console.

import type { EventEmitter } from "node:events";
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { Code, ConnectError, type ContextValues } from "@connectrpc/connect";
import type { UniversalHandlerFn, UniversalServerRequest, UniversalServerResponse } from "@connectrpc/connect/protocol";
import type { Logger } from "../core/logger.ts";
import type { TrackedCall } from "../grpc/server/call-tracker.ts";
import { connectionFields } from "../http2/field-rules.ts";
import { respellGrpcMessage } from "./grpc-message.ts";
import type { EarlyRefusal, EarlyRequest } from "./overload/early-refusal.ts";
import { textResponse } from "./plain-response.ts";
import { type BodySource, readBody } from "./request-body.ts";
import { requestUrl } from "./request-url.ts";

/** A request as node gives it. */
export type NodeRequest = IncomingMessage | Http2ServerRequest;
/** What answers it. */
export type NodeResponse = ServerResponse | Http2ServerResponse;

/** The part of both responses that is alike; their own types overload it apart. */
interface AnswerWriter {
  writeHead(status: number): unknown;
  write(chunk: Uint8Array): boolean;
  addTrailers(trailers: OutgoingHttpHeaders): void;
}

/** What one exchange needs beside itself. */
export interface ExchangeOptions {
  readonly handler: UniversalHandlerFn;
  readonly refuse: EarlyRefusal | undefined;
  /** Makes the values that a call begins with. */
  readonly newValues: () => ContextValues;
  readonly scheme: "http" | "https";
  readonly logger: Logger;
  /** The request as the server counts it: cutting it aborts the handler's signal. */
  readonly call: ExchangeCall;
  /** HTTP/1.1 only, asked when the answer's head is written: whether the client should close the connection after it. */
  readonly lastOnConnection: () => boolean;
  /** Asked when all of the answer is written but its end: what to wait for, if anything. What still comes of the request is dropped then. */
  readonly beforeEnd?: () => Promise<void> | undefined;
}

/** A request under way, while its engine has it in a list. */
export class ExchangeCall implements TrackedCall {
  nextCall: TrackedCall | undefined = undefined;
  previousCall: TrackedCall | undefined = undefined;
  /** Set by whoever serves the request. */
  onCut: (reason: ConnectError) => void = () => {};

  cut(reason: ConnectError): void {
    this.onCut(reason);
  }
}

/** Serves one request. Returns when the answer is written, or the client is gone; never rejects. */
export async function serveExchange(
  request: NodeRequest,
  response: NodeResponse,
  options: ExchangeOptions,
): Promise<void> {
  const refused = options.refuse?.(early(request));
  if (refused !== undefined) {
    await turnAway(request, response, refused, options.lastOnConnection);
    return;
  }
  const client = new AbortController();
  const handling = new AbortController();
  let answered = false;
  response.on("close", () => {
    if (answered) return;
    const reason = clientGone(response);
    client.abort(reason);
    handling.abort(reason);
  });
  // Handlers of RPCs answer so; what else goes on ends with its connection.
  options.call.onCut = (reason) => handling.abort(reason);
  // Errors are followed by "close", which decides; without listeners they would end the process.
  response.on("error", () => {});
  const body = readBody(request as BodySource);
  let parsed: UniversalServerRequest | undefined;
  try {
    parsed = toUniversal(request, body, options, handling.signal);
  } catch {
    // A method, host, path or header that has no place in a URL or in fetch's Headers.
  }
  try {
    const answer = parsed === undefined ? textResponse(400, "Bad Request") : await options.handler(parsed);
    await write(answer, response, {
      head: request.method === "HEAD",
      signal: client.signal,
      lastOnConnection: options.lastOnConnection,
      beforeEnd: () => {
        const waited = options.beforeEnd?.();
        return waited && Promise.all([body.return?.(), waited]);
      },
      onEnd: () => {
        answered = true;
      },
    });
  } catch (error) {
    if (client.signal.aborted) return;
    options.logger.error("Answer failed", { method: request.method, url: request.url, error });
    abandon(response);
  } finally {
    await body.return?.();
  }
}

/** Answers a request that nobody reads, with as little as can be. */
async function turnAway(
  request: NodeRequest,
  response: NodeResponse,
  answer: UniversalServerResponse,
  lastOnConnection: () => boolean,
): Promise<void> {
  // "close" follows; without listeners they would end the process.
  request.on("error", () => {});
  response.on("error", () => {});
  request.resume();
  setHead(answer, response, lastOnConnection);
  const writer = response as AnswerWriter;
  for await (const chunk of answer.body ?? []) writer.write(chunk);
  response.end();
}

function early({ url = "", headers }: NodeRequest): EarlyRequest {
  const { "content-type": contentType = "", origin } = headers;
  return { path: url, contentType, hasOrigin: origin !== undefined };
}

function toUniversal(
  request: NodeRequest,
  body: AsyncIterable<Uint8Array>,
  { newValues, scheme }: ExchangeOptions,
  signal: AbortSignal,
): UniversalServerRequest {
  const host = ("authority" in request ? request.authority : undefined) || request.headers.host || "";
  const url = requestUrl(scheme, host, request.url ?? "");
  const header = new Headers();
  for (const [name, value] of Object.entries(request.headers)) {
    if (name.startsWith(":") || value === undefined) continue;
    for (const one of Array.isArray(value) ? value : [value]) header.append(name, one);
  }
  return {
    httpVersion: request.httpVersion,
    method: request.method ?? "",
    url,
    header,
    body,
    signal,
    contextValues: newValues(),
  };
}

interface WriteOptions {
  /** The request was HEAD: no body. */
  readonly head: boolean;
  readonly signal: AbortSignal;
  readonly lastOnConnection: () => boolean;
  readonly beforeEnd: () => Promise<unknown> | undefined;
  /** The last of the answer is handed over; what happens to the connection now is no abort. */
  readonly onEnd: () => void;
}

async function write(answer: UniversalServerResponse, response: NodeResponse, options: WriteOptions): Promise<void> {
  const iterator = answer.body?.[Symbol.asyncIterator]();
  const writer: AnswerWriter = response;
  try {
    // Read before the head is written: until the first message a handler may still set headers.
    let chunk = await iterator?.next();
    if (options.signal.aborted) return;
    setHead(answer, response, options.lastOnConnection);
    // Without body and trailers the head ends the stream itself, as gRPC's trailers-only form wants it; with trailers it must
    // not, or node drops them.
    if (answer.trailer !== undefined) writer.writeHead(answer.status);
    while (chunk !== undefined && !chunk.done) {
      if (!options.head && !writer.write(chunk.value)) await writable(response, options.signal);
      if (options.signal.aborted) return;
      chunk = await iterator?.next();
    }
    if (options.signal.aborted) return;
    if (answer.trailer !== undefined && !options.head) {
      respellGrpcMessage(answer.trailer);
      writer.addTrailers(toNodeHeaders(answer.trailer));
    }
    options.onEnd();
    const waited = options.beforeEnd();
    if (waited !== undefined) await waited;
    response.end();
  } finally {
    // Not awaited: a generator that is busy takes it only when it gets there.
    iterator?.return?.().catch(() => {});
  }
}

function setHead(answer: UniversalServerResponse, response: NodeResponse, lastOnConnection: () => boolean): void {
  response.statusCode = answer.status;
  const headers = answer.header === undefined ? {} : toNodeHeaders(answer.header);
  for (const [name, value] of Object.entries(headers)) {
    // HTTP/2 forbids those of a connection, and over HTTP/1.1 node decides them.
    if (value !== undefined && !connectionFields.has(name)) response.setHeader(name, value);
  }
  if ("stream" in response) return;
  if (lastOnConnection() || answer.header?.get("connection") === "close") response.setHeader("connection", "close");
}

function toNodeHeaders(headers: Headers): OutgoingHttpHeaders {
  const result: OutgoingHttpHeaders = {};
  headers.forEach((value, name) => {
    result[name] = name === "set-cookie" ? headers.getSetCookie() : value;
  });
  return result;
}

function writable(response: EventEmitter, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const settle = (): void => {
      response.off("drain", settle);
      signal.removeEventListener("abort", settle);
      resolve();
    };
    response.on("drain", settle);
    signal.addEventListener("abort", settle);
    if (signal.aborted) settle();
  });
}

/** Ends an answer that cannot be completed so that the client cannot take it for a whole one. */
export function abandon(response: NodeResponse): void {
  // With an error it becomes a RST_STREAM everywhere; Bun's stream.close(code) would end the stream in order (1.4.5).
  if ("stream" in response) response.stream?.destroy(new Error("the answer broke off"));
  else response.destroy();
}

function clientGone(response: NodeResponse): ConnectError {
  const code = "stream" in response ? response.stream?.rstCode : undefined;
  const how = code === undefined || code === 0 ? "closed the connection" : `reset the stream with HTTP/2 code ${code}`;
  return new ConnectError(`the client ${how}`, Code.Canceled);
}
