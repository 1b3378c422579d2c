// Asks a token function, and waits for its answer where that is a promise: no longer than the request may take. Never keeps a token.

import type { Clock } from "../core/clock.ts";
import type { AgentOptions } from "./client-options.ts";

/** What bounds the wait. */
export interface TokenLimits {
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

/**
 * The token, at once where it is known at once. Throws what the function throws; rejects with what its promise rejects with, with the
 * signal's reason, or with an Error where it takes longer than the limit. `action` completes "Cannot ...".
 */
export function tokenWithin(
  token: AgentOptions["token"],
  action: string,
  { clock, timeoutMs, signal }: TokenLimits,
): string | undefined | Promise<string | undefined> {
  const given = token();
  if (!(given instanceof Promise)) return given;
  return new Promise((resolve, reject) => {
    const finish = () => {
      cancel();
      signal?.removeEventListener("abort", onAbort);
    };
    const onAbort = () => {
      finish();
      reject(signal?.reason);
    };
    const cancel = clock.schedule(timeoutMs, () => {
      finish();
      reject(new Error(`Cannot ${action} as the token function gave no token within ${timeoutMs} ms`));
    });
    given.then(resolve, reject).finally(finish);
    if (signal?.aborted) onAbort();
    else signal?.addEventListener("abort", onAbort, { once: true });
  });
}
