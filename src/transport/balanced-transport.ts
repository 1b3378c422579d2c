// Connect's Transport over many endpoints: every call is picked anew, sent on that endpoint's connection, and sent elsewhere
// where the first did not process it. Knows no network: endpoints come from a Resolver, connections from a Connector.

import { ConnectError, type Interceptor, type Transport } from "@connectrpc/connect";
import type { NewPicker } from "../balancer/picker.ts";
import { roundRobin } from "../balancer/round-robin.ts";
import { type BackoffOptions, createBackoff } from "../core/backoff.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { deadlineQueueOf } from "../core/deadline-queue.ts";
import { describeValue } from "../core/describe-value.ts";
import { type Logger, silentLogger } from "../core/logger.ts";
import { type Random, systemRandom } from "../core/random.ts";
import { emptyGraceMs } from "../resolver/empty-grace.ts";
import type { Resolver } from "../resolver/resolver.ts";
import { checkDefaultTimeout, timeoutOf } from "./call/call-bounds.ts";
import { interceptStream, interceptUnary } from "./call/intercepted-call.ts";
import { Placement } from "./call/placement.ts";
import { StreamSending } from "./call/sendings.ts";
import type { Connector } from "./connector.ts";
import { ConnectionPool } from "./pool/connection-pool.ts";
import { resolveShrinkHold, type ShrinkHoldOptions } from "./pool/endpoint-belief.ts";
import { type ReadinessOptions, resolveReadiness } from "./pool/readiness-options.ts";
import type { TransportStatus } from "./pool/transport-status.ts";
import { defaultReplayBytes } from "./retry/replay-buffer.ts";
import { configFirst } from "./service-config/config-first.ts";
import { type GivenServiceConfig, ServiceConfigHolder } from "./service-config/service-config-holder.ts";

