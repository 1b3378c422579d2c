// The TLS side of a port: certificates, ALPN, client certificates. Speaks no HTTP.

import { createPrivateKey, X509Certificate } from "node:crypto";
import type { Server } from "node:net";
import { createServer, type TLSSocket } from "node:tls";

/** PEM text or bytes. */
export type Pem = string | Uint8Array;

/**
 * How a server speaks TLS. ALPN offers HTTP/2, then HTTP/1.1. A client whose TLS has no ALPN, as that of Cloudflare's Workers, gets what its
 * first bytes speak; HTTP/1.1 with `http2: "node"`. TLS 1.2 is the least.
 */
export interface ServerTlsOptions {
  /** Certificate chain, the server's own first. */
  readonly cert: Pem;
  /** Private key of the certificate. */
  readonly key: Pem;
  /** Authorities that clients' certificates are verified against. Only with `requireClientCert`. */
  readonly ca?: Pem | readonly Pem[];
  /** Whether clients must show a certificate signed by one of `ca`; others are refused in the handshake. Default false. */
  readonly requireClientCert?: boolean;
}

/** Creates a TLS server that calls back with every socket whose handshake is done. Throws TypeError for a bad certificate or key. */
export function createTlsFront(
  tls: ServerTlsOptions,
  handshakeTimeoutMs: number,
  onSocket: (socket: TLSSocket) => void,
): Server {
  const { cert, key, ca, requireClientCert = false } = tls;
  checkPair(cert, key);
  const server = createServer({
    cert: toNode(cert),
    key: toNode(key),
    ...(ca !== undefined && { ca: [ca].flat().map((one) => toNode(one)) }),
    requestCert: requireClientCert,
    rejectUnauthorized: requireClientCert,
    ALPNProtocols: ["h2", "http/1.1"],
    minVersion: "TLSv1.2",
    handshakeTimeout: handshakeTimeoutMs,
    noDelay: true,
  });
  return server.on("secureConnection", onSocket);
}

// Deno does not look at them before the first handshake (2.9.6). Never shows the key, not even a bad one.
function checkPair(cert: Pem, key: Pem): void {
  const certificate = parse("tls.cert", "a certificate", () => new X509Certificate(toNode(cert)));
  const privateKey = parse("tls.key", "an unencrypted private key", () => createPrivateKey(toNode(key)));
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new TypeError(`Cannot serve as "tls.key" must be the key of "tls.cert": received another`);
  }
}

function parse<T>(option: string, what: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new TypeError(`Cannot serve as "${option}" must be ${what} in PEM: received something else`, { cause });
  }
}

function toNode(pem: Pem): string | Buffer {
  return typeof pem === "string" ? pem : Buffer.from(pem);
}
