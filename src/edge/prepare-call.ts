// What a transport of the edge tells Connect of a call, before an endpoint is picked: its deadline, its signal, what interceptors see. And what
// it tells the caller where the deadline passed before there was anything to pick.

import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError, type ContextValues, createContextValues, type Interceptor } from "@connectrpc/connect";
import { createMethodUrl } from "@connectrpc/connect/protocol";
import type { Clock } from "../core/clock.ts";
import { placeholderUrl, timeoutOf } from "../transport/call/call-bounds.ts";

/** When a call must be over. */
export interface Deadline {
  /** From the call's start, in milliseconds, at most 2147483647. */
  readonly timeoutMs: number;
  /** From now, in whole milliseconds from 1 to 2147483647: what an attempt tells its server. */
  remainingMs(): number;
}

/** A call, as the arguments of a Transport's methods have it. */
export interface CallArguments {
  readonly method: DescMethod;
  readonly signal: AbortSignal | undefined;
  readonly timeoutMs: number | undefined;
  readonly header: HeadersInit | undefined;
  readonly contextValues: ContextValues | undefined;
}

/** What the transport adds. */
export interface CallDefaults {
  readonly interceptors: readonly Interceptor[];
  readonly defaultTimeoutMs: number | undefined;
  readonly clock: Clock;
}

/** One call, and its own part of what `runUnaryCall` and `runStreamingCall` take. */
export interface PreparedCall {
  readonly method: DescMethod;
  readonly deadline: Deadline | undefined;
  /** Whether it waits until there is something to pick, and for nothing else. The transport's to set. */
  isWaiting: boolean;
  readonly run: { interceptors: Interceptor[]; signal?: AbortSignal; timeoutMs?: number };
  readonly request: {
    service: DescMethod["parent"];
    requestMethod: string;
    url: string;
    header: Headers;
    contextValues: ContextValues;
  };
}

/** What both kinds of calls tell Connect. Throws ConnectError, `invalid_argument`, for a `timeoutMs` that is no number. */
export function prepareCall(call: CallArguments, defaults: CallDefaults): PreparedCall {
  const { method, signal, timeoutMs, header, contextValues } = call;
  const deadline = deadlineOf(timeoutOf(timeoutMs, method, defaults.defaultTimeoutMs), defaults.clock);
  return {
    method,
    deadline,
    isWaiting: false,
    run: {
      interceptors: [...defaults.interceptors],
      ...(signal === undefined ? {} : { signal }),
      ...(deadline === undefined ? {} : { timeoutMs: deadline.timeoutMs }),
    },
    request: {
      service: method.parent,
      requestMethod: "POST",
      url: createMethodUrl(placeholderUrl, method),
      header: new Headers(header),
      contextValues: contextValues ?? createContextValues(),
    },
  };
}

/** Throws the call's error: that of a deadline which passed while the call was waiting says what for. */
export function explainDeadline(error: unknown, { isWaiting }: PreparedCall, describeWait: () => string): never {
  const told = ConnectError.from(error);
  if (!isWaiting || told.code !== Code.DeadlineExceeded) throw told;
  throw new ConnectError(`${told.rawMessage} ${describeWait()}`, told.code, undefined, undefined, error);
}

function deadlineOf(timeoutMs: number | undefined, clock: Clock): Deadline | undefined {
  if (timeoutMs === undefined) return undefined;
  const atMs = clock.now() + timeoutMs;
  // A clock that was set back must not lengthen it.
  return { timeoutMs, remainingMs: () => Math.ceil(Math.min(timeoutMs, Math.max(1, atMs - clock.now()))) };
}
