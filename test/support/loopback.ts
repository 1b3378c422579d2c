// Lets a server of node:net, node:http or node:https listen for one test. Knows nothing of what it answers.

import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";

/** A server that listens; disposing of it cuts its connections, and resolves when the port is closed. */
export interface Loopback extends AsyncDisposable {
  readonly port: number;
}

/** Listens on a free port of 127.0.0.1. */
export async function listenOnLoopback(server: Server): Promise<Loopback> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      if (!server.listening) return;
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** A port that nobody listens on. */
export async function closedPort(): Promise<number> {
  await using listening = await listenOnLoopback(createServer());
  return listening.port;
}
