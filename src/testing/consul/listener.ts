// The socket of the embedded agent: HTTP/1.1 over node:http, with Consul's limit of connections, and two ways to end:
// gracefully, or as if the process was killed. Knows no Consul API.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Reply } from "./reply.ts";
import type { RawRequest } from "./router.ts";

/** How to listen, and who answers. */
export interface ListenerOptions {
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  /** Connections of one client address; those beyond are reset, or answered 429 where `refuseBy429`. */
  readonly maxConnectionsPerClient: number;
  readonly refuseBy429: boolean;
  /** Answers a request. A rejection is answered 500. */
  readonly answer: (request: RawRequest) => Promise<Reply>;
}

/** A socket that listens. */
export interface Listener {
  readonly port: number;
  /** Refuses new connections at once, lets answers under way finish, closes the rest. Resolves when all are gone. */
  drain(): Promise<void>;
  /** Refuses new connections and resets all others. Resolves when all are gone. */
  reset(): Promise<void>;
}

const maxBodyBytes = 8 * 1024 * 1024;

/** Listens. Rejects with the system's error where the port cannot be had. */
export async function listen(options: ListenerOptions): Promise<Listener> {
  const { host, port, answer, maxConnectionsPerClient, refuseBy429 } = options;
  const connections = new Map<Socket, ConnectionState>();
  let isEnding = false;

  const server = createServer((request, response) => {
    const { socket } = request;
    const state = connections.get(socket);
    if (state === undefined || isEnding) {
      // Bun tells of a connection only when it sends something: this one may have outlived the end unseen.
      socket.destroy();
      return;
    }
    if (state.isRefused) {
      response.writeHead(429, { "Content-Length": 0, Connection: "close" }).end();
      return;
    }
    state.requests += 1;
    void serve(request, response, { answer, state, isEnding: () => isEnding }).finally(() => {
      state.requests -= 1;
      if (state.requests === 0 && socket.destroyed) connections.delete(socket);
    });
  });
  // Go's server keeps idle connections; closing them would race with the client's next request.
  server.keepAliveTimeout = 0;
  server.requestTimeout = 0;
  server.on("connection", (socket: Socket) => {
    socket.on("error", ignore);
    if (isEnding) {
      socket.destroy();
      return;
    }
    const client = socket.remoteAddress;
    const others = [...connections.values()].filter((state) => state.client === client && !state.isRefused);
    const isRefused = others.length >= maxConnectionsPerClient;
    if (isRefused && !refuseBy429) {
      socket.resetAndDestroy();
      return;
    }
    const state: ConnectionState = { client, isRefused, requests: 0, isReading: false };
    connections.set(socket, state);
    socket.on("close", () => {
      // A blocking query holds its slot until it ends, even if nobody waits for the answer any more.
      if (state.requests === 0) connections.delete(socket);
    });
  });
  const boundPort = await bind(server, host, port);

  const end = async (endSocket: (socket: Socket, state: ConnectionState) => void) => {
    isEnding = true;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const [socket, state] of connections) endSocket(socket, state);
    await closed;
  };
  return {
    port: boundPort,
    drain: () =>
      end((socket, { requests, isReading }) => {
        // Whoever still sends a request gets no answer to it.
        if (requests === 0 || isReading) socket.destroy();
      }),
    reset: () => end((socket) => socket.resetAndDestroy()),
  };
}

/** What is known of a connection. */
interface ConnectionState {
  readonly client: string | undefined;
  /** One too many: answered 429. */
  readonly isRefused: boolean;
  /** Requests under way; one that its client has left counts until its answer is ready. */
  requests: number;
  /** A request's body is still coming. */
  isReading: boolean;
}

const ignore = () => {};

function bind(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.removeListener("error", reject);
      resolve((server.address() as AddressInfo).port);
    });
  });
}

interface ServeOptions {
  readonly answer: ListenerOptions["answer"];
  readonly state: ConnectionState;
  readonly isEnding: () => boolean;
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  { answer, state, isEnding }: ServeOptions,
): Promise<void> {
  response.on("error", ignore);
  let reply: Reply;
  try {
    state.isReading = true;
    const body = await readBody(request);
    state.isReading = false;
    reply =
      body === undefined
        ? { status: 413, headers: { "Content-Type": "text/plain; charset=utf-8" }, body: "Request body too large" }
        : await answer({
            method: request.method ?? "GET",
            target: request.url ?? "/",
            headers: singleHeaders(request),
            body,
          });
  } catch (error) {
    if (request.destroyed && !request.complete) return;
    const text = `The embedded agent failed: ${error instanceof Error ? error.message : error}`;
    reply = { status: 500, headers: { "Content-Type": "text/plain; charset=utf-8" }, body: text };
  }
  const bytes = typeof reply.body === "string" ? Buffer.from(reply.body) : Buffer.from(reply.body);
  response.writeHead(reply.status, {
    ...reply.headers,
    Vary: "Accept-Encoding",
    "Content-Length": bytes.length,
    ...(isEnding() ? { Connection: "close" } : {}),
  });
  response.end(bytes);
}

/** The body, or undefined where it is too large. Rejects where the client leaves in its middle. */
function readBody(request: IncomingMessage): Promise<Uint8Array | undefined> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    request.on("data", (chunk: Buffer) => {
      length += chunk.length;
      if (length <= maxBodyBytes) chunks.push(chunk);
    });
    request.on("end", () => resolve(length > maxBodyBytes ? undefined : Buffer.concat(chunks)));
    request.on("error", reject);
    request.on("close", () => reject(new Error("the client has left")));
  });
}

function singleHeaders(request: IncomingMessage): Readonly<Record<string, string | undefined>> {
  return Object.fromEntries(
    Object.entries(request.headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(", ") : value]),
  );
}
