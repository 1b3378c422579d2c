// A plain HTTP server on loopback for tests: answers as the test says, and remembers what it was asked.

import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import { listenOnLoopback } from "./loopback.ts";

/** One request that arrived. */
export interface SeenRequest {
  readonly method: string;
  /** Path and query as they came over the wire. */
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

/** A running server. */
export interface HttpFixture extends AsyncDisposable {
  /** `http://127.0.0.1:<port>` */
  readonly address: string;
  readonly seen: readonly SeenRequest[];
  /** Resolves when this many requests have arrived. */
  arrived(count: number): Promise<void>;
}

/**
 * Starts a server. `answer` gets each request once its body is whole; one that never ends the response leaves the client
 * waiting.
 */
export async function startHttp(
  answer: (request: SeenRequest, response: ServerResponse) => void,
): Promise<HttpFixture> {
  const seen: SeenRequest[] = [];
  const waiting = new Set<() => void>();
  const listener: RequestListener = (message, response) => {
    const chunks: Buffer[] = [];
    message.on("data", (chunk: Buffer) => chunks.push(chunk));
    message.on("end", () => {
      const { method = "", url = "", headers } = message;
      const request = { method, url, headers, body: Buffer.concat(chunks) };
      seen.push(request);
      for (const check of waiting) check();
      answer(request, response);
    });
  };
  const listening = await listenOnLoopback(createServer(listener));
  return {
    address: `http://127.0.0.1:${listening.port}`,
    seen,
    arrived: (count) =>
      new Promise((resolve) => {
        const check = () => {
          if (seen.length < count) return;
          waiting.delete(check);
          resolve();
        };
        waiting.add(check);
        check();
      }),
    [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose](),
  };
}

/** Ends a response with JSON. */
export function sendJson(
  response: ServerResponse,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(200, { "Content-Type": "application/json", ...headers });
  response.end(JSON.stringify(value));
}

/** Ends a response with an error as Consul words it. */
export function sendText(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { "Content-Type": "text/plain; charset=utf-8", "X-Consul-Index": "1" });
  response.end(text);
}
