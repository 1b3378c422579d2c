// One HTTP exchange: fetch, the whole body, within a time limit, until aborted. Knows nothing of Consul.

import type { Clock } from "../core/clock.ts";
import type { ConsulFetch } from "./client-options.ts";

/** How an exchange ended. */
export type Outcome =
  | { readonly type: "answered"; readonly status: number; readonly headers: Headers; readonly text: string }
  | { readonly type: "failed"; readonly error: unknown }
  | { readonly type: "timeout" }
  | { readonly type: "aborted" };

/** What bounds an exchange. */
export interface ExchangeLimits {
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** Not aborted yet: an abort that came earlier fires no event. */
  readonly signal: AbortSignal | undefined;
}

/**
 * Fetches and reads the whole body. Settles on abort and timeout by itself, should the fetch not heed its signal; leaves no timer
 * and no listener. Never rejects.
 */
export function exchange(fetch: ConsulFetch, url: string, init: RequestInit, limits: ExchangeLimits): Promise<Outcome> {
  const { clock, timeoutMs, signal } = limits;
  return new Promise((resolve) => {
    const controller = new AbortController();
    const settle = (outcome: Outcome) => {
      cancelTimer();
      signal?.removeEventListener("abort", onAbort);
      resolve(outcome);
    };
    const onAbort = () => {
      settle({ type: "aborted" });
      controller.abort(signal?.reason);
    };
    const cancelTimer = clock.schedule(timeoutMs, () => {
      settle({ type: "timeout" });
      controller.abort();
    });
    signal?.addEventListener("abort", onAbort, { once: true });
    const read = async (): Promise<Outcome> => {
      const response = await fetch(url, { ...init, signal: controller.signal });
      return { type: "answered", status: response.status, headers: response.headers, text: await response.text() };
    };
    read().then(settle, (error: unknown) => settle({ type: "failed", error }));
  });
}
