// What a handler can ask of its call. Everything is made when it is first asked for: most handlers look at their message only.

import type { DescMethod, DescService } from "@bufbuild/protobuf";
import type { ContextValues, HandlerContext } from "@connectrpc/connect";
import { toHeaders } from "../metadata.ts";
import type { CallShape } from "./request-facts.ts";

/** Said of calls that are over, to whoever still waits. One for all: to make one takes longer than a call. */
const callIsOver: DOMException = new DOMException("The call is over", "AbortError");

/** What the context asks of its call. */
export interface CallFacts {
  readonly shape: CallShape;
  /** Of the request's head. */
  readonly fields: readonly string[];
  readonly url: string;
  /** Milliseconds to the deadline, below 0 once it is over; undefined where there is none. */
  remainingMs(): number | undefined;
  /** Values that nobody has yet. */
  newValues(): ContextValues;
}

/** Connect's HandlerContext. */
export class CallContext implements HandlerContext {
  readonly #call: CallFacts;
  #abort: AbortController | undefined;
  #requestHeader: Headers | undefined;
  #responseHeader: Headers | undefined;
  #responseTrailer: Headers | undefined;
  #values: ContextValues | undefined;
  #dropShutdown: (() => void) | undefined;
  #isOver = false;
  #reason: unknown;

  constructor(call: CallFacts) {
    this.#call = call;
  }

  get service(): DescService {
    return this.#call.shape.route.method.parent;
  }

  get method(): DescMethod {
    return this.#call.shape.route.method;
  }

  get protocolName(): string {
    return "grpc";
  }

  get requestMethod(): string {
    return "POST";
  }

  get url(): string {
    return this.#call.url;
  }

  /** Aborts when the deadline passes, the client cancels, the server cuts the call, and when the call is over. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#isOver) this.#abort.abort(this.#reason);
      else this.#followShutdown(this.#abort);
    }
    return this.#abort.signal;
  }

  get timeoutMs(): () => number | undefined {
    return () => this.#call.remainingMs();
  }

  get requestHeader(): Headers {
    this.#requestHeader ??= toHeaders(this.#call.fields);
    return this.#requestHeader;
  }

  get responseHeader(): Headers {
    this.#responseHeader ??= new Headers();
    return this.#responseHeader;
  }

  get responseTrailer(): Headers {
    this.#responseTrailer ??= new Headers();
    return this.#responseTrailer;
  }

  get values(): ContextValues {
    this.#values ??= this.#call.newValues();
    return this.#values;
  }

  /** What the handler set; undefined where it set nothing. */
  get sentHeader(): Headers | undefined {
    return this.#responseHeader;
  }

  get sentTrailer(): Headers | undefined {
    return this.#responseTrailer;
  }

  /** Takes the headers that an interceptor answered with, where they are others. */
  adoptHeader(header: Headers): void {
    this.#responseHeader = header;
  }

  adoptTrailer(trailer: Headers): void {
    this.#responseTrailer = trailer;
  }

  /** The call is over: `reason` says why, undefined where it was answered. */
  end(reason: unknown): void {
    this.#isOver = true;
    this.#reason = reason ?? callIsOver;
    this.#dropShutdown?.();
    this.#abort?.abort(this.#reason);
  }

  /** A service may have a signal of its own that says when to stop. */
  #followShutdown(controller: AbortController): void {
    const shutdown = this.#call.shape.route.shutdownSignal;
    if (shutdown === undefined) return;
    const onAbort = (): void => controller.abort(shutdown.reason);
    if (shutdown.aborted) {
      onAbort();
      return;
    }
    shutdown.addEventListener("abort", onAbort);
    this.#dropShutdown = () => shutdown.removeEventListener("abort", onAbort);
  }
}
