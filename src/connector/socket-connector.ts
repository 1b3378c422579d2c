// Reaches endpoints by gRPC over our own HTTP/2, on sockets that somebody else opens. Runs wherever there are sockets: no Node module.

import type { Compression } from "@connectrpc/connect/protocol";
import { systemClock } from "../core/clock.ts";
import type { Endpoint } from "../core/endpoint.ts";
import { defaultCompressMinBytes, streamGzip } from "../grpc/compression.ts";
import type { ByteSocket } from "../http2/byte-socket.ts";
import type { Connector } from "../transport/connector.ts";
import { type ConnectorOptions, checkConnectorOptions } from "./connector-options.ts";
import { KeepalivePolicy } from "./keepalive-policy.ts";
import { SocketConnection } from "./socket-connection.ts";

/**
 * Opens a socket to an endpoint: TCP, and TLS with ALPN `h2` where its URL is https. Rejects where it cannot, and when the signal aborts, which is
 * soon for nobody waits any longer; a socket that is there by then is closed by its opener or handed over all the same.
 */
export type SocketOpener = (endpoint: Endpoint, signal: AbortSignal) => Promise<ByteSocket>;

/** How calls and connections are made, whatever opens the sockets. */
export interface SocketConnectorOptions extends ConnectorOptions {
  /** Largest message sent to a server, in bytes before compression. Larger ones fail with `resource_exhausted`. Default 4 GiB - 1. */
  readonly maxSendBytes?: number;
  /** What answers may be compressed with, the most wanted first; empty for nothing. Default gzip and brotli; of `createSocketConnector` and on Workers gzip. */
  readonly acceptCompression?: readonly Compression[];
  /** What messages are compressed with that have at least `compressMinBytes`. The server must know it: gRPC has no way to ask. Default: none. */
  readonly sendCompression?: Compression;
  /** Smallest message that `sendCompression` compresses, in bytes. Default 1024. */
  readonly compressMinBytes?: number;
  /**
   * Calls under way at a time on the connection to an endpoint, from 1 to 2147483647; the server's own limit holds beside it. What goes beyond waits for its
   * turn there, see `maxPendingCallsPerEndpoint`. Default: as many as the server takes.
   */
  readonly maxConcurrentCallsPerEndpoint?: number;
  /**
   * Calls that wait at a time for their turn on the connection to an endpoint, 0 or more. What goes beyond is refused there unsent: it goes to
   * another endpoint, or waits until one has room, within its deadline. With 0, no call waits where another endpoint has room. Default: any number.
   */
  readonly maxPendingCallsPerEndpoint?: number;
  /**
   * Runs a function when what runs now is done: what calls write meanwhile goes out in one piece. With `isBusy`, that may be later, when all
   * sockets that had something were read. Default `queueMicrotask`.
   */
  readonly defer?: (run: () => void, isBusy: boolean) => void;
}

/** The options that connectors over our own HTTP/2 have and others lack, but for `defer`, which is the opener's. */
export const engineOptions: Readonly<
  Record<Exclude<keyof SocketConnectorOptions, keyof ConnectorOptions | "defer">, true>
> = {
  maxSendBytes: true,
  acceptCompression: true,
  sendCompression: true,
  compressMinBytes: true,
  maxConcurrentCallsPerEndpoint: true,
  maxPendingCallsPerEndpoint: true,
};

/** Creates a connector over what `open` opens. Throws RangeError or TypeError on bad options; opens nothing. */
export function createSocketConnector(open: SocketOpener, options: SocketConnectorOptions = {}): Connector {
  const resolved = {
    connectTimeoutMs: options.connectTimeoutMs ?? 20_000,
    maxReceiveBytes: options.maxReceiveBytes ?? 4 * 1024 * 1024,
    maxSendBytes: options.maxSendBytes ?? 0xffff_ffff,
    acceptCompression: options.acceptCompression ?? [streamGzip],
    sendCompression: options.sendCompression,
    compressMinBytes: options.compressMinBytes ?? defaultCompressMinBytes,
    maxCalls: options.maxConcurrentCallsPerEndpoint ?? 0x7fff_ffff,
    maxPendingCalls: options.maxPendingCallsPerEndpoint ?? Number.POSITIVE_INFINITY,
    clock: options.clock ?? systemClock,
    // Called as a method, a platform may refuse it.
    defer: options.defer ?? ((run: () => void) => queueMicrotask(run)),
  };
  checkConnectorOptions({ ...resolved, keepalive: options.keepalive });
  const keepalive = new KeepalivePolicy(options.keepalive, resolved.clock);
  return (endpoint, listener) => new SocketConnection(endpoint, listener, { ...resolved, open, keepalive });
}
