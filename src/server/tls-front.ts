// The TLS side of a port: certificates, which may be replaced while it is open, ALPN, client certificates. Speaks no HTTP.

import type { Server, Socket } from "node:net";
import process from "node:process";
import { createServer, type SecureContextOptions, type TLSSocket } from "node:tls";
import { type Clock, systemClock } from "../core/clock.ts";
import { formatHostPort } from "../core/host-port.ts";
import type { Logger } from "../core/logger.ts";
import { unixClock } from "../core/unix-clock.ts";
import type { Pem } from "../runtime/check-certificates.ts";
import { createCredentialsSource, type TlsCredentials, toSecureContext } from "../runtime/tls-credentials.ts";
import { leadsTo, parseAuthorities } from "../runtime/verify-chain.ts";
import { refuseOption } from "./refuse-option.ts";

/**
 * How a server speaks TLS: no client is served in cleartext then. ALPN offers HTTP/2, then HTTP/1.1. A client whose TLS has no ALPN, as that of
 * Cloudflare's Workers, gets what its first bytes speak; HTTP/1.1 with `http2: "node"`. TLS 1.2 is the least. All certificates and keys in PEM.
 *
 * The server's own come as `cert` and `key`, as `certFile` and `keyFile`, or from `credentials`. What is read from files, and what
 * `credentials` gives, is looked at again when somebody connects, at most once a second, and every 10 s: new connections get it, those that are open
 * go on.
 * New ones that cannot be used are told to the logger at `warn`, and the last good ones stay.
 */
export interface ServerTlsOptions {
  /** Certificate chain, the server's own first. */
  readonly cert?: Pem;
  /** Private key of the certificate. */
  readonly key?: Pem;
  /** Authorities that clients' certificates are verified against. Only with `requireClientCert` or `requestClientCert`: refused without. */
  readonly ca?: Pem | readonly Pem[];
  /** File of the certificate chain. */
  readonly certFile?: string;
  /** File of its private key. */
  readonly keyFile?: string;
  /** File of the clients' authorities, or a folder of such. */
  readonly caFile?: string;
  /** In place of all the above, for those who hold them elsewhere: `{ cert, key, ca }` as they are now. Must not block. */
  readonly credentials?: () => TlsCredentials;
  /** Whether clients must show a certificate signed by one of `ca`; others are refused in the handshake. Default false. */
  readonly requireClientCert?: boolean;
  /**
   * Whether clients are asked for a certificate and may come without: those that have none have no identity, which `authorize` may refuse.
   * A certificate that `ca` did not sign is refused all the same. Default false.
   */
  readonly requestClientCert?: boolean;
}

/**
 * How often certificates are looked at while nobody connects: those that cannot be used are told of in time; and Bun gives what is set when
 * somebody connects to the next one only (1.4.5).
 */
const lookEveryMs = 10_000;

/**
 * Whether clients may take up sessions that began before the authorities were replaced, or with another server of the process, which may have asked
 * for no certificate: Deno looks at their certificates no more then, and no option talks it out of that (2.9.6). The others know no such session.
 */
const sharesSessions: boolean = "deno" in process.versions;

/** The least that is spoken. */
const minVersion = "TLSv1.2";

/** Throws TypeError for options that contradict each other. Reads no files. */
export function checkServerTls(tls: ServerTlsOptions): void {
  const { cert, key, ca, certFile, keyFile, caFile, credentials, requireClientCert, requestClientCert } = tls;
  const asks = requireClientCert === true || requestClientCert === true;
  const hasCa = ca !== undefined || caFile !== undefined;
  if (asks && !hasCa && credentials === undefined) {
    refuseOption(
      "tls.ca",
      `must be given with tls.${requireClientCert ? "requireClientCert" : "requestClientCert"}`,
      ca,
    );
  }
  if (!asks && hasCa) {
    const name = ca === undefined ? "tls.caFile" : "tls.ca";
    refuseOption(name, 'is used only with "tls.requireClientCert" true', requireClientCert);
  }
  if (credentials === undefined && cert === undefined && certFile === undefined && (key ?? keyFile) === undefined) {
    refuseOption("tls", "must have a certificate and its key, as cert and key, or as certFile and keyFile", tls);
  }
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
  clock: Clock = systemClock,
): Server {
  checkServerTls(tls);
  const { requireClientCert = false, requestClientCert = false } = tls;
  const source = createCredentialsSource(tls, {
    action: "serve",
    needs: requireClientCert || requestClientCert ? ["cert", "ca"] : ["cert"],
    logger,
    clock,
  });
  let used = source.current;
  const server = createServer({
    ...withVersion(used),
    requestCert: requireClientCert || requestClientCert,
    rejectUnauthorized: requireClientCert,
    ALPNProtocols: ["h2", "http/1.1"],
    handshakeTimeout: handshakeTimeoutMs,
    noDelay: true,
  });
  const renew = (): void => {
    const { current } = source;
    if (current === used) return;
    used = current;
    server.setSecureContext(withVersion(current));
  };
  if (!source.isFixed) repeatWhileListening(server, renew, clock);
  const peers = new WeakMap<Socket, string>();
  // Before the runtime's own listener, which begins the handshake.
  server.prependListener("connection", (socket: Socket) => {
    peers.set(socket, peerOf(socket));
    renew();
  });
  const refuse = (socket: TLSSocket, error: unknown): void => {
    // Bun's socket knows its peer still; those of Node and Deno may have forgotten it, and the socket below them has no public name.
    const below = (socket as { _parent?: Socket | null })._parent;
    const peer = (below && peers.get(below)) ?? peerOf(socket);
    logger.debug("TLS handshake failed", { peer, error });
    // No runtime does so itself when the time is over (node 24.21, Bun 1.4.5, Deno 2.9.6).
    socket.destroy();
  };
  server.on("tlsClientError", (error, socket) => {
    // Of a certificate of another authority the error itself says only "socket hang up".
    refuse(socket, socket.authorizationError ?? error);
  });
  const mayNotResume = (socket: TLSSocket): boolean => {
    const { ca } = used;
    if (!sharesSessions || ca === undefined || !socket.isSessionReused()) return false;
    if (!hasCertificate(socket)) return requireClientCert;
    return !leadsTo(parseAuthorities(ca), socket, unixClock.now());
  };
  return server.on("secureConnection", (socket) => {
    if (requestClientCert && !socket.authorized && hasCertificate(socket)) refuse(socket, socket.authorizationError);
    else if (mayNotResume(socket)) refuse(socket, new Error("the session began with another authority"));
    else onSocket(socket);
  });
}

function repeatWhileListening(server: Server, run: () => void, clock: Clock): void {
  let cancel = (): void => {};
  const schedule = (): void => {
    cancel = clock.schedule(lookEveryMs, () => {
      if (!server.listening) return;
      run();
      schedule();
    });
  };
  server.on("listening", schedule);
  server.on("close", () => cancel());
}

function withVersion(credentials: TlsCredentials): SecureContextOptions {
  return { ...toSecureContext(credentials), minVersion };
}

/** Whether the client has shown one, good or bad. */
function hasCertificate(socket: TLSSocket): boolean {
  return socket.getPeerCertificate()?.raw !== undefined;
}

function peerOf({ remoteAddress = "", remotePort = 0 }: Socket): string {
  return formatHostPort(remoteAddress, remotePort);
}
