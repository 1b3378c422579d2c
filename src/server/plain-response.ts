// Plain HTTP answers and the bridge to fetch's Request and Response, for requests that are no RPCs. Decides nothing.

import type { UniversalServerRequest, UniversalServerResponse } from "@connectrpc/connect/protocol";

/** An answer in text, UTF-8. */
export function textResponse(
  status: number,
  text: string,
  contentType = "text/plain; charset=utf-8",
): UniversalServerResponse {
  const bytes = new TextEncoder().encode(text);
  return {
    status,
    header: new Headers({ "content-type": contentType, "content-length": String(bytes.length) }),
    body: oneChunk(bytes),
  };
}

async function* oneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** Hands a request to a fetch handler. Rejects with what the handler throws, and with TypeError for methods fetch forbids. */
export async function respondWith(
  fetchHandler: (request: Request) => Response | Promise<Response>,
  request: UniversalServerRequest,
): Promise<UniversalServerResponse> {
  const { url, method, header, signal } = request;
  const init: RequestInit & { duplex?: "half" } = { method, headers: header, signal };
  if (method !== "GET" && method !== "HEAD") {
    init.body = toStream(request.body as AsyncIterable<Uint8Array>);
    // Streamed bodies need it: https://fetch.spec.whatwg.org/#dom-requestinit-duplex
    init.duplex = "half";
  }
  const response = await fetchHandler(new Request(url, init));
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
