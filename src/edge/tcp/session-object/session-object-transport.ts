// The Worker's side of grpc-session-object.ts: Connect's Transport over a stub. Keeps nothing from one call to the next.

import { Code, ConnectError, type Interceptor, type Transport } from "@connectrpc/connect";
import type { UniversalClientRequest, UniversalClientResponse } from "@connectrpc/connect/protocol";
import { createTransport } from "@connectrpc/connect/protocol-grpc-web";
import { fitGrpcTimeout } from "../../../core/grpc-timeout.ts";
import { describeError } from "../../../transport/describe-error.ts";
import { checkDefaultTimeout } from "../../../transport/prepare-call.ts";
import { endOfMessages, kindHeader, wireType } from "./wire.ts";

/** The part of Cloudflare's DurableObjectStub that is used. */
export interface SessionObjectStub {
  /** For messages; a stub has it where its id was made of a name. */
  readonly name?: string | undefined;
  /** Sends a request to the object. */
  fetch(url: string, init: RequestInit): Promise<Response>;
}

/** How calls are made. */
export interface SessionObjectTransportOptions {
  /** Around every call, outermost first. */
  readonly interceptors?: readonly Interceptor[];
  /** Deadline in milliseconds of calls that name none, at most 2147483647. Default: no deadline. */
  readonly defaultTimeoutMs?: number;
  /** Largest message taken, in bytes. Larger ones fail with `resource_exhausted`. Default 4 MiB, as in gRPC; the object has a limit of its own. */
  readonly maxReceiveBytes?: number;
}

/**
 * Creates a transport over a stub of the class that `grpcSessionObject` makes: all kinds of calls, on connections that the object keeps.
 * A stub belongs to the request it was made in, and so does the transport. Headers, deadlines, aborts and errors with their details pass
 * through. Nothing needs closing: a stream that is left by `break` ends with the request, or when its signal aborts. Throws RangeError
 * on bad options.
 */
export function createSessionObjectTransport(
  stub: SessionObjectStub,
  options: SessionObjectTransportOptions = {},
): Transport {
  const { interceptors = [], defaultTimeoutMs, maxReceiveBytes = 4 * 1024 * 1024 } = options;
  checkDefaultTimeout(defaultTimeoutMs);
  if (!(Number.isInteger(maxReceiveBytes) && maxReceiveBytes > 0 && maxReceiveBytes <= 0xffff_ffff)) {
    throw new RangeError(
      `Cannot create transport as "maxReceiveBytes" must be an integer from 1 to 4294967295: received ${maxReceiveBytes}`,
    );
  }
  const open = (kind: "unary" | "stream"): Transport =>
    createTransport({
      httpClient: (request) => sendToObject(stub, kind, request),
      // An object reads no host; a stub wants a whole URL all the same.
      baseUrl: "https://session-object.invalid",
      useBinaryFormat: true,
      interceptors: [...interceptors],
      acceptCompression: [],
      sendCompression: null,
      compressMinBytes: 0,
      readMaxBytes: maxReceiveBytes,
      writeMaxBytes: 0xffff_ffff,
      ...(defaultTimeoutMs !== undefined && { defaultTimeoutMs }),
    });
  return { unary: open("unary").unary, stream: open("stream").stream };
}

async function sendToObject(
  stub: SessionObjectStub,
  kind: string,
  { url, header, body, signal }: UniversalClientRequest,
): Promise<UniversalClientResponse> {
  const headers = new Headers(header);
  headers.set(kindHeader, kind);
  const timeout = headers.get("grpc-timeout");
  if (timeout !== null) headers.set("grpc-timeout", fitGrpcTimeout(timeout));
  const description =
    typeof stub.name === "string" ? `the Durable Object ${JSON.stringify(stub.name)}` : "the Durable Object";
  const broken = (error: unknown): unknown =>
    signal?.aborted
      ? signal.reason
      : new ConnectError(
          `no answer from ${description}: ${describeError(error)}`,
          Code.Unavailable,
          undefined,
          undefined,
          error,
        );
  const answered = Promise.withResolvers<void>();
  // Node wants to be told that it need not wait for the answer until the body has ended.
  const streaming = { duplex: "half" };
  let response: Response;
  try {
    const init: RequestInit = { method: "POST", headers, body: requestBody(body, answered.promise), ...streaming };
    response = await stub.fetch(url, signal === undefined ? init : { ...init, signal });
  } catch (error) {
    answered.resolve();
    throw broken(error);
  }
  if (response.headers.get("content-type") !== wireType) {
    answered.resolve();
    const text = (await response.text().catch(() => "")).trim().slice(0, 1024);
    throw new ConnectError(`${description} answered ${response.status}: ${text}`, Code.Unknown);
  }
  return {
    status: response.status,
    header: response.headers,
    trailer: new Headers(),
    body: responseBody(response.body, broken, answered.resolve),
  };
}

/** The messages, their end, and then nothing until the answer was read: see wire.ts. */
function requestBody(
  messages: AsyncIterable<Uint8Array> | undefined,
  answered: Promise<void>,
): ReadableStream<Uint8Array> {
  const iterator = messages?.[Symbol.asyncIterator]();
  let hasEnded = false;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (hasEnded) {
          await answered;
          controller.close();
          return;
        }
        const result = await iterator?.next();
        hasEnded = result === undefined || result.done === true;
        controller.enqueue(result === undefined || result.done === true ? endOfMessages : result.value);
      },
    },
    { highWaterMark: 0 },
  );
}

async function* responseBody(
  body: ReadableStream<Uint8Array> | null,
  broken: (error: unknown) => unknown,
  onEnd: () => void,
): AsyncGenerator<Uint8Array> {
  const reader = body?.getReader();
  try {
    for (;;) {
      const result = await reader?.read();
      if (result === undefined || result.done) return;
      yield result.value;
    }
  } catch (error) {
    throw broken(error);
  } finally {
    onEnd();
    void reader?.cancel().catch(() => {});
  }
}
