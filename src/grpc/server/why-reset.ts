// What handlers, and the log, are told where a call ends before its answer: by the client, by the connection, or by us. Ends nothing.

import { Code, ConnectError } from "@connectrpc/connect";
import type { Logger } from "../../core/logger.ts";
import type { Http2Connection } from "../../http2/connection.ts";
import { ErrorCode, errorCodeName } from "../../http2/error-code.ts";
import type { Stream } from "../../http2/stream.ts";

/** Tells `logger` of a stream that we reset for what its client did or did not do. A connection that ends is told of as a whole. */
export function logReset(logger: Logger, connection: Http2Connection, stream: Stream, code: number): void {
  if (connection.isOver || stream.resetByPeer || code === ErrorCode.cancel) return;
  logger.debug("HTTP/2 stream failed", { error: whyReset(connection, stream, code, undefined) });
}

/**
 * Why `onReset` was called with `code`; `connectionReason` is why the connection ended, where it did and anything said so. `canceled` only
 * where the client itself left: what it did not ask for is `unavailable`, and a reset for its own fault what that fault is.
 */
export function whyReset(
  { isOver }: Http2Connection,
  stream: Stream,
  code: number,
  connectionReason: unknown,
): ConnectError {
  const how = `HTTP/2 code ${code} (${errorCodeName(code)})`;
  if (isOver) {
    if (connectionReason === undefined) return new ConnectError("the client closed the connection", Code.Canceled);
    const text = connectionReason instanceof Error ? connectionReason.message : String(connectionReason);
    const ended = `the connection to the client ended: ${text}`;
    return new ConnectError(ended, Code.Unavailable, undefined, undefined, connectionReason);
  }
  if (stream.resetByPeer) return new ConnectError(`the client reset the stream with ${how}`, Code.Canceled);
  switch (code) {
    case ErrorCode.enhanceYourCalm:
      return new ConnectError(
        `the stream was reset with ${how} as the client takes nothing of its answer`,
        Code.ResourceExhausted,
      );
    case ErrorCode.cancel:
      return new ConnectError("the server closes the connection", Code.Unavailable);
    default:
      return new ConnectError(`the stream was reset with ${how} as the client broke a rule of HTTP/2`, Code.Internal);
  }
}
