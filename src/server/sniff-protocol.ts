// Tells HTTP/2 with prior knowledge from HTTP/1.1 by a connection's first bytes, so that one cleartext port serves both, and clients whose
// TLS has no ALPN reach both.

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

/** The longest first line that is looked at; longer ones are HTTP/1.1's to judge, as are those that come in pieces. */
const maxLineBytes = 1024;

/**
 * Whether the bytes begin with a request line (RFC 9112 section 3) that names another protocol than HTTP/1: a broken preface of HTTP/2,
 * mostly. An answer in HTTP/1's words would be garbage to its sender.
 */
export function namesOtherProtocol(bytes: Uint8Array): boolean {
  const end = bytes.subarray(0, maxLineBytes).indexOf(0x0a);
  if (end === -1) return false;
  // Visible characters only: a handshake of TLS has spaces too, and whoever sends one understands "400" as "no TLS here".
  const [, version] = /^[!-~]+ [!-~]+ ([!-~]+)\r?$/.exec(String.fromCharCode(...bytes.subarray(0, end))) ?? [];
  return version !== undefined && !/^HTTP\/1\.\d$/.test(version);
}

/**
 * Reads the first bytes of a socket, puts them back and calls `onProtocol`, once. A socket that has not said enough after
 * `timeoutMs` is destroyed, and so is one whose first line names another protocol; one that closes before is forgotten.
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
    if (protocol === "http1" && namesOtherProtocol(seen)) {
      socket.destroy();
      return;
    }
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
