// What became of a call that failed, decided by facts of the connection, never by its gRPC code.
// Connectors record it; the transport's retry reads it.

/**
 * `unprocessed`: no server program can have seen the call (never connected, REFUSED_STREAM, above GOAWAY's last id), so it may
 * be sent again whatever its method does. `maybe-processed`: anything else.
 */
export type CallFate = "unprocessed" | "maybe-processed";

const unprocessed = new WeakSet<object>();

/** Records on an error that its call was not processed, and returns the error. */
export function markUnprocessed<E extends object>(error: E): E {
  unprocessed.add(error);
  return error;
}

/** What became of the call that failed with `error`. */
export function callFate(error: unknown): CallFate {
  return typeof error === "object" && error !== null && unprocessed.has(error) ? "unprocessed" : "maybe-processed";
}
