// A gateway before a Consul agent that lets pages of one origin read it: it passes GETs on and adds the header that browsers ask
// for. Nothing else: no preflights, no other methods.

import { once } from "node:events";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";

/** A running gateway. */
export interface CorsGateway extends AsyncDisposable {
  readonly address: string;
}

/** Starts a gateway to the agent at `target`, on a free loopback port. */
export async function startCorsGateway(target: string, origin: string): Promise<CorsGateway> {
  const server = createServer((incoming, outgoing) => {
    if (incoming.method !== "GET") {
      outgoing.writeHead(405).end();
      return;
    }
    const upstream = request(new URL(incoming.url ?? "/", target), { agent: false }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, { ...answer.headers, "access-control-allow-origin": origin });
      answer.pipe(outgoing);
    });
    upstream.on("error", () => outgoing.destroy());
    upstream.end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
