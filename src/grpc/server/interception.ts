// Runs a call through the user's interceptors, which see requests and responses as Connect shapes them. Sends nothing.
// What they mostly do not look at is made when they do; it is there as own properties all the same, so that `{...request}` has it.

import { create, type DescMessage, type DescMethod, type DescService, type Message } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ContextValues,
  type HandlerContext,
  type Interceptor,
  type StreamRequest,
  type StreamResponse,
  type UnaryRequest,
  type UnaryResponse,
} from "@connectrpc/connect";
import type { CallContext } from "./call-context.ts";
import type { ServerCall } from "./server-call.ts";

type Next = Parameters<Interceptor>[0];
type Handler = (request: unknown, context: HandlerContext) => unknown;

/** The answer of a call that streams. */
export interface InterceptedAnswer {
  readonly messages: AsyncIterable<unknown>;
  /** Takes over the trailers; to be called once the last message is there. */
  readonly beforeEnd: () => void;
}

/** Has a unary call answered. Rejects with what a handler or an interceptor throws. */
export async function interceptUnary(call: ServerCall, message: Message): Promise<unknown> {
  const { context } = call;
  const { method, spec, interceptors } = call.shape.route;
  const handler = spec.impl as Handler;
  const last: Next = async (request) => {
    const answer = await handler(request.message, new InterceptedContext(context, request));
    return response(call, false, create(method.output, answer as Message)) as unknown as UnaryResponse;
  };
  const answer = await chain(last, interceptors)(request(call, false, message) as unknown as UnaryRequest);
  adoptHeader(context, answer.header);
  adoptTrailer(context, answer.trailer);
  return answer.message;
}

/** Has a call that streams either way answered. Rejects with what is thrown before there is an answer. */
export async function interceptStream(call: ServerCall, messages: AsyncIterable<Message>): Promise<InterceptedAnswer> {
  const { context } = call;
  const last: Next = async (request) => {
    const answers = await answersOf(call, request as StreamRequest, new InterceptedContext(context, request));
    return response(call, true, answers) as unknown as StreamResponse;
  };
  const sent = request(call, true, messages) as unknown as StreamRequest;
  const answer = (await chain(last, call.shape.route.interceptors)(sent)) as StreamResponse;
  adoptHeader(context, answer.header);
  return { messages: answer.message, beforeEnd: () => adoptTrailer(context, answer.trailer) };
}

/** Calls the handler: it gets one message or many, and gives one or many. */
async function answersOf(
  call: ServerCall,
  { message: messages }: StreamRequest,
  context: HandlerContext,
): Promise<AsyncIterable<Message>> {
  const { method, spec } = call.shape.route;
  const handler = spec.impl as Handler;
  switch (spec.kind) {
    case "server_streaming":
      return whole(method.output, handler(await single(messages), context) as AsyncIterable<unknown>);
    case "client_streaming":
      return singleMessage(create(method.output, (await handler(messages, context)) as Message));
    default:
      return whole(method.output, handler(messages, context) as AsyncIterable<unknown>);
  }
}

function chain(last: Next, interceptors: readonly Interceptor[]): Next {
  let next = last;
  for (let index = interceptors.length - 1; index >= 0; index--) next = interceptors[index]?.(next) ?? next;
  return next;
}

/** Connect's UnaryRequest or StreamRequest. */
function request(call: ServerCall, stream: boolean, message: unknown): object {
  const { context } = call;
  const { method } = call.shape.route;
  return {
    stream,
    service: method.parent,
    method,
    requestMethod: "POST",
    get url() {
      return call.url;
    },
    get signal() {
      return context.signal;
    },
    get header() {
      return context.requestHeader;
    },
    get contextValues() {
      return context.values;
    },
    message,
  };
}

/** Connect's UnaryResponse or StreamResponse. */
function response(call: ServerCall, stream: boolean, message: unknown): object {
  const { context } = call;
  const { method } = call.shape.route;
  return {
    stream,
    service: method.parent,
    method,
    get header() {
      return context.responseHeader;
    },
    get trailer() {
      return context.responseTrailer;
    },
    message,
  };
}

/** An interceptor may answer with headers of its own. */
function adoptHeader(context: CallContext, header: Headers): void {
  if (header !== context.responseHeader) context.adoptHeader(header);
}

function adoptTrailer(context: CallContext, trailer: Headers): void {
  if (trailer !== context.responseTrailer) context.adoptTrailer(trailer);
}

/** A handler's context where interceptors may have put another header, signal or values into the request. */
class InterceptedContext implements HandlerContext {
  readonly #context: CallContext;
  readonly #request: UnaryRequest | StreamRequest;

  constructor(context: CallContext, request: UnaryRequest | StreamRequest) {
    this.#context = context;
    this.#request = request;
  }

  get service(): DescService {
    return this.#request.service;
  }

  get method(): DescMethod {
    return this.#context.method;
  }

  get protocolName(): string {
    return this.#context.protocolName;
  }

  get requestMethod(): string {
    return this.#context.requestMethod;
  }

  get url(): string {
    return this.#context.url;
  }

  get signal(): AbortSignal {
    return this.#request.signal;
  }

  get timeoutMs(): () => number | undefined {
    return this.#context.timeoutMs;
  }

  get requestHeader(): Headers {
    return this.#request.header;
  }

  get responseHeader(): Headers {
    return this.#context.responseHeader;
  }

  get responseTrailer(): Headers {
    return this.#context.responseTrailer;
  }

  get values(): ContextValues {
    return this.#request.contextValues;
  }
}

/** One message as a stream. */
export async function* singleMessage(message: Message): AsyncGenerator<Message> {
  yield message;
}

/** The only message of a stream. */
async function single(messages: AsyncIterable<Message>): Promise<Message> {
  const iterator = messages[Symbol.asyncIterator]();
  const first = await iterator.next();
  if (first.done === true) {
    throw new ConnectError("protocol error: missing input message for server-streaming method", Code.Unimplemented);
  }
  const second = await iterator.next();
  if (second.done !== true) {
    throw new ConnectError(
      "protocol error: received extra input message for server-streaming method",
      Code.Unimplemented,
    );
  }
  return first.value;
}

/** Messages made whole, as interceptors expect them. Hands `return` and `throw` on, where there are such. */
function whole(schema: DescMessage, messages: AsyncIterable<unknown>): AsyncIterable<Message> {
  const complete = (result: IteratorResult<unknown>): IteratorResult<Message> =>
    result.done === true ? result : { done: false, value: create(schema, result.value as Message) };
  return {
    [Symbol.asyncIterator]() {
      const iterator = messages[Symbol.asyncIterator]();
      const wrapped: AsyncIterator<Message> = { next: () => iterator.next().then(complete) };
      const { return: end, throw: fail } = iterator;
      if (end !== undefined) wrapped.return = (value) => end.call(iterator, value).then(complete);
      if (fail !== undefined) wrapped.throw = (error) => fail.call(iterator, error).then(complete);
      return wrapped;
    },
  };
}
