// A proxy in front of a Consul agent that keeps what passes, for tests that count requests. Changes nothing.

import { once } from "node:events";
import { createServer, request } from "node:http";
import type { AddressInfo, Socket } from "node:net";

/** A request that passed. */
export interface ProxiedRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
}

/** A running proxy. */
export interface ConsulProxy extends AsyncDisposable {
  readonly address: string;
  readonly requests: readonly ProxiedRequest[];
  /** Blocking reads that wait for their answer now. */
  readonly waiting: number;
  /** Number of requests of this method whose path matches. */
  count(method: string, path: RegExp): number;
}

/** Starts a proxy to the agent at `target`, on a free loopback port. */
export async function startConsulProxy(target: string): Promise<ConsulProxy> {
  const requests: ProxiedRequest[] = [];
  const sockets = new Set<Socket>();
  let waiting = 0;
  const server = createServer((incoming, outgoing) => {
    const path = incoming.url ?? "/";
    const method = incoming.method ?? "GET";
    requests.push({ method, path });
    const blocks = /[?&]index=/.test(path);
    if (blocks) waiting++;
    const upstream = request(new URL(path, target), { method, headers: incoming.headers, agent: false }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    outgoing.on("close", () => {
      if (blocks) waiting--;
      upstream.destroy();
    });
    // What the agent refuses or drops, the proxy drops.
    upstream.on("error", () => outgoing.destroy());
    incoming.pipe(upstream);
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    get waiting() {
      return waiting;
    },
    count: (method, path) => requests.filter((seen) => seen.method === method && path.test(seen.path)).length,
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
