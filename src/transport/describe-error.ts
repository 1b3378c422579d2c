// What went wrong, in a line. Keeps nothing.

import { ConnectError } from "@connectrpc/connect";
import { reasonOf } from "../core/error-text.ts";

/**
 * The error's own text; for one of fetch's what it wraps too, the socket's word: whatever has gone wrong, fetch rejects with a TypeError.
 * https://fetch.spec.whatwg.org/#fetch-method
 */
export function describeError(error: unknown): string {
  // OpenSSL's errors end in a line break.
  if (error instanceof ConnectError) return error.rawMessage.trim();
  const reason = reasonOf(error).trim();
  if (!(error instanceof Error)) return reason;
  const text = error.message.trim();
  if (text === "" || reason.includes(text)) return reason;
  return error instanceof TypeError && !text.includes(reason) ? `${text}: ${reason}` : text;
}
