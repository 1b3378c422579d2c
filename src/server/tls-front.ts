// The TLS side of a port: certificates, ALPN, client certificates. Speaks no HTTP.

import type { Server, Socket } from "node:net";
import { createServer, type TLSSocket } from "node:tls";
import { formatHostPort } from "../core/host-port.ts";
import type { Logger } from "../core/logger.ts";
import { checkAuthorities, checkKeyPair, type Pem, toNodePem } from "../runtime/check-certificates.ts";

/**
 * How a server speaks TLS. ALPN offers HTTP/2, then HTTP/1.1. A client whose TLS has no ALPN, as that of Cloudflare's Workers, gets what its
 * first bytes speak; HTTP/1.1 with `http2: "node"`. TLS 1.2 is the least.
 */
export interface ServerTlsOptions {
  /** Certificate chain, the server's own first. */
  readonly cert: Pem;
  /** Private key of the certificate. */
  readonly key: Pem;
  /** Authorities that clients' certificates are verified against. Only with `requireClientCert`: refused without it. */
  readonly ca?: Pem | readonly Pem[];
  /** Whether clients must show a certificate signed by one of `ca`; others are refused in the handshake. Default false. */
  readonly requireClientCert?: boolean;
}

/**
 * Creates a TLS server that calls back with every socket whose handshake is done; the others are closed, and `logger` told at `debug`.
 * Throws TypeError for a bad certificate or key.
 */
export function createTlsFront(
  tls: ServerTlsOptions,
  handshakeTimeoutMs: number,
  logger: Logger,
  onSocket: (socket: TLSSocket) => void,
): Server {
  const { cert, key, ca, requireClientCert = false } = tls;
  checkKeyPair("serve", cert, key);
  if (ca !== undefined) checkAuthorities("serve", ca);
  const server = createServer({
    cert: toNodePem(cert),
    key: toNodePem(key),
    ...(ca !== undefined && { ca: [ca].flat().map((one) => toNodePem(one)) }),
    requestCert: requireClientCert,
    rejectUnauthorized: requireClientCert,
    ALPNProtocols: ["h2", "http/1.1"],
    minVersion: "TLSv1.2",
    handshakeTimeout: handshakeTimeoutMs,
    noDelay: true,
  });
  const peers = new WeakMap<Socket, string>();
  server.on("connection", (socket: Socket) => peers.set(socket, peerOf(socket)));
  server.on("tlsClientError", (error, socket) => {
    // Bun's socket knows its peer still; those of Node and Deno may have forgotten it, and the socket below them has no public name.
    const below = (socket as { _parent?: Socket | null })._parent;
    const peer = (below && peers.get(below)) ?? peerOf(socket);
    // Of a certificate of another authority the error itself says only "socket hang up".
    logger.debug("TLS handshake failed", { peer, error: socket.authorizationError ?? error });
    // No runtime does so itself when the time is over (node 24.21, Bun 1.4.5, Deno 2.9.6).
    socket.destroy();
  });
  return server.on("secureConnection", onSocket);
}

function peerOf({ remoteAddress = "", remotePort = 0 }: Socket): string {
  return formatHostPort(remoteAddress, remotePort);
}
