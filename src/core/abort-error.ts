// What a call ends with that is given up. Gives up none.

import { Code, ConnectError } from "@connectrpc/connect";
import { callFate, markMaybeProcessed } from "./call-fate.ts";
import { copyError } from "./copy-error.ts";

/**
 * The reason of an abort as an error of Connect's: itself where it is one, else `canceled` with it for a cause. Calls are given up for the failure
 * of another: what that, or a cause of it, says of the other call is not said of this one, so that the error is a new one then. `maybe-processed`
 * until more is recorded on it; the reason is never written on, as it may be that of many calls.
 */
export function abortError(reason: unknown): ConnectError {
  const error = ConnectError.from(reason, Code.Canceled);
  if (error !== reason) return markMaybeProcessed(error);
  if (callFate(error) === "maybe-processed") return error;
  return markMaybeProcessed(copyError(error));
}
