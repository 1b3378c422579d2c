// What a client's call fails with where no status says it. Knows the connection's word, not its state.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#errors

import { Code, ConnectError } from "@connectrpc/connect";
import { abortError } from "../../core/abort-error.ts";
import { markMaybeProcessed, markUnprocessed, markUnsendable } from "../../core/call-fate.ts";
import type { CallSignal } from "../../core/call-signal.ts";
import { ErrorCode, errorCodeName } from "../../http2/error-code.ts";

/** Nothing was sent: the connection is not ready, or on its way out. */
export function notTaken(url: string): ConnectError {
  return markUnprocessed(new ConnectError(`the connection to ${url} takes no new calls`, Code.Unavailable));
}

/** Nothing was sent: as many calls are under way on the connection as may be, and as many wait. */
export function full(url: string, active: number, waiting: number): ConnectError {
  const text = `the connection to ${url} takes no more calls now: ${active} are under way, ${waiting} wait`;
  return markUnprocessed(new ConnectError(text, Code.ResourceExhausted));
}

/** The connection went away under the call, and under all others it had; `why` is the reason, as far as there is one. */
export function lost(url: string, connection: object, why: unknown): ConnectError {
  return markMaybeProcessed(brokenOff(url, why ?? "the connection was lost during the call"), connection);
}

/** REFUSED_STREAM, of this call alone: RFC 9113, section 8.7. */
export function refused(url: string, why: unknown): ConnectError {
  return markUnprocessed(brokenOff(url, why ?? new Error("the peer refused the call")), "refused");
}

/** Above the last id of GOAWAY: RFC 9113, section 6.8. */
export function leftOut(url: string, connection: object, why: unknown): ConnectError {
  return markUnprocessed(brokenOff(url, why ?? new Error("the peer refused the call")), "refused", connection);
}

/** The connection ended before anything of the call was written to it. */
export function neverSent(url: string, connection: object, why: unknown): ConnectError {
  return markUnprocessed(brokenOff(url, why ?? new Error("the connection was lost")), "never-sent", connection);
}

function brokenOff(url: string, why: unknown): ConnectError {
  const text = why instanceof Error ? why.message : String(why);
  return new ConnectError(`${url}: ${text}`, Code.Unavailable, undefined, undefined, why);
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

export function timedOut(wasSent: boolean): ConnectError {
  const error = new ConnectError("the operation timed out", Code.DeadlineExceeded);
  return wasSent ? error : markUnsendable(error);
}

/** As Connect's own transports have it: the signal's reason, as `canceled` where it is not an error of Connect's already. See abort-error.ts. */
export function aborted(signal: CallSignal, wasSent: boolean): ConnectError {
  const error = abortError(signal.reason);
  // A reason may be that of many calls: what holds for one of them is not written on it.
  if (error === signal.reason) return error;
  return wasSent ? markMaybeProcessed(error) : markUnsendable(error);
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
