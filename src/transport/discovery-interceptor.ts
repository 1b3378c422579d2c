// Discovery for transports that lictor did not make: an interceptor that picks an endpoint a call and rewrites the request's URL to it.
// Opens no connection and sees none: every endpoint of the resolver counts as ready, and nothing is sent twice.

import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { getAbortSignalReason } from "@connectrpc/connect/protocol";
import type { NewPicker, Picker } from "../balancer/picker.ts";
import { roundRobin } from "../balancer/round-robin.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import type { Resolver } from "../resolver/resolver.ts";
import { onceStreamEnds } from "./call/streams.ts";
import { describeError } from "./describe-error.ts";

/** What the interceptor needs. */
export interface DiscoveryInterceptorOptions {
  /** Where endpoints come from. */
  readonly resolver: Resolver;
  /** Balancing policy. Default: strict round-robin. */
  readonly balancer?: NewPicker;
  /** How long a call waits for the resolver's first answer, in milliseconds, beside its own deadline. Default 10000. */
  readonly waitTimeoutMs?: number;
  readonly clock?: Clock;
}

/** An interceptor that follows a resolver from its first call until it is closed. */
export interface DiscoveryInterceptor extends Interceptor {
  /** Lets the resolver go; later calls fail with `canceled`. Idempotent. */
  close(): Promise<void>;
  /** The same as `close()`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Creates an interceptor that sends each call to an endpoint of its own. For transports that follow the request's URL: those over fetch,
 * over HTTP/1.1, and connect-node's over HTTP/2 with one session an origin (see `createPerOriginSessions`). A connect-node HTTP/2 transport with its
 * one session refuses every other origin: the first call then fails with `failed_precondition` and says so.
 * Put it last in the transport's list of interceptors, so that others see the URL it came with.
 */
export function discoveryInterceptor(options: DiscoveryInterceptorOptions): DiscoveryInterceptor {
  const { resolver, balancer = roundRobin, waitTimeoutMs = 10_000, clock = systemClock } = options;
  if (!(waitTimeoutMs >= 0)) {
    throw new RangeError(`Cannot create interceptor as "waitTimeoutMs" must be >= 0: received ${waitTimeoutMs}`);
  }
  let picker: Picker | undefined;
  let whyEmpty: string | undefined;
  let lastError: unknown;
  let unsubscribe: (() => void) | undefined;
  let isClosed = false;
  const waiters = new Set<() => void>();
  const wake = () => {
    for (const waiter of [...waiters]) waiter();
  };

  const follow = () => {
    unsubscribe ??= resolver.subscribe({
      onSnapshot(snapshot) {
        picker = balancer(snapshot.endpoints, picker);
        whyEmpty = snapshot.whyEmpty;
        wake();
      },
      onError(error) {
        lastError = error;
      },
    });
  };

  /** Waits for the first answer, or for `close()`. */
  const firstAnswer = (signal: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(getAbortSignalReason(signal));
        return;
      }
      const settle = (act: () => void) => {
        waiters.delete(onAnswer);
        cancel();
        signal.removeEventListener("abort", onAbort);
        act();
      };
      const onAnswer = () => settle(resolve);
      const onAbort = () => settle(() => reject(getAbortSignalReason(signal)));
      const cancel = clock.schedule(waitTimeoutMs, () => {
        const because = lastError === undefined ? "" : `: ${describeError(lastError)}`;
        const message = `gave up waiting for the first answer about ${resolver.description}${because}`;
        settle(() => reject(new ConnectError(message, Code.Unavailable, undefined, undefined, lastError)));
      });
      waiters.add(onAnswer);
      signal.addEventListener("abort", onAbort, { once: true });
    });

  const interceptor: Interceptor = (next) => async (request) => {
    if (!isClosed) follow();
    if (!isClosed && picker === undefined) await firstAnswer(request.signal);
    if (isClosed || picker === undefined) throw new ConnectError("the discovery interceptor is closed", Code.Canceled);
    const picked = picker.pick();
    if (picked === undefined) {
      const why = whyEmpty === undefined ? "" : `: ${whyEmpty}`;
      throw new ConnectError(`no instance to call: ${resolver.description} lists none${why}`, Code.Unavailable);
    }
    const startMs = clock.now();
    const done = (error?: unknown) =>
      picked.done({ latencyMs: clock.now() - startMs, ...(error === undefined ? {} : { error }) });
    const { pathname, search } = new URL(request.url);
    const path = `/${pathname.split("/").slice(-2).join("/")}`;
    try {
      const response = await next({ ...request, url: picked.endpoint.url + path + search });
      if (!response.stream) {
        done();
        return response;
      }
      return { ...response, message: onceStreamEnds(response.message, request.signal, done) };
    } catch (error) {
      done(error);
      throw explainOneSession(error);
    }
  };

  const close = async (): Promise<void> => {
    isClosed = true;
    unsubscribe?.();
    wake();
  };
  return Object.assign(interceptor, { close, [Symbol.asyncDispose]: close });
}

/** connect-node's HTTP/2 client has one session, for the base URL's origin only, and says so in prose alone. */
function explainOneSession(error: unknown): unknown {
  if (!(error instanceof ConnectError) || !/http2 session is connected to/.test(error.rawMessage)) return error;
  return new ConnectError(
    `this transport keeps one HTTP/2 session and follows no other origin: use createConsulTransport, or a transport with one session an origin (createPerOriginSessions): ${error.rawMessage}`,
    Code.FailedPrecondition,
    undefined,
    undefined,
    error,
  );
}
