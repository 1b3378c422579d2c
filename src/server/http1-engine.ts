// HTTP/1.1 by the runtime's own node:http, over sockets accepted elsewhere. Parses nothing itself.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { type ContextValues, createContextValues } from "@connectrpc/connect";
import type { Clock } from "../core/clock.ts";
import { DrainNotice, drainSignal } from "./drain-signal.ts";
import type { Engine, EngineOptions } from "./engine.ts";
import { ExchangeCall, serveExchange } from "./node-exchange.ts";
import { peerOf, valuesWithPeer } from "./peer.ts";

/**
 * Longest time without a request under way, which also bounds how long a request's head may take. Longer than the 60 s of
 * common proxies, lest they meet a connection that we are just closing.
 */
const idleTimeoutMs = 75_000;

/** How long a client may go on sending after its answer, where the connection closes with it. */
const uploadGraceMs = 1000;

interface Connection {
  readonly newValues: () => ContextValues;
  readonly notice: DrainNotice;
  /** Requests under way. */
  readonly open: Set<ExchangeCall>;
  /** It closes with its last answer. */
  isLeaving: boolean;
  cancelIdle: () => void;
}

/** Creates the engine. It holds nothing but its connections. */
export function createHttp1Engine({ handler, refuse, scheme, calls, clock, logger }: EngineOptions): Engine {
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
    if (connection.isLeaving) socket.end();
    else connection.cancelIdle = clock.schedule(idleTimeoutMs, () => socket.destroy());
  };

  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    const { socket } = request;
    const connection = connections.get(socket);
    const call = new ExchangeCall();
    calls.add(call);
    connection?.open.add(call);
    connection?.cancelIdle();
    response.on("close", () => {
      calls.remove(call);
      connection?.open.delete(call);
      if (connection?.open.size === 0 && connections.has(socket)) waitForRequest(socket, connection);
    });
    void serveExchange(request, response, {
      handler,
      refuse,
      newValues: connection?.newValues ?? createContextValues,
      scheme,
      logger,
      call,
      lastOnConnection: () => announced || connection?.isLeaving === true,
      beforeEnd: () => (isLastOnConnection(request, response) ? untilUploaded(request, clock) : undefined),
    });
  });

  const leave = (socket: Socket, connection: Connection): void => {
    connection.isLeaving = true;
    connection.notice.give();
    if (connection.open.size === 0) waitForRequest(socket, connection);
  };

  return {
    accept(socket) {
      const peer = peerOf(socket);
      const notice = new DrainNotice();
      const connection: Connection = {
        newValues: () => valuesWithPeer(peer).set(drainSignal, notice.signal),
        notice,
        open: new Set(),
        isLeaving: leaving,
        cancelIdle: () => {},
      };
      if (leaving) notice.give();
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
      for (const [socket, connection] of connections) leave(socket, connection);
    },
    dismiss() {
      const dismissed = [...connections];
      for (const [socket, connection] of dismissed) leave(socket, connection);
      return {
        calls: () => dismissed.flatMap(([, { open }]) => [...open]),
        destroy() {
          for (const [socket] of dismissed) socket.destroy();
        },
      };
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
