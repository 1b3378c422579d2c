// What a transport that picks endpoints tells Connect of a call, before one is picked: its deadline, its signal, what interceptors see.

import type { DescMethod } from "@bufbuild/protobuf";
import { type ContextValues, createContextValues, type Interceptor } from "@connectrpc/connect";
import { createMethodUrl } from "@connectrpc/connect/protocol";
import type { Clock } from "../core/clock.ts";

/** When a call must be over. */
export interface Deadline {
  /** From the call's start, in milliseconds. */
  readonly timeoutMs: number;
  /** From now, in milliseconds, at least 1: what an attempt tells its server. */
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

/** The call's own part of what `runUnaryCall` and `runStreamingCall` take. */
export interface PreparedCall {
  readonly deadline: Deadline | undefined;
  readonly run: { interceptors: Interceptor[]; signal?: AbortSignal; timeoutMs?: number };
  readonly request: {
    service: DescMethod["parent"];
    requestMethod: string;
    url: string;
    header: Headers;
    contextValues: ContextValues;
  };
}

/** The URL that interceptors see: the endpoint is not known before the pick. The name is reserved by RFC 6761 section 6.4. */
const placeholderUrl = "http://balanced.invalid";

/** What both kinds of calls tell Connect. */
export function prepareCall(call: CallArguments, defaults: CallDefaults): PreparedCall {
  const { method, signal, timeoutMs, header, contextValues } = call;
  const deadline = deadlineOf(timeoutMs ?? defaults.defaultTimeoutMs, defaults.clock);
  return {
    deadline,
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

/** As in Connect, a timeout of 0 or less means none. */
function deadlineOf(timeoutMs: number | undefined, clock: Clock): Deadline | undefined {
  if (timeoutMs === undefined || timeoutMs <= 0) return undefined;
  const atMs = clock.now() + timeoutMs;
  // A clock that was set back must not lengthen it.
  return { timeoutMs, remainingMs: () => Math.min(timeoutMs, Math.max(1, Math.ceil(atMs - clock.now()))) };
}
