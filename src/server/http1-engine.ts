// HTTP/1.1 by the runtime's own node:http, over sockets accepted elsewhere. Parses nothing itself.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Clock } from "../core/clock.ts";
import type { Engine, EngineOptions } from "./engine.ts";
import { serveExchange } from "./node-exchange.ts";

/**
 * Longest time without a request under way, which also bounds how long a request's head may take. Longer than the 60 s of
 * common proxies, lest they meet a connection that we are just closing.
 */
const idleTimeoutMs = 75_000;

/** How long a client may go on sending after its answer, where the connection closes with it. */
const uploadGraceMs = 1000;

interface Connection {
  requests: number;
  cancelIdle: () => void;
}

/** Creates the engine. It holds nothing but its connections. */
export function createHttp1Engine({ handler, scheme, calls, clock, logger }: EngineOptions): Engine {
  const connections = new Map<Socket, Connection>();
  let announced = false;
  let leaving = false;

  const server = createServer({
    // The runtimes enforce these only on sockets they accepted themselves (Bun never): the idle timer below does it for all.
    // No limit for a whole request: a client's stream may last.
    headersTimeout: 0,
    requestTimeout: 0,
    keepAliveTimeout: 0,
  });
  // Deno closes a connection after its first answer unless the server listens, and this one never does (measured on 2.9.6).
  Object.defineProperty(server, "listening", { value: true });

  const waitForRequest = (socket: Socket, connection: Connection): void => {
    connection.cancelIdle();
    if (leaving) socket.end();
    else connection.cancelIdle = clock.schedule(idleTimeoutMs, () => socket.destroy());
  };

  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    const { socket } = request;
    const connection = connections.get(socket);
    const end = calls.begin();
    if (connection !== undefined) {
      connection.requests++;
      connection.cancelIdle();
    }
    response.on("close", () => {
      end();
      if (connection === undefined) return;
      connection.requests--;
      if (connection.requests === 0 && connections.has(socket)) waitForRequest(socket, connection);
    });
    void serveExchange(request, response, {
      handler,
      scheme,
      logger,
      lastOnConnection: () => announced,
      beforeEnd: () => (isLastOnConnection(request, response) ? untilUploaded(request, clock) : undefined),
    });
  });

  return {
    accept(socket) {
      const connection: Connection = { requests: 0, cancelIdle: () => {} };
      connections.set(socket, connection);
      socket.on("close", () => {
        connection.cancelIdle();
        connections.delete(socket);
      });
      waitForRequest(socket, connection);
      server.emit("connection", socket);
    },
    announceLeave() {
      announced = true;
    },
    leave() {
      announced = true;
      leaving = true;
      for (const [socket, connection] of connections) if (connection.requests === 0) waitForRequest(socket, connection);
    },
    destroy() {
      for (const socket of connections.keys()) socket.destroy();
    },
  };
}

/** Whether the connection closes with this answer (RFC 9112 section 9.3). Bun's `shouldKeepAlive` does not know (1.4.5). */
function isLastOnConnection(request: IncomingMessage, response: ServerResponse): boolean {
  const { connection = "" } = request.headers;
  if (response.getHeader("connection") === "close" || /\bclose\b/i.test(connection)) return true;
  return request.httpVersion === "1.0" && !/\bkeep-alive\b/i.test(connection);
}

/**
 * Resolves when the client has sent its whole request, or has had its time; undefined where it has. A connection that is closed before is reset, and
 * the reset may overtake the answer (RFC 9112 section 9.6): the client would never learn that its message was too large.
 */
function untilUploaded(request: IncomingMessage, clock: Clock): Promise<void> | undefined {
  if (request.complete) return undefined;
  return new Promise((resolve) => {
    const settle = (): void => {
      cancel();
      resolve();
    };
    const cancel = clock.schedule(uploadGraceMs, settle);
    request.once("end", settle);
    request.once("close", settle);
  });
}
