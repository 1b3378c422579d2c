// Which retry policy a call has: its service config's, or the one that its method's promise allows. Counts nothing.

import type { DescMethod } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import type { MethodPolicy, RetryPolicy } from "../service-config/service-config.ts";

/** Most attempts a call has, whatever a policy says: gRFC A6, "Limits on Retries and Hedges". */
export const mostAttempts = 5;

/**
 * For methods whose proto says that they may run twice. The throttle bounds what it adds to an outage; the delays are short, as the next attempt
 * goes elsewhere where there is an elsewhere.
 */
const idempotentPolicy: RetryPolicy = {
  maxAttempts: mostAttempts,
  initialBackoffMs: 20,
  maxBackoffMs: 1000,
  backoffMultiplier: 2,
  retryableCodes: new Set([Code.Unavailable]),
  perAttemptTimeoutMs: undefined,
};

/**
 * The retry policy of a method, undefined where its calls are sent again only if they were not processed. An entry of the service config that
 * names no retries leaves the default; `isOn` false switches that off, not what a service config asks for.
 * https://protobuf.dev/reference/protobuf/google.protobuf/#idempotency-level has what a method may promise.
 */
export function retryPolicyOf(
  method: DescMethod,
  configured: MethodPolicy | undefined,
  isOn: boolean,
): RetryPolicy | undefined {
  if (configured?.retry !== undefined) return configured.retry;
  if (!isOn || configured?.hedging !== undefined) return undefined;
  return method.idempotency === MethodOptions_IdempotencyLevel.IDEMPOTENCY_UNKNOWN ? undefined : idempotentPolicy;
}
