// How often a call was sent before it failed, for its caller to see.

const attempts = new WeakMap<object, number>();

/** Records on an error how often its call was sent, and returns the error. */
export function markAttempts<E extends object>(error: E, count: number): E {
  attempts.set(error, count);
  return error;
}

/**
 * How often the call that failed with `error` was sent, the first time included: 0 where it never was, as for a call that waited in vain. Undefined for an error that is of no call of a balanced transport, or of a stream whose answer had begun.
 */
export function callAttempts(error: unknown): number | undefined {
  return typeof error === "object" && error !== null ? attempts.get(error) : undefined;
}
