// Connect's Transport over many endpoints: every call is picked anew, sent on that endpoint's connection, and sent elsewhere
// where the first did not process it. Knows no network: endpoints come from a Resolver, connections from a Connector.

import { ConnectError, type Interceptor, type Transport } from "@connectrpc/connect";
import type { NewPicker } from "../balancer/picker.ts";
import { roundRobin } from "../balancer/round-robin.ts";
import { type BackoffOptions, createBackoff } from "../core/backoff.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { deadlineQueueOf } from "../core/deadline-queue.ts";
import { type Logger, silentLogger } from "../core/logger.ts";
import { type Random, systemRandom } from "../core/random.ts";
import { emptyGraceMs } from "../resolver/empty-grace.ts";
import type { Resolver } from "../resolver/resolver.ts";
import { checkDefaultTimeout, timeoutOf } from "./call-bounds.ts";
import { ConnectionPool } from "./connection-pool.ts";
import type { Connector } from "./connector.ts";
import { interceptStream, interceptUnary } from "./intercepted-call.ts";
import { Placement } from "./placement.ts";
import { StreamSending } from "./sendings.ts";

/** How a balanced transport behaves, whatever its resolver and connector. */
export interface BalancingOptions {
  /** Balancing policy. Default: strict round-robin. */
  readonly balancer?: NewPicker;
  /** Interceptors around every call, outermost first. They run once a call, before an endpoint is picked. */
  readonly interceptors?: readonly Interceptor[];
  /** Deadline in milliseconds of calls that name none, at most 2147483647. Default: no deadline. */
  readonly defaultTimeoutMs?: number;
  /** How long a call without a deadline waits for the first answer about endpoints and for a connection, in milliseconds. Default 10000. */
  readonly waitTimeoutMs?: number;
  /** How long the first calls wait for slower endpoints once one is ready, so that the first round is a whole one. In milliseconds, default 100. */
  readonly settleMs?: number;
  /** How long an empty answer is not believed while connections work, in milliseconds. Default 90000: longer than an agent that restarted needs to hear from all its services. */
  readonly emptyGraceMs?: number;
  /** How long `close()` lets calls in flight finish, in milliseconds. Default 10000. */
  readonly closeGraceMs?: number;
  /** Delays between attempts to connect. Default: gRPC's (1 s, x 1.6, up to 2 min). */
  readonly backoff?: BackoffOptions;
  readonly logger?: Logger;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** What a balanced transport is made of. */
export interface BalancedTransportOptions extends BalancingOptions {
  /** Where endpoints come from. */
  readonly resolver: Resolver;
  /** How they are reached. */
  readonly connector: Connector;
}

/** A Transport that owns connections. Opens nothing before the first call. */
export interface BalancedTransport extends Transport {
  /**
   * Takes no new calls (they fail with `canceled`, and so do those that still wait for an endpoint), lets calls in flight finish for at most
   * `closeGraceMs`, then closes every connection and lets the resolver go. Idempotent: returns the same promise.
   */
  close(): Promise<void>;
  /** The same as `close()`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Creates a transport over the endpoints of `resolver`. Throws RangeError on options outside their range. */
export function createBalancedTransport(options: BalancedTransportOptions): BalancedTransport {
  const resolved = resolveOptions(options);
  const { clock } = resolved;
  const pool = new ConnectionPool(resolved);
  const deadlines = deadlineQueueOf(clock);
  const placement = new Placement({ ...resolved, pool, deadlines });
  const { interceptors, defaultTimeoutMs } = resolved;
  let closing: Promise<void> | undefined;

  const close = (): Promise<void> =>
    (closing ??= pool.close(resolved.closeGraceMs).finally(() => {
      deadlines.rest();
    }));

  return {
    // Not one promise more than it takes: what a call costs here comes on top of what it costs on a connection.
    unary(method, signal, timeoutMs, header, message, contextValues) {
      try {
        const limitMs = timeoutOf(timeoutMs, method, defaultTimeoutMs);
        if (interceptors.length > 0) {
          const settings = { signal, timeoutMs: limitMs, header, contextValues };
          return interceptUnary(placement, interceptors, method, message, settings);
        }
        return placement.unary(method, signal, limitMs, header, message, contextValues, undefined);
      } catch (error) {
        return Promise.reject(ConnectError.from(error));
      }
    },
    stream(method, signal, timeoutMs, header, input, contextValues) {
      try {
        const limitMs = timeoutOf(timeoutMs, method, defaultTimeoutMs);
        if (interceptors.length > 0) {
          const settings = { signal, timeoutMs: limitMs, header, contextValues };
          return interceptStream(placement, interceptors, method, input, settings);
        }
        const sending = new StreamSending(placement, method, header, input, contextValues, true);
        return placement.stream(sending, signal, limitMs, undefined);
      } catch (error) {
        return Promise.reject(ConnectError.from(error));
      }
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function resolveOptions(options: BalancedTransportOptions) {
  const resolved = {
    resolver: options.resolver,
    connector: options.connector,
    balancer: options.balancer ?? roundRobin,
    interceptors: options.interceptors ?? [],
    defaultTimeoutMs: options.defaultTimeoutMs,
    waitTimeoutMs: options.waitTimeoutMs ?? 10_000,
    settleMs: options.settleMs ?? 100,
    emptyGraceMs: options.emptyGraceMs ?? emptyGraceMs,
    closeGraceMs: options.closeGraceMs ?? 10_000,
    backoff: { random: options.random ?? systemRandom, ...options.backoff },
    clock: options.clock ?? systemClock,
    logger: options.logger ?? silentLogger,
  };
  for (const name of ["waitTimeoutMs", "settleMs", "emptyGraceMs", "closeGraceMs"] as const) {
    if (typeof resolved[name] !== "number" || !(resolved[name] >= 0)) {
      throw new RangeError(`Cannot create transport as "${name}" must be >= 0: received ${resolved[name]}`);
    }
  }
  checkDefaultTimeout(resolved.defaultTimeoutMs);
  // Throws for delays outside their range, before anything connects.
  createBackoff(resolved.backoff);
  return resolved;
}
