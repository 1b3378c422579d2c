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
  // Requests under way by connection; one that the client has left counts until its answer is ready.
  const connections = new Map<Socket, number>();
  let isEnding = false;

  const server = createServer((request, response) => {
    const { socket } = request;
    if (!connections.has(socket)) {
      // One too many, or one that has outlived the end: Bun tells of connections only when they send something.
      if (isEnding) socket.destroy();
      else response.writeHead(429, { "Content-Length": 0, Connection: "close" }).end();
      return;
    }
    connections.set(socket, (connections.get(socket) ?? 0) + 1);
    void serve(request, response, answer, () => isEnding).finally(() => {
      const left = (connections.get(socket) ?? 1) - 1;
      if (left === 0 && socket.destroyed) connections.delete(socket);
      else connections.set(socket, left);
    });
  });
  // Go's server keeps idle connections; closing them would race with the client's next request.
  server.keepAliveTimeout = 0;
  server.requestTimeout = 0;
  server.on("connection", (socket: Socket) => {
    const client = socket.remoteAddress;
    if (isEnding) return;
    const others = [...connections.keys()].filter((other) => other.remoteAddress === client || other.destroyed);
    if (others.length >= maxConnectionsPerClient) {
      socket.on("error", ignore);
      if (!refuseBy429) reset(socket);
      return;
    }
    connections.set(socket, 0);
    socket.on("error", ignore);
    socket.on("close", () => {
      // A blocking query holds its slot until it ends, even if nobody waits for the answer any more.
      if (connections.get(socket) === 0) connections.delete(socket);
    });
  });
  const boundPort = await bind(server, host, port);

  const close = () => new Promise<void>((resolve) => server.close(() => resolve()));
  return {
    port: boundPort,
    async drain() {
      isEnding = true;
      const closed = close();
      for (const [socket, requests] of connections) {
        if (requests === 0) socket.destroy();
      }
      await closed;
    },
    async reset() {
      isEnding = true;
      const closed = close();
      for (const socket of connections.keys()) reset(socket);
      await closed;
    },
  };
}

const ignore = () => {};

function reset(socket: Socket): void {
  socket.resetAndDestroy();
}

function bind(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.removeListener("error", reject);
      resolve((server.address() as AddressInfo).port);
    });
  });
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  answer: ListenerOptions["answer"],
  isEnding: () => boolean,
): Promise<void> {
  response.on("error", ignore);
  let reply: Reply;
  try {
    const body = await readBody(request);
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
