// What is the same for every transport that picks endpoints: how long a call may take, and where interceptors think that it goes.

import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { maxTimerMs } from "../../core/clock.ts";

/** The URL that interceptors see: the endpoint is not known before the pick. The name is reserved by RFC 6761 section 6.4. */
export const placeholderUrl = "http://balanced.invalid";

/** Throws RangeError for a `defaultTimeoutMs` that no call can have. */
export function checkDefaultTimeout(timeoutMs: number | undefined): void {
  if (timeoutMs === undefined) return;
  if (typeof timeoutMs === "number" && timeoutMs > 0 && timeoutMs <= maxTimerMs) return;
  throw new RangeError(
    `Cannot create transport as "defaultTimeoutMs" must be > 0 and at most ${maxTimerMs}: received ${timeoutMs}`,
  );
}

/**
 * How long a call may take, at most 2147483647 ms; undefined without a deadline. As in Connect, a timeout of 0 or less means none. A longer
 * one than timers can wait for is the longest that they can. `policyTimeoutMs` is the service config's, > 0: it holds where the call has none
 * or a longer one. Throws ConnectError, `invalid_argument`, for what is no number.
 */
export function timeoutOf(
  askedMs: number | null | undefined,
  method: DescMethod,
  defaultTimeoutMs: number | undefined,
  policyTimeoutMs?: number,
): number | undefined {
  const timeoutMs = askedMs ?? defaultTimeoutMs;
  if (timeoutMs === undefined) return policyTimeoutMs;
  if (typeof timeoutMs !== "number" || Number.isNaN(timeoutMs)) {
    throw new ConnectError(
      `Cannot call ${method.name} as "timeoutMs" must be a number of milliseconds: received ${String(timeoutMs)}`,
      Code.InvalidArgument,
    );
  }
  return timeoutMs > 0 ? Math.min(timeoutMs, policyTimeoutMs ?? maxTimerMs, maxTimerMs) : policyTimeoutMs;
}
