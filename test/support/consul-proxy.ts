// A proxy in front of a Consul agent that keeps what passes, for tests that count requests, and that can be cut off, for tests
// of a Consul that is away. Changes nothing of what passes.

import { once } from "node:events";
import { createServer, request } from "node:http";
import type { AddressInfo, Socket } from "node:net";

/** A request that passed. */
export interface ProxiedRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  /** What the agent answered; undefined as long as it has not, or if it never did. */
  readonly status: number | undefined;
}

/** A running proxy. */
export interface ConsulProxy extends AsyncDisposable {
  readonly address: string;
  /** Every request, in the order in which they came. Those that found no agent count too. */
  readonly requests: readonly ProxiedRequest[];
  /** Blocking reads that wait for their answer now. */
  readonly waiting: number;
  /** Number of requests of this method whose path matches; with `since`, only the ones from that place in `requests` on. */
  count(method: string, path: RegExp, since?: number): number;
  /** Closes the port and cuts every connection: whoever comes is refused, as by an agent whose process is gone. Idempotent. */
  cut(): Promise<void>;
  /** Opens the same port again after `cut()`. Idempotent. */
  restore(): Promise<void>;
}

/** Starts a proxy to the agent at `target`, on a free loopback port. */
export async function startConsulProxy(target: string): Promise<ConsulProxy> {
  const requests: { -readonly [K in keyof ProxiedRequest]: ProxiedRequest[K] }[] = [];
  const sockets = new Set<Socket>();
  let waiting = 0;
  const server = createServer((incoming, outgoing) => {
    const path = incoming.url ?? "/";
    const method = incoming.method ?? "GET";
    const seen: (typeof requests)[number] = { method, path, status: undefined };
    requests.push(seen);
    const blocks = /[?&]index=/.test(path);
    if (blocks) waiting++;
    const upstream = request(new URL(path, target), { method, headers: incoming.headers, agent: false }, (answer) => {
      seen.status = answer.statusCode;
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
      // An agent that dies in the middle of an answer.
      answer.on("error", () => incoming.socket.destroy());
    });
    outgoing.on("close", () => {
      if (blocks) waiting--;
      upstream.destroy();
    });
    // What the agent refuses or drops, the proxy drops: by the socket, as Bun's response would end in an empty 200 instead.
    upstream.on("error", () => incoming.socket.destroy());
    incoming.on("error", () => upstream.destroy());
    incoming.pipe(upstream);
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
  });
  const listen = async (port: number): Promise<void> => {
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
  };
  const cut = async (): Promise<void> => {
    if (!server.listening) return;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  await listen(0);
  const { port } = server.address() as AddressInfo;
  return {
    address: `http://127.0.0.1:${port}`,
    requests,
    get waiting() {
      return waiting;
    },
    count: (method, path, since = 0) =>
      requests.slice(since).filter((seen) => seen.method === method && path.test(seen.path)).length,
    cut,
    async restore() {
      if (!server.listening) await listen(port);
    },
    [Symbol.asyncDispose]: cut,
  };
}
