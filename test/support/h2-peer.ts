// A gRPC server on node:http2 that a test can break in every way: the peer of connector tests. Not our server.

import * as http from "node:http";
import * as http2 from "node:http2";
import * as net from "node:net";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { sleep, systemClock } from "../../src/core/clock.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { listenOnLoopback } from "./loopback.ts";

export interface H2Peer {
  readonly url: string;
  /** Calls that reached a handler. */
  readonly handled: number;
  /** Signals of handlers that were aborted. */
  readonly aborted: number;
  /** GOAWAY on every session, then they end when their streams are done. */
  goaway(): void;
  /** Cuts every session now. */
  cut(): void;
  close(): Promise<void>;
}

export async function startH2Peer(
  options: { tls?: http2.SecureServerOptions; name?: string; maxReceiveBytes?: number } = {},
): Promise<H2Peer> {
  const sessions = new Set<http2.Http2Session>();
  const counts = { handled: 0, aborted: 0 };
  const handler = echoHandler(options.name ?? "", counts, options.maxReceiveBytes);
  const server = options.tls ? http2.createSecureServer(options.tls, handler) : http2.createServer(handler);
  server.on("session", (session) => {
    sessions.add(session);
    session.on("error", () => {});
    session.on("close", () => sessions.delete(session));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  return {
    url: `${options.tls ? "https" : "http"}://127.0.0.1:${port}`,
    get handled() {
      return counts.handled;
    },
    get aborted() {
      return counts.aborted;
    },
    goaway() {
      for (const session of sessions) session.close();
    },
    cut() {
      for (const session of sessions) session.destroy();
    },
    close: () =>
      new Promise<void>((resolve) => {
        for (const session of sessions) session.destroy();
        server.close(() => resolve());
      }),
  };
}

function echoHandler(name: string, counts: { handled: number; aborted: number }, maxReceiveBytes = 16 * 1024 * 1024) {
  return connectNodeAdapter({
    readMaxBytes: maxReceiveBytes,
    routes(router) {
      router.service(EchoService, {
        async unary(request, context) {
          counts.handled++;
          context.signal.addEventListener("abort", () => counts.aborted++);
          if (request.delayMs > 0) await sleep(request.delayMs, systemClock, context.signal);
          return { text: request.text, payload: request.payload, server: name };
        },
        async *serverStream(request, context) {
          counts.handled++;
          for (let index = 0; index < request.count; index++) {
            if (request.delayMs > 0) await sleep(request.delayMs, systemClock, context.signal);
            yield { text: request.text, index };
          }
        },
        async clientStream(requests) {
          counts.handled++;
          const texts: string[] = [];
          for await (const request of requests) texts.push(request.text);
          return { text: texts.join(","), count: texts.length };
        },
        async *bidi(requests) {
          counts.handled++;
          let index = 0;
          for await (const request of requests) yield { text: request.text, index: index++ };
        },
      });
    },
  });
}

/** The same service by HTTP/1.1. */
export async function startH1Peer(options: { name?: string } = {}): Promise<{ url: string; close(): Promise<void> }> {
  const handler = echoHandler(options.name ?? "", { handled: 0, aborted: 0 });
  const listening = await listenOnLoopback(http.createServer(handler));
  return {
    url: `http://127.0.0.1:${listening.port}`,
    close: async () => listening[Symbol.asyncDispose](),
  };
}

/**
 * A peer that speaks HTTP/2 frame by frame: sends its SETTINGS, and `answer(streamId)` for every HEADERS frame.
 * Written by hand, as Bun's http2 server sends something else than RST_STREAM for `stream.close(code)` before an answer (1.4.5).
 */
export async function startFramePeer(
  answer: (streamId: number) => Uint8Array,
): Promise<{ url: string; close(): Promise<void> }> {
  const preface = 24;
  return startTcpPeer((socket) => {
    let received = Buffer.alloc(0);
    let at = preface;
    socket.write(frame(4, 0, 0, new Uint8Array(0)));
    socket.on("data", (chunk) => {
      received = Buffer.concat([received, chunk]);
      while (received.length >= at + 9 && received.length >= at + 9 + received.readUIntBE(at, 3)) {
        const type = received[at + 3];
        const flags = received[at + 4] ?? 0;
        if (type === 1) socket.write(answer(received.readUInt32BE(at + 5)));
        if (type === 4 && (flags & 1) === 0) socket.write(frame(4, 1, 0, new Uint8Array(0)));
        at += 9 + received.readUIntBE(at, 3);
      }
    });
  });
}

/** One HTTP/2 frame: RFC 9113 section 4.1. */
export function frame(type: number, flags: number, streamId: number, payload: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(9 + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(streamId, 5);
  bytes.set(payload, 9);
  return bytes;
}

/** A TCP server that does `onSocket` with whoever connects. */
export async function startTcpPeer(
  onSocket: (socket: net.Socket) => void = () => {},
): Promise<{ url: string; close(): Promise<void> }> {
  const listening = await listenOnLoopback(net.createServer(onSocket));
  return {
    url: `http://127.0.0.1:${listening.port}`,
    close: async () => listening[Symbol.asyncDispose](),
  };
}
