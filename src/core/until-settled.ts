// Waiting for a promise no longer than one cares. Leaves no timer and no listener, and ends nobody's work.

import { getAbortSignalReason } from "@connectrpc/connect/protocol";
import type { Clock } from "./clock.ts";

/** Settles as `promise` does, or rejects with the signal's reason as soon as it aborts. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | null | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(getAbortSignalReason(signal));
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

/** Resolves with true once `promise` has settled, with false after `delayMs` (undefined: never). Rejects with the reason of the signal, if there is one, when it aborts. */
export async function settledWithin(
  promise: Promise<unknown>,
  delayMs: number | undefined,
  clock: Clock,
  signal?: AbortSignal,
): Promise<boolean> {
  let cancel = () => {};
  const settled = promise.then(
    () => true,
    () => true,
  );
  const late =
    delayMs === undefined
      ? settled
      : new Promise<boolean>((resolve) => {
          cancel = clock.schedule(delayMs, () => resolve(false));
        });
  try {
    return await unlessAborted(Promise.race([settled, late]), signal);
  } finally {
    cancel();
  }
}
