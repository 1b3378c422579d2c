// What a client's call fails with where no status says it. Knows the connection's word, not its state.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#errors

import { Code, ConnectError } from "@connectrpc/connect";
import { markUnprocessed } from "../../core/call-fate.ts";
import type { CallSignal } from "../../core/call-signal.ts";
import { ErrorCode, errorCodeName } from "../../http2/error-code.ts";

/** Nothing was sent: the connection is not ready, or on its way out. */
export function notTaken(url: string): ConnectError {
  return markUnprocessed(new ConnectError(`the connection to ${url} takes no new calls`, Code.Unavailable));
}

/** The connection went away under the call; `why` is the reason, as far as there is one. */
export function lost(url: string, why: unknown): ConnectError {
  const text = why instanceof Error ? why.message : String(why ?? "the connection was lost during the call");
  return new ConnectError(`${url}: ${text}`, Code.Unavailable, undefined, undefined, why);
}

/** REFUSED_STREAM, above the last id of GOAWAY, or never sent: RFC 9113, section 8.7. */
export function refused(url: string, why: unknown): ConnectError {
  return markUnprocessed(lost(url, why ?? new Error("the peer refused the call")));
}

/** The peer ended the stream with a code, on a connection that goes on. */
export function wasReset(url: string, code: number): ConnectError {
  if (code === ErrorCode.noError) return new ConnectError(`${url} ended the call without a status`, Code.Internal);
  return new ConnectError(`${url} reset the call with ${errorCodeName(code)}`, resetCode(code));
}

function resetCode(code: number): Code {
  switch (code) {
    case ErrorCode.refusedStream:
      return Code.Unavailable;
    case ErrorCode.cancel:
      return Code.Canceled;
    case ErrorCode.enhanceYourCalm:
      return Code.ResourceExhausted;
    case ErrorCode.inadequateSecurity:
      return Code.PermissionDenied;
    default:
      return Code.Internal;
  }
}

export function timedOut(): ConnectError {
  return new ConnectError("the operation timed out", Code.DeadlineExceeded);
}

/** As Connect's own transports have it: the signal's reason, as `canceled` where it is not an error of Connect's already. */
export function aborted(signal: CallSignal): ConnectError {
  return ConnectError.from(signal.reason, Code.Canceled);
}

/** The peer does not keep to the protocol. */
export function protocolError(text: string, code: Code = Code.Internal): ConnectError {
  return new ConnectError(`protocol error: ${text}`, code);
}

export function tooManyHeaders(): ConnectError {
  return new ConnectError("the peer sent more headers or trailers than are taken", Code.ResourceExhausted);
}

/** The answer ended without trailers, or they say nothing of the call. */
export function missingStatus(): ConnectError {
  return protocolError("missing status");
}
