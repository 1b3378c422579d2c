// An error to write on, where the one that came may be that of other calls. Records nothing itself.

import { ConnectError } from "@connectrpc/connect";

/** An error that says the same, with the other for its cause. */
export function copyError(error: ConnectError): ConnectError {
  const copy = new ConnectError(error.rawMessage, error.code, error.metadata, undefined, error);
  copy.details = error.details;
  return copy;
}
