// Whose HTTP/2 a program speaks.

/** Lictor's own, or the runtime's node:http2. */
export type Http2Kind = "lictor" | "node";

/** Reads an argument. Throws TypeError for anything else. */
export function readHttp2Kind(text: string | undefined): Http2Kind {
  if (text === "lictor" || text === "node") return text;
  throw new TypeError(`Cannot run as the kind of HTTP/2 must be "lictor" or "node": received ${text}`);
}
