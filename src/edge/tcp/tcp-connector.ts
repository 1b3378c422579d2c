// Reaches endpoints by gRPC over our own HTTP/2, on Workers' sockets: the connector for who makes transports of parts.

import type { ConnectorOptions, KeepaliveOptions } from "../../connector/connector-options.ts";
import { createSocketConnector, type SocketConnectorOptions } from "../../connector/socket-connector.ts";
import { type Clock, systemClock } from "../../core/clock.ts";
import { describeValue } from "../../core/describe-value.ts";
import type { Connector } from "../../transport/connector.ts";
import { openTcpSocket, type TcpSocketOptions } from "./open-tcp-socket.ts";

/** How connections and calls are made. Answers may be compressed by gzip, by the platform's streams. */
export interface TcpConnectorOptions
  extends TcpSocketOptions,
    Omit<ConnectorOptions, "connectTimeoutMs">,
    Pick<SocketConnectorOptions, "maxSendBytes" | "acceptCompression" | "sendCompression" | "compressMinBytes"> {
  /** Milliseconds until an attempt to connect is given up, > 0. Default 5000: somebody waits for the request. */
  readonly connectTimeoutMs?: number;
  /** How servers that are gone without a word are found. Default: by deadlines only, as a request's timers end with it. */
  readonly keepalive?: KeepaliveOptions | false;
}

/**
 * Creates a connector over Workers' sockets. Its connections belong to the request, or to the Durable Object, in which they are opened; make
 * one in each, as none may wait for another's timers. Throws TypeError or RangeError on bad options; opens nothing.
 */
export function createTcpConnector(options: TcpConnectorOptions = {}): Connector {
  const { connect, tlsWithoutAlpn = false, connectTimeoutMs = 5000, clock: given = systemClock, ...rest } = options;
  if (connect !== undefined && typeof connect !== "function") {
    throw new TypeError(`Cannot create connector as "connect" must be a function: received ${describeValue(connect)}`);
  }
  // A clock of its own: deadlines of one clock share a timer, and a timer ends with the request that has set it.
  const clock: Clock = { now: () => given.now(), schedule: (delayMs, callback) => given.schedule(delayMs, callback) };
  return createSocketConnector(
    (endpoint, signal) => openTcpSocket(endpoint, signal, { ...(connect && { connect }), tlsWithoutAlpn }),
    {
      keepalive: false,
      ...rest,
      connectTimeoutMs,
      clock,
      // workerd's own refuses to be called as a method of anything.
      defer: (run) => queueMicrotask(run),
    },
  );
}
