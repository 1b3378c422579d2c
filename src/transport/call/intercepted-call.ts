// A call with the user's interceptors around it, as Connect runs them: outermost first, once a call, with one signal and one deadline for
// all of it. Each `next` of the innermost places the call anew.

import {
  create,
  type DescMessage,
  type DescMethodStreaming,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import {
  ConnectError,
  type ContextValues,
  createContextValues,
  type Interceptor,
  type StreamResponse,
  type UnaryRequest,
  type UnaryResponse,
} from "@connectrpc/connect";
import { runStreamingCall } from "@connectrpc/connect/protocol";
import { placeholderUrl } from "./call-bounds.ts";
import { CallScope } from "./call-scope.ts";
import type { Placement } from "./placement.ts";
import { headersInit, requestHeaders } from "./request-headers.ts";
import { StreamSending } from "./sendings.ts";
import { tellOfEnd } from "./streams.ts";

/** What the caller asked for, but for the messages. */
export interface CallSettings {
  readonly signal: AbortSignal | undefined;
  readonly timeoutMs: number | undefined;
  readonly header: HeadersInit | undefined;
  readonly contextValues: ContextValues | undefined;
}

/** Makes a unary call through `interceptors`. */
export function interceptUnary<I extends DescMessage, O extends DescMessage>(
  placement: Placement,
  interceptors: readonly Interceptor[],
  method: DescMethodUnary<I, O>,
  message: MessageInitShape<I>,
  settings: CallSettings,
): Promise<UnaryResponse<I, O>> {
  const scope = new CallScope(placement, settings.signal, settings.timeoutMs);
  return scope.run(() => {
    const first = new InterceptedRequest<I, O>(scope, method, create(method.input, message), settings);
    const next = (request: UnaryRequest<I, O>): Promise<UnaryResponse<I, O>> => {
      // The request is not asked for its own signal: that would make one.
      const signal = request === first ? scope.givenSignal : request.signal;
      const { method, header, message, contextValues } = request;
      scope.fate.asked();
      try {
        return placement.unary(method, signal, undefined, headersInit(header), message, contextValues, scope);
      } catch (error) {
        return Promise.reject(ConnectError.from(error));
      }
    };
    return applyInterceptors(next, interceptors)(first);
  }, endScope);
}

/** Makes a streaming call through `interceptors`. */
export function interceptStream<I extends DescMessage, O extends DescMessage>(
  placement: Placement,
  interceptors: readonly Interceptor[],
  method: DescMethodStreaming<I, O>,
  messages: AsyncIterable<MessageInitShape<I>>,
  settings: CallSettings,
): Promise<StreamResponse<I, O>> {
  const scope = new CallScope(placement, settings.signal, settings.timeoutMs);
  return scope.run(async () => {
    const response = await runStreamingCall<I, O>({
      interceptors: [...interceptors],
      signal: scope.signal,
      req: {
        stream: true,
        service: method.parent,
        method,
        requestMethod: "POST",
        url: urlOf(method),
        header: requestHeaders(settings.header),
        contextValues: settings.contextValues ?? createContextValues(),
        message: messages,
      },
      next: ({ method, signal, header, message, contextValues }) => {
        scope.fate.asked();
        const requests = withoutEnd(message);
        const sending = new StreamSending<I, O>(placement, method, headersInit(header), requests, contextValues);
        return placement.stream(sending, signal, undefined, scope);
      },
    });
    return Object.assign(response, { message: tellOfEnd(response.message, scope) });
  }, keepScope);
}

/** A unary call is over with its answer; a stream when it was read. */
const endScope = (scope: CallScope): void => scope.end();
const keepScope = (): void => {};

/** Where a request keeps its call; not a private field, so that requests can be wrapped in proxies. */
const scopeOf: unique symbol = Symbol("scope");

/** What interceptors see. Its signal is made when one looks; a copy by spreading it is whole. */
class InterceptedRequest<I extends DescMessage, O extends DescMessage> implements UnaryRequest<I, O> {
  readonly stream = false;
  readonly service: DescMethodUnary<I, O>["parent"];
  readonly requestMethod = "POST";
  readonly url: string;
  readonly header: Headers;
  readonly contextValues: ContextValues;
  readonly message: MessageShape<I>;
  readonly method: DescMethodUnary<I, O>;
  declare readonly signal: AbortSignal;
  readonly [scopeOf]: CallScope;

  constructor(scope: CallScope, method: DescMethodUnary<I, O>, message: MessageShape<I>, settings: CallSettings) {
    this.service = method.parent;
    this.url = urlOf(method);
    this.header = requestHeaders(settings.header);
    this.contextValues = settings.contextValues ?? createContextValues();
    this.message = message;
    this.method = method;
    this[scopeOf] = scope;
    Object.defineProperty(this, "signal", lazySignal);
  }
}

/** One for all requests, so that they keep one shape. */
const lazySignal: PropertyDescriptor & ThisType<{ readonly [scopeOf]: CallScope }> = {
  get() {
    return this[scopeOf].givenSignal ?? this[scopeOf].shownSignal;
  },
  set(signal) {
    this[scopeOf].givenSignal = signal;
  },
  enumerable: true,
  configurable: true,
};

/** The endpoint is not known before the pick. */
function urlOf({ parent, name }: DescMethodUnary | DescMethodStreaming): string {
  return `${placeholderUrl}/${parent.typeName}/${name}`;
}

function applyInterceptors<Fn>(next: Fn, interceptors: readonly Interceptor[]): Fn {
  // An interceptor takes any call and is asked to return the same kind; its type cannot say so.
  let call = next as Parameters<Interceptor>[0];
  for (let i = interceptors.length - 1; i >= 0; i--) call = interceptors[i]?.(call) ?? call;
  return call as Fn;
}

/** Connect ends the messages of a call itself, through its interceptors. */
function withoutEnd<T>(messages: AsyncIterable<T>): AsyncIterable<T> {
  let iterator: AsyncIterator<T> | undefined;
  return {
    [Symbol.asyncIterator]: () => ({
      next() {
        iterator ??= messages[Symbol.asyncIterator]();
        return iterator.next();
      },
    }),
  };
}