/** How a balanced transport behaves, whatever its resolver and connector. */
export interface BalancingOptions extends ReadinessOptions {
  /** Balancing policy. Default: strict round-robin. */
  readonly balancer?: NewPicker;
  /** Interceptors around every call, outermost first. They run once a call, before an endpoint is picked. */
  readonly interceptors?: readonly Interceptor[];
  /** gRPC's service config: an object, its JSON as text, or a source that is followed, whose first answer the first calls wait for, at most 1 s beyond the resolver's. See docs/service-config.md. Default: none. */
  readonly serviceConfig?: GivenServiceConfig;
  /** Deadline in milliseconds of calls that name none, at most 2147483647. Default: no deadline. */
  readonly defaultTimeoutMs?: number;
  /**
   * Whether calls wait while no endpoint is ready, within their deadline, or `waitTimeoutMs` where they have none. With `false` they fail at once where no
   * endpoint is known, where none can be connected to, and where all that are ready have refused them; a service config may say so of a method,
   * and the context value `waitForReady` of a call. Default true.
   */
  readonly waitForReady?: boolean;
  /** How long a call without a deadline waits for something to go to, in milliseconds. Default 10000. */
  readonly waitTimeoutMs?: number;
  /** Most calls that wait for an endpoint at a time, at least 0; others fail with `resource_exhausted`. Default 10000. */
  readonly maxPendingCalls?: number;
  /** Most bytes that the messages of waiting unary calls have together, encoded, at least 0; others fail with `resource_exhausted`. Default 64 MiB. */
  readonly maxPendingBytes?: number;
  /**
   * Whether methods that their proto marks `NO_SIDE_EFFECTS` or `IDEMPOTENT` are tried up to five times where they fail with `unavailable`,
   * with delays of 20 ms (x 2, up to 1 s), as long as no more than a tenth of the calls fail so. `false` leaves it to the service config.
   * Calls that were not processed are sent elsewhere either way. Default true.
   */
  readonly retry?: boolean;
  /**
   * Most bytes of a stream's messages that are kept until it is answered, so that it can be made again; one that sends more is not. At least 0;
   * streams of a transport share 16 MiB, and those whose method may not run twice have 64 KiB at most. Default 1 MiB.
   */
  readonly retryBufferBytes?: number;
  /** How long the first calls wait for slower endpoints once one is ready, so that the first round is a whole one. In milliseconds, default 100. */
  readonly settleMs?: number;
  /** How long an empty answer is not believed while connections work, in milliseconds. Default 90000: longer than an agent that restarted needs to hear from all its services. */
  readonly emptyGraceMs?: number;
  /** How answers are met that lack many of the endpoints in use at once; `false` believes them. Default: one that lacks more than half is not believed for `emptyGraceMs`, of those whose connections work. */
  readonly shrinkHold?: ShrinkHoldOptions | false;
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
   * What it knows and does now: the list of endpoints and how old that is, each endpoint's connection, and what a call would wait for. Plain
   * data, fit for JSON; opens nothing, and may be asked at any time, after `close()` too.
   */
  status(): TransportStatus;
  /**
   * Takes no new calls (they fail with `canceled`, and so do those that still wait for an endpoint), lets calls in flight finish for at most
   * `closeGraceMs`, then closes every connection and lets the resolver go. Idempotent: returns the same promise.
   */
  close(): Promise<void>;
  /** The same as `close()`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Creates a transport over the endpoints of `resolver`. Throws RangeError or TypeError on bad options, ServiceConfigError on a bad `serviceConfig`. */
export function createBalancedTransport(options: BalancedTransportOptions): BalancedTransport {
  const resolved = resolveOptions(options);
  const { clock } = resolved;
  const pool = new ConnectionPool(resolved);
  const deadlines = deadlineQueueOf(clock);
  const placement = new Placement({ ...resolved, pool, deadlines });
  const { interceptors, defaultTimeoutMs, serviceConfig } = resolved;
  let closing: Promise<void> | undefined;
  serviceConfig.onChange(() => pool.configure(resolveReadiness(options, serviceConfig.current)));

  const close = (): Promise<void> =>
    (closing ??= pool.close(resolved.closeGraceMs).finally(() => {
      deadlines.rest();
    }));

  return {
    // Not one promise more than it takes: what a call costs here comes on top of what it costs on a connection.
    unary(method, signal, timeoutMs, header, message, contextValues) {
      try {
        const limitMs = timeoutOf(timeoutMs, method, defaultTimeoutMs, serviceConfig.policyOf(method)?.timeoutMs);
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
        const limitMs = timeoutOf(timeoutMs, method, defaultTimeoutMs, serviceConfig.policyOf(method)?.timeoutMs);
        if (interceptors.length > 0) {
          const settings = { signal, timeoutMs: limitMs, header, contextValues };
          return interceptStream(placement, interceptors, method, input, settings);
        }
        const sending = new StreamSending(placement, method, header, input, contextValues);
        return placement.stream(sending, signal, limitMs, undefined);
      } catch (error) {
        return Promise.reject(ConnectError.from(error));
      }
    },
    status: () => pool.status(placement),
    close,
    [Symbol.asyncDispose]: close,
  };
}

function resolveOptions(options: BalancedTransportOptions) {
  const clock = options.clock ?? systemClock;
  const logger = options.logger ?? silentLogger;
  const serviceConfig = new ServiceConfigHolder(options.serviceConfig, logger);
  const resolved = {
    serviceConfig,
    resolver: configFirst(options.resolver, serviceConfig, clock),
    connector: options.connector,
    balancer: options.balancer ?? roundRobin,
    interceptors: options.interceptors ?? [],
    defaultTimeoutMs: options.defaultTimeoutMs,
    waitForReady: options.waitForReady ?? true,
    waitTimeoutMs: options.waitTimeoutMs ?? 10_000,
    maxPendingCalls: options.maxPendingCalls ?? 10_000,
    maxPendingBytes: options.maxPendingBytes ?? 64 * 1024 * 1024,
    retry: options.retry ?? true,
    retryBufferBytes: options.retryBufferBytes ?? defaultReplayBytes,
    random: options.random ?? systemRandom,
    settleMs: options.settleMs ?? 100,
    emptyGraceMs: options.emptyGraceMs ?? emptyGraceMs,
    closeGraceMs: options.closeGraceMs ?? 10_000,
    backoff: { random: options.random ?? systemRandom, ...options.backoff },
    clock,
    logger,
  };
  for (const name of [
    "waitTimeoutMs",
    "settleMs",
    "emptyGraceMs",
    "closeGraceMs",
    "maxPendingCalls",
    "maxPendingBytes",
    "retryBufferBytes",
  ] as const) {
    if (typeof resolved[name] !== "number" || !(resolved[name] >= 0)) {
      throw new RangeError(`Cannot create transport as "${name}" must be >= 0: received ${resolved[name]}`);
    }
  }
  for (const name of ["waitForReady", "retry"] as const) {
    if (typeof resolved[name] === "boolean") continue;
    throw new TypeError(
      `Cannot create transport as "${name}" must be true or false: received ${describeValue(resolved[name])}`,
    );
  }
  const shrinkHold = resolveShrinkHold(options.shrinkHold, resolved.emptyGraceMs);
  checkDefaultTimeout(resolved.defaultTimeoutMs);
  // Throws for delays outside their range, before anything connects.
  createBackoff(resolved.backoff);
  return { ...resolved, shrinkHold, ...resolveReadiness(options, serviceConfig.current) };
}
