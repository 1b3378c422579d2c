// Plain HTTP answers and the bridge to fetch's Request and Response, for requests that are no RPCs. Decides nothing.

import type { UniversalServerRequest, UniversalServerResponse } from "@connectrpc/connect/protocol";

/** An answer in plain text. */
export function textResponse(status: number, text: string): UniversalServerResponse {
  return bodyResponse(status, text, "text/plain; charset=utf-8");
}

/** An error in the form of Connect's unary calls: https://connectrpc.com/docs/protocol#error-end-stream */
export function connectErrorResponse(status: number, code: string, message: string): UniversalServerResponse {
  return bodyResponse(status, JSON.stringify({ code, message }), "application/json");
}

function bodyResponse(status: number, text: string, contentType: string): UniversalServerResponse {
  return bytesResponse(status, new TextEncoder().encode(text), contentType);
}

/** An answer of bytes that are there. */
export function bytesResponse(status: number, bytes: Uint8Array, contentType: string): UniversalServerResponse {
  return {
    status,
    header: new Headers({ "content-type": contentType, "content-length": String(bytes.length) }),
    body: oneChunk(bytes),
  };
}

async function* oneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** Hands a request to a fetch handler. Rejects with what the handler throws. Answers 501 to methods that fetch cannot say. */
export async function respondWith(
  fetchHandler: (request: Request) => Response | Promise<Response>,
  request: UniversalServerRequest,
): Promise<UniversalServerResponse> {
  const { url, method, header, signal } = request;
  // https://fetch.spec.whatwg.org/#forbidden-method: the constructor throws, but for Bun's, which takes TRACE (1.4.5).
  if (/^(?:CONNECT|TRACE|TRACK)$/i.test(method)) return textResponse(501, "Not Implemented");
  const init: RequestInit & { duplex?: "half" } = { method, headers: header, signal };
  if (method !== "GET" && method !== "HEAD") {
    init.body = toStream(request.body as AsyncIterable<Uint8Array>);
    // Streamed bodies need it: https://fetch.spec.whatwg.org/#dom-requestinit-duplex
    init.duplex = "half";
  }
  const asked = new Request(url, init);
  // Bun makes a GET of every method that it does not know (1.4.5).
  if (asked.method !== method) return textResponse(501, "Not Implemented");
  const response = await fetchHandler(asked);
  return {
    status: response.status,
    header: response.headers,
    ...(response.body !== null && { body: response.body }),
  };
}

function toStream(body: AsyncIterable<Uint8Array>): ReadableStream<Uint8Array> {
  const iterator = body[Symbol.asyncIterator]();
  return new ReadableStream({
    async pull(controller) {
      const chunk = await iterator.next();
      if (chunk.done) controller.close();
      else controller.enqueue(chunk.value);
    },
    async cancel() {
      await iterator.return?.();
    },
  });
}
