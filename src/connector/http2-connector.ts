// Reaches endpoints by gRPC over our own HTTP/2, on sockets of node:net and node:tls: for Bun, Deno and Node.

import { connect as connectTcp, type Socket } from "node:net";
import process from "node:process";
import { connect as connectTls, type TLSSocket } from "node:tls";
import type { Endpoint } from "../core/endpoint.ts";
import { stripBrackets } from "../core/host-port.ts";
import type { Logger } from "../core/logger.ts";
import type { ByteSocket } from "../http2/byte-socket.ts";
import { wrapNodeSocket } from "../runtime/node-socket.ts";
import { brotli, gzip } from "../runtime/zlib-compression.ts";
import type { Connector } from "../transport/connector.ts";
import { type ClientTls, type ClientTlsOptions, createClientTls } from "./client-tls.ts";
import { neverSpokeHttp2, tlsFailure } from "./never-ready.ts";
import { createSocketConnector, type SocketConnectorOptions } from "./socket-connector.ts";

/** How connections are made. */
export interface Http2ConnectorOptions extends Omit<SocketConnectorOptions, "defer"> {
  /** TLS settings of endpoints whose URL is https. */
  readonly tls?: ClientTlsOptions;
  /** Told of certificates that were replaced while the client runs. Silent by default. */
  readonly logger?: Logger;
}

/** Creates a connector over our own HTTP/2. Throws RangeError or TypeError on bad options; reads the files of `tls`, opens nothing else. */
export function createHttp2Connector(options: Http2ConnectorOptions = {}): Connector {
  const { tls: givenTls = {}, logger, acceptCompression = [gzip, brotli], ...others } = options;
  const tls = createClientTls(givenTls, { logger, clock: options.clock });
  return createSocketConnector((endpoint, signal) => openSocket(endpoint, tls, signal), {
    acceptCompression,
    defer: flushSoon,
    ...others,
  });
}

/** What one socket brings makes calls on all connections: with many under way, the turn's end takes three writes where its beginning takes five. */
function flushSoon(run: () => void, isBusy: boolean): void {
  if (isBusy) setImmediate(run);
  else process.nextTick(run);
}

/** Resolves when TCP, and TLS with ALPN, are through; rejects with what the runtime says, or with what the peer does not speak. */
function openSocket(endpoint: Endpoint, tls: ClientTls, signal: AbortSignal): Promise<ByteSocket> {
  const url = new URL(endpoint.url);
  const host = stripBrackets(url.hostname);
  const isTls = url.protocol === "https:";
  const port = Number(url.port || (isTls ? 443 : 80));
  return new Promise((resolve, reject) => {
    const socket: Socket | TLSSocket = isTls
      ? connectTls({ ...tls.connectionOptions(endpoint), host, port, ALPNProtocols: ["h2"] })
      : connectTcp({ host, port });
    const onAbort = () => {
      socket.destroy();
    };
    let failure: unknown;
    const onError = (error: unknown) => {
      failure ??= error;
    };
    const onClose = () => {
      signal.removeEventListener("abort", onAbort);
      reject(tlsFailure(endpoint.url, failure) ?? failure ?? signal.reason ?? neverSpokeHttp2(endpoint.url, undefined));
    };
    socket.on("error", onError);
    socket.once("close", onClose);
    socket.once(isTls ? "secureConnect" : "connect", () => {
      // RFC 9113, section 3.2: TLS without ALPN's word for it is not HTTP/2.
      if (isTls && "alpnProtocol" in socket && socket.alpnProtocol !== "h2") {
        failure = new Error(`${endpoint.url} does not speak HTTP/2`, {
          cause: new Error(`the server agreed to ${socket.alpnProtocol || "no protocol"} by ALPN`),
        });
        socket.destroy();
        return;
      }
      signal.removeEventListener("abort", onAbort);
      socket.off("close", onClose);
      // A socket is never without a listener; this one would keep all of the opening alive.
      socket.on("error", ignore);
      socket.off("error", onError);
      resolve(wrapNodeSocket(socket));
    });
    if (signal.aborted) socket.destroy();
    else signal.addEventListener("abort", onAbort, { once: true });
  });
}

/** What breaks a connection is told by its socket's wrapper. */
function ignore(): void {}
