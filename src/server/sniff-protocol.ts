// Tells HTTP/2 with prior knowledge from HTTP/1.1 by a connection's first bytes, so that one cleartext port serves both.

import type { Socket } from "node:net";
import type { Clock } from "../core/clock.ts";

/** What a connection speaks. */
export type HttpProtocol = "http1" | "http2";

/**
 * The first bytes of HTTP/2's connection preface, which stand for all 24: `PRI` is reserved for it (RFC 9113 section 3.4), so
 * no HTTP/1.1 method is one. POST, PUT, PATCH and PROPFIND begin alike.
 */
const marker = new TextEncoder().encode("PRI");

/** Decides by the first bytes; undefined while they fit both. Anything that is no HTTP/2 counts as HTTP/1.1. */
export function protocolOf(bytes: Uint8Array): HttpProtocol | undefined {
  for (const [index, expected] of marker.entries()) {
    if (index >= bytes.length) return undefined;
    if (bytes[index] !== expected) return "http1";
  }
  return "http2";
}

/**
 * Reads the first bytes of a socket, puts them back and calls `onProtocol`, once. A socket that has not said enough after
 * `timeoutMs` is destroyed; one that closes before is forgotten.
 */
export function sniffProtocol(
  socket: Socket,
  options: { readonly timeoutMs: number; readonly clock: Clock },
  onProtocol: (protocol: HttpProtocol) => void,
): void {
  let seen: Buffer | undefined;
  const stop = (): void => {
    cancel();
    socket.off("readable", onReadable);
    socket.off("close", stop);
  };
  // Not by "data": a flowing socket would go on flowing, and its bytes get lost between here and the engine.
  const onReadable = (): void => {
    const chunk: Buffer | null = socket.read();
    if (chunk === null) return;
    seen = seen === undefined ? chunk : Buffer.concat([seen, chunk]);
    const protocol = protocolOf(seen);
    if (protocol === undefined) return;
    stop();
    socket.unshift(seen);
    onProtocol(protocol);
  };
  const cancel = options.clock.schedule(options.timeoutMs, () => {
    stop();
    socket.destroy();
  });
  socket.on("readable", onReadable);
  socket.on("close", stop);
}
