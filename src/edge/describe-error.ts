// What went wrong, in a line. Keeps nothing.

import { ConnectError } from "@connectrpc/connect";
import { reasonOf } from "../consul/exchange.ts";

/** The error's own text, and the innermost one where that says more: runtimes wrap what the socket said in "fetch failed". */
export function describeError(error: unknown): string {
  const reason = reasonOf(error).trim();
  if (!(error instanceof Error)) return reason;
  const text = (error instanceof ConnectError ? error.rawMessage : error.message).trim();
  if (text === "" || reason.includes(text)) return reason;
  return text.includes(reason) ? text : `${text}: ${reason}`;
}
