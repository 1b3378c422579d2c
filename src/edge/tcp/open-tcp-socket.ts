// Opens a socket to an endpoint, with the runtime's connect() or the user's. Speaks no HTTP/2.

import type { Endpoint } from "../../core/endpoint.ts";
import { unlessAborted } from "../../core/until-settled.ts";
import type { ByteSocket } from "../../http2/byte-socket.ts";
import { describeError } from "../../transport/describe-error.ts";
import { wrapWorkerSocket } from "./worker-byte-socket.ts";
import { type ConnectFunction, workersConnect } from "./worker-socket.ts";

/** How sockets are opened. */
export interface TcpSocketOptions {
  /** What opens a socket: `connect` of `cloudflare:sockets`, or of a binding that leads into a private network. Default: the former, imported at the first socket. */
  readonly connect?: ConnectFunction;
  /**
   * Calls endpoints whose URL is https over TLS, but without ALPN, which Workers' sockets do not have. RFC 9113, section 3.2, demands it, and
   * most gRPC servers do too (grpc-go since 1.67, grpc-java, node:http2); set it for one that is known to take HTTP/2 without it.
   * Default false: such endpoints are refused.
   */
  readonly tlsWithoutAlpn?: boolean;
}

const defaultPorts: Readonly<Record<string, number>> = { "http:": 80, "https:": 443 };

/** Opens a socket; resolves once it is connected. Rejects with an Error that names the endpoint, or with the reason of the signal. */
export async function openTcpSocket(
  endpoint: Endpoint,
  signal: AbortSignal,
  { connect, tlsWithoutAlpn = false }: TcpSocketOptions,
): Promise<ByteSocket> {
  const { protocol, hostname, port } = new URL(endpoint.url);
  const isSecure = protocol === "https:";
  if (isSecure && !tlsWithoutAlpn) {
    throw new Error(
      `Cannot connect to ${endpoint.url} as Workers' sockets offer no ALPN, by which HTTP/2 over TLS is agreed on (RFC 9113, section 3.2): use http, or createEdgeTransport, or "tlsWithoutAlpn" for a server that takes HTTP/2 without it`,
    );
  }
  const open = connect ?? (await workersConnect());
  signal.throwIfAborted();
  const socket = open(
    { hostname, port: port === "" ? (defaultPorts[protocol] ?? 0) : Number(port) },
    { secureTransport: isSecure ? "on" : "off", allowHalfOpen: true },
  );
  socket.closed.catch(() => {});
  try {
    await unlessAborted(socket.opened, signal);
  } catch (cause) {
    socket.close().catch(() => {});
    if (signal.aborted) throw cause;
    throw new Error(`Cannot connect to ${endpoint.url}: ${describeError(cause)}`, { cause });
  }
  return wrapWorkerSocket(socket);
}
