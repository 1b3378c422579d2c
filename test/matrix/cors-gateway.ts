// A gateway before a Consul agent that lets pages of one origin read it: it passes GETs on and adds the header that browsers ask
// for. Nothing else: no preflights, no other methods.

import { createServer, request } from "node:http";
import { listenOnLoopback } from "../support/loopback.ts";

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
  const listening = await listenOnLoopback(server);
  return {
    address: `http://127.0.0.1:${listening.port}`,
    [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose](),
  };
}
