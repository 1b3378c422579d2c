// Reads the body of a node request as an async iterable. The runtimes' own iterators are no good here: they reject with
// "premature close" when the stream closes before a late first read (nodejs/node#65677; Bun and Deno do likewise).

import { Code, ConnectError } from "@connectrpc/connect";

/** What a body is read from: node's HTTP/1.1 and HTTP/2 requests alike. */
export interface BodySource {
  on(event: "data", listener: (chunk: Uint8Array) => void): unknown;
  on(event: "end" | "close" | "aborted", listener: () => void): unknown;
  on(event: "error", listener: (error: unknown) => void): unknown;
  pause(): unknown;
  resume(): unknown;
}

/** Bytes held unread before the sender is made to wait. */
const highWaterBytes = 64 * 1024;

/**
 * The body's chunks, in order. Listening starts here and now, so nothing is missed however late the first read comes.
 * Ends with the body; fails with a ConnectError `canceled` where the client went away first. One reader only; when it
 * returns early the rest is taken from the wire and dropped.
 */
export function readBody(source: BodySource): AsyncIterableIterator<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let heldBytes = 0;
  let paused = false;
  let end: { readonly error?: ConnectError } | undefined;
  let dropped = false;
  let wake = (): void => {};

  const finish = (error?: ConnectError): void => {
    end ??= error === undefined ? {} : { error };
    wake();
  };
  source.on("data", (chunk) => {
    if (dropped) return;
    chunks.push(chunk);
    heldBytes += chunk.length;
    if (heldBytes > highWaterBytes && !paused) {
      paused = true;
      source.pause();
    }
    wake();
  });
  source.on("end", () => finish());
  source.on("aborted", () => finish(clientGone()));
  source.on("error", (cause) => finish(clientGone(cause)));
  source.on("close", () => finish(clientGone()));

  const resume = (): void => {
    if (!paused) return;
    paused = false;
    source.resume();
  };

  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    async next() {
      for (;;) {
        const chunk = chunks.shift();
        if (chunk !== undefined) {
          heldBytes -= chunk.length;
          if (heldBytes <= highWaterBytes) resume();
          return { done: false, value: chunk };
        }
        if (end?.error !== undefined && !dropped) throw end.error;
        if (end !== undefined || dropped) return { done: true, value: undefined };
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
    async return() {
      dropped = true;
      chunks.length = 0;
      heldBytes = 0;
      resume();
      wake();
      return { done: true, value: undefined };
    },
  };
}

function clientGone(cause?: unknown): ConnectError {
  return new ConnectError("the client went away before its request was complete", Code.Canceled, undefined, [], cause);
}
