// What went wrong, in a line. Keeps nothing.

import { ConnectError } from "@connectrpc/connect";
import { joinLines, reasonOf } from "../core/error-text.ts";

/**
 * The error's own text; for one of fetch's what it wraps too, the socket's word: whatever has gone wrong, fetch rejects with a TypeError.
 * https://fetch.spec.whatwg.org/#fetch-method
 */
export function describeError(error: unknown): string {
  if (error instanceof ConnectError) return joinLines(error.rawMessage);
  const reason = reasonOf(error);
  if (!(error instanceof Error)) return reason;
  const text = joinLines(error.message);
  if (text === "" || reason.includes(text)) return reason;
  return error instanceof TypeError && !text.includes(reason) ? `${text}: ${reason}` : text;
}
