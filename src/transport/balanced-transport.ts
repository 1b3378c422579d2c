// Connect's Transport over many endpoints: every call is picked anew, sent on that endpoint's connection, and sent elsewhere
// where the first did not process it. Knows no network: endpoints come from a Resolver, connections from a Connector.

import { Code, ConnectError, type Interceptor, type Transport } from "@connectrpc/connect";
import { getAbortSignalReason, runStreamingCall, runUnaryCall } from "@connectrpc/connect/protocol";
import type { NewPicker } from "../balancer/picker.ts";
import { roundRobin } from "../balancer/round-robin.ts";
import { type BackoffOptions, createBackoff } from "../core/backoff.ts";
import { callFate, markUnprocessed } from "../core/call-fate.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { type Logger, silentLogger } from "../core/logger.ts";
import { type Random, systemRandom } from "../core/random.ts";
import { emptyGraceMs } from "../resolver/empty-grace.ts";
import type { Resolver } from "../resolver/resolver.ts";
import { ConnectionPool } from "./connection-pool.ts";
import type { Connector } from "./connector.ts";
import { describeError } from "./describe-error.ts";
import { checkDefaultTimeout, explainDeadline, type PreparedCall, prepareCall } from "./prepare-call.ts";
import { onceStreamEnds, unlessRead } from "./streams.ts";

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
  const { clock, resolver } = resolved;
  const pool = new ConnectionPool(resolved);
  let closing: Promise<void> | undefined;

  /** Waits until the pool's state changes. Rejects with the signal's reason, or with `unavailable` at `untilMs`. */
  function change(signal: AbortSignal, untilMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (act: () => void) => {
        stopWaiting();
        cancelTimer();
        signal.removeEventListener("abort", onAbort);
        act();
      };
      const onAbort = () => settle(() => reject(getAbortSignalReason(signal)));
      const stopWaiting = pool.onceChanged(() => settle(resolve));
      const cancelTimer = clock.schedule(untilMs - clock.now(), () =>
        settle(() => reject(new ConnectError(`gave up ${describeWait()}`, Code.Unavailable))),
      );
      signal.addEventListener("abort", onAbort, { once: true });
    });
  }

  function describeWait(): string {
    const { state } = pool;
    if (state.type === "unresolved") {
      const because = state.error === undefined ? "" : `: ${describeError(state.error)}`;
      return `waiting for the first answer about ${resolver.description}${because}`;
    }
    return `waiting for a connection to ${resolver.description}`;
  }

  /** Runs `attempt` on a picked connection, and again on others as long as attempts end unprocessed. */
  async function tryEndpoints<R>(
    call: PreparedCall,
    signal: AbortSignal,
    attempt: (transport: Transport, done: (error?: unknown) => void) => Promise<R>,
    mayRepeat: () => boolean,
  ): Promise<R> {
    pool.start();
    const waitUntilMs = call.deadline === undefined ? clock.now() + resolved.waitTimeoutMs : Number.POSITIVE_INFINITY;
    const tried = new Set<string>();
    let lastError: ConnectError | undefined;
    for (;;) {
      if (signal.aborted) throw getAbortSignalReason(signal);
      const { state } = pool;
      switch (state.type) {
        case "closed":
          throw new ConnectError("the transport is closed", Code.Canceled);
        case "empty":
          throw (
            lastError ?? new ConnectError(`no instance to call: ${resolver.description} lists none`, Code.Unavailable)
          );
        case "failing":
          throw (
            lastError ??
            markUnprocessed(
              new ConnectError(
                `cannot connect to ${state.count === 1 ? "the one instance" : `any of the ${state.count} instances`} of ${resolver.description}: ${describeError(state.error)}`,
                Code.Unavailable,
                undefined,
                undefined,
                state.error,
              ),
            )
          );
        case "unresolved":
        case "connecting":
          call.isWaiting = true;
          await change(signal, waitUntilMs);
          call.isWaiting = false;
          continue;
        case "ready":
          break;
        default:
          state satisfies never;
      }
      const picked = state.picker.pick(tried);
      // Every ready endpoint has refused this call.
      if (picked === undefined)
        throw lastError ?? new ConnectError("the balancer picked no endpoint", Code.Unavailable);
      const startMs = clock.now();
      const done = (error?: unknown) =>
        picked.done({ latencyMs: clock.now() - startMs, ...(error === undefined ? {} : { error }) });
      // So they have for a picker that does not heed what it must not pick.
      if (lastError !== undefined && tried.has(picked.endpoint.id)) {
        done(lastError);
        throw lastError;
      }
      tried.add(picked.endpoint.id);
      const connection = pool.connection(picked.endpoint.id);
      try {
        if (connection === undefined) {
          throw markUnprocessed(
            new ConnectError(`the connection to ${picked.endpoint.url} was lost`, Code.Unavailable),
          );
        }
        return await attempt(connection.transport, done);
      } catch (error) {
        done(error);
        if (callFate(error) !== "unprocessed" || !mayRepeat()) throw error;
        lastError = ConnectError.from(error);
      }
    }
  }

  const close = (): Promise<void> => (closing ??= pool.close(resolved.closeGraceMs));

  return {
    async unary(method, signal, timeoutMs, header, message, contextValues) {
      const call = prepareCall({ method, signal, timeoutMs, header, contextValues }, resolved);
      return runUnaryCall({
        ...call.run,
        req: { ...call.request, stream: false, method, message },
        next: (req) =>
          tryEndpoints(
            call,
            req.signal,
            async (transport, done) => {
              const remainingMs = call.deadline?.remainingMs();
              const { method, signal, header, message, contextValues } = req;
              const response = await transport.unary(method, signal, remainingMs, header, message, contextValues);
              done();
              return response;
            },
            () => true,
          ),
      }).catch((error) => explainDeadline(error, call, describeWait));
    },
    async stream(method, signal, timeoutMs, header, input, contextValues) {
      const call = prepareCall({ method, signal, timeoutMs, header, contextValues }, resolved);
      return runStreamingCall({
        ...call.run,
        req: { ...call.request, stream: true, method, message: input },
        next: (req) => {
          const messages = unlessRead(req.message);
          return tryEndpoints(
            call,
            req.signal,
            async (transport, done) => {
              const remainingMs = call.deadline?.remainingMs();
              const { method, signal, header, contextValues } = req;
              const response = await transport.stream(
                method,
                signal,
                remainingMs,
                header,
                messages.iterable,
                contextValues,
              );
              return { ...response, message: onceStreamEnds(response.message, signal, done) };
            },
            // What has been read of the caller's messages cannot be read again.
            () => !messages.wasRead(),
          );
        },
      }).catch((error) => explainDeadline(error, call, describeWait));
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
