// A port and the connections made to it. Hands each to the engine of its protocol; knows nothing of what is served.

import { createServer as createTcpServer, type Server, type Socket } from "node:net";
import type { HostPort } from "../core/host-port.ts";
import type { TrackedCall } from "../grpc/server/call-tracker.ts";
import { ConnectionLimit } from "./connection-limit.ts";
import type { ResolvedConnectionOptions } from "./connection-options.ts";
import type { Engine } from "./engine.ts";
import { createHttp1Engine } from "./http1-engine.ts";
import { createHttp2Engine } from "./http2-engine.ts";
import { ListenError } from "./listen-error.ts";
import { createSessionEngine, type SessionEngineOptions } from "./session-engine.ts";
import { type HttpProtocol, sniffProtocol } from "./sniff-protocol.ts";
import { createTlsFront, type ServerTlsOptions } from "./tls-front.ts";

/** Longest wait for a connection's first bytes, and for a TLS handshake. */
const firstBytesTimeoutMs = 10_000;

/** How long a connection without a word may stay when the server leaves. */
const lastWordsMs = 100;

/** Where to listen, and what to do with what comes. */
export interface ListenerOptions extends Omit<SessionEngineOptions, "scheme" | keyof ResolvedConnectionOptions> {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Absent: cleartext, HTTP/1.1 and HTTP/2 with prior knowledge on the same port. */
  readonly tls: ServerTlsOptions | undefined;
  /** Whose HTTP/2: our own or the runtime's. */
  readonly http2: "lictor" | "node";
  readonly connections: ResolvedConnectionOptions;
}

/** A port, open from `listen()` to `leave()` or `destroy()`. */
export interface Listener {
  /** Opens the port and resolves to the address in force. Once only. Rejects with ListenError. */
  listen(): Promise<HostPort>;
  /** Clients that can be told in passing are told that the server will leave. The port stays open. */
  announceLeave(): void;
  /** Closes the port and asks every client to leave; requests under way go on. Resolves when no connection is left. */
  leave(): Promise<void>;
  /** Asks the clients that are connected now to leave. The port stays open. */
  dismiss(): DismissedClients;
  /** Closes the port and every connection now. Resolves when they are closed. */
  destroy(): Promise<void>;
}

/** Clients that were asked to leave. */
export interface DismissedClients {
  /** Resolves when the last one's connection is closed. */
  readonly left: Promise<void>;
  /** Requests of theirs that are under way. */
  calls(): readonly TrackedCall[];
  /** Closes their connections now. */
  destroy(): void;
}

/** Creates a listener. Opens nothing before `listen()`. */
export function createListener(options: ListenerOptions): Listener {
  const { host, port, tls, clock, logger, connections } = options;
  const engineOptions: SessionEngineOptions = {
    ...options,
    ...connections,
    scheme: tls === undefined ? "http" : "https",
  };
  const limit = new ConnectionLimit(connections.maxConnections, connections.maxConnectionsPerPeer);
  const engines: Readonly<Record<HttpProtocol, Engine>> = {
    http1: createHttp1Engine(engineOptions),
    http2: options.http2 === "lictor" ? createSessionEngine(engineOptions) : createHttp2Engine(engineOptions),
  };
  const sockets = new Set<Socket>();
  /** Sockets that no engine has yet. */
  const undecided = new Set<Socket>();
  let leaving = false;
  const emptied: (() => void)[] = [];

  /** Gives a connection that came just before the end the time to say what it speaks, so that its engine can answer. */
  const dismiss = (socket: Socket): void => {
    const cancel = clock.schedule(lastWordsMs, () => {
      if (undecided.has(socket)) socket.destroy();
    });
    socket.once("close", cancel);
  };
  const hold = (socket: Socket): void => {
    sockets.add(socket);
    undecided.add(socket);
    // "close" follows; without a listener a reset connection would end the process.
    socket.on("error", () => {});
    socket.on("close", () => {
      undecided.delete(socket);
      sockets.delete(socket);
      if (sockets.size > 0) return;
      for (const resolve of emptied.splice(0)) resolve();
    });
    if (leaving) dismiss(socket);
  };
  /** One too many is closed without a word: there is no time for a handshake with everybody who may come. */
  const admit = (socket: Socket): boolean => {
    if (limit.admit(socket)) return true;
    socket.on("error", () => {});
    socket.destroy();
    return false;
  };
  const handOver = (socket: Socket, protocol: HttpProtocol): void => {
    undecided.delete(socket);
    engines[protocol].accept(socket);
  };
  const sniff = (socket: Socket): void => {
    sniffProtocol(socket, { timeoutMs: firstBytesTimeoutMs, clock }, (protocol) => handOver(socket, protocol));
  };

  const server =
    tls === undefined
      ? createTcpServer({ noDelay: true }, (socket) => {
          if (!admit(socket)) return;
          hold(socket);
          sniff(socket);
        })
      : createTlsFront(
          tls,
          firstBytesTimeoutMs,
          logger,
          (socket) => {
            hold(socket);
            if (socket.alpnProtocol) handOver(socket, socket.alpnProtocol === "h2" ? "http2" : "http1");
            // node:http2 turns away whoever has no ALPN.
            else if (options.http2 === "lictor") sniff(socket);
            else handOver(socket, "http1");
          },
          clock,
        );

  // A TLS server shows its sockets only after the handshake.
  const handshaking = new Set<Socket>();
  if (tls !== undefined) {
    server.on("connection", (socket: Socket) => {
      if (!admit(socket)) return;
      handshaking.add(socket);
      socket.on("close", () => handshaking.delete(socket));
    });
  }

  const closePort = (): void => {
    leaving = true;
    if (server.listening) server.close();
  };
  const closed = (): Promise<void> =>
    sockets.size === 0
      ? Promise.resolve()
      : new Promise((resolve) => {
          emptied.push(resolve);
        });

  return {
    async listen() {
      const address = await listen(server, host, port);
      server.on("error", (error) => logger.error("Cannot accept connections", { error }));
      return address;
    },
    announceLeave() {
      for (const engine of Object.values(engines)) engine.announceLeave();
    },
    leave() {
      closePort();
      for (const socket of undecided) dismiss(socket);
      for (const engine of Object.values(engines)) engine.leave();
      return closed();
    },
    dismiss() {
      // Who has not said what it speaks has no request either, and is as good as a new one.
      const left = Promise.all([...sockets].filter((socket) => !undecided.has(socket)).map(untilClosed));
      const dismissed = Object.values(engines).map((engine) => engine.dismiss());
      return {
        left: left.then(() => {}),
        calls: () => dismissed.flatMap((one) => one.calls()),
        destroy() {
          for (const one of dismissed) one.destroy();
        },
      };
    },
    destroy() {
      closePort();
      for (const engine of Object.values(engines)) engine.destroy();
      for (const socket of [...sockets, ...handshaking]) socket.destroy();
      return closed();
    },
  };
}

/** Never rejects. */
function untilClosed(socket: Socket): Promise<void> {
  return socket.closed
    ? Promise.resolve()
    : new Promise((resolve) => {
        socket.once("close", () => resolve());
      });
}

function listen(server: Server, host: string, port: number): Promise<HostPort> {
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown): void => reject(new ListenError({ host, port, cause }));
    server.once("error", fail);
    server.once("listening", () => {
      server.off("error", fail);
      const address = server.address();
      if (address === null || typeof address === "string") fail(new Error(`no address: ${address}`));
      else resolve({ host: address.address, port: address.port });
    });
    try {
      server.listen({ host, port });
    } catch (cause) {
      fail(cause);
    }
  });
}
