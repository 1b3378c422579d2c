// Calls as their placement sends them: what is handed to an endpoint's transport, untouched, and how the pick hears of the end.

import type { DescMessage, DescMethodStreaming, DescMethodUnary, MessageInitShape } from "@bufbuild/protobuf";
import type { ConnectError, ContextValues, StreamResponse, Transport, UnaryResponse } from "@connectrpc/connect";
import { getAbortSignalReason } from "@connectrpc/connect/protocol";
import type { PickResult } from "../balancer/picker.ts";
import type { Clock } from "../core/clock.ts";
import type { Deadlined, DeadlineQueue } from "../core/deadline-queue.ts";
import { type CallSurroundings, timedOut } from "./call-scope.ts";
import { tellOfEnd, type UnreadMessages, unlessRead } from "./streams.ts";

/** A call as its placement sees it. */
export interface Sending<R> {
  /** Makes one attempt. The transport heeds signal and timeout by itself. */
  send(transport: Transport, signal: AbortSignal | undefined, timeoutMs: number | undefined): Promise<R>;
  /** An attempt was answered. Reports its end to the pick, now or later, and returns what the caller gets. */
  answered(response: R, picked: PickResult, startMs: number): R;
  /** Whether another attempt could be made: nothing of the caller's is used up. */
  mayRepeat(): boolean;
  /** No attempt will be made any more. */
  failed(error: ConnectError): void;
}

/** A unary call: its message can be sent as often as need be. */
export class UnarySending<I extends DescMessage, O extends DescMessage> implements Sending<UnaryResponse<I, O>> {
  readonly #clock: Clock;
  readonly #method: DescMethodUnary<I, O>;
  readonly #header: HeadersInit | undefined;
  readonly #message: MessageInitShape<I>;
  readonly #contextValues: ContextValues | undefined;

  constructor(
    clock: Clock,
    method: DescMethodUnary<I, O>,
    header: HeadersInit | undefined,
    message: MessageInitShape<I>,
    contextValues: ContextValues | undefined,
  ) {
    this.#clock = clock;
    this.#method = method;
    this.#header = header;
    this.#message = message;
    this.#contextValues = contextValues;
  }

  send(
    transport: Transport,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
  ): Promise<UnaryResponse<I, O>> {
    return transport.unary(this.#method, signal, timeoutMs, this.#header, this.#message, this.#contextValues);
  }

  answered(response: UnaryResponse<I, O>, picked: PickResult, startMs: number): UnaryResponse<I, O> {
    picked.done({ latencyMs: this.#clock.now() - startMs });
    return response;
  }

  mayRepeat(): boolean {
    return true;
  }

  failed(): void {}
}

/** A stream: it can be sent again while none of the caller's messages was read. */
export class StreamSending<I extends DescMessage, O extends DescMessage> implements Sending<StreamResponse<I, O>> {
  readonly #surroundings: CallSurroundings;
  readonly #method: DescMethodStreaming<I, O>;
  readonly #header: HeadersInit | undefined;
  readonly #contextValues: ContextValues | undefined;
  readonly #requests: UnreadMessages<MessageInitShape<I>>;
  readonly #endsRequests: boolean;
  #signal: AbortSignal | undefined;
  #untilMs: number | undefined;

  /** `endsRequests`: the caller's messages are to be ended with the call, as nobody else does. */
  constructor(
    surroundings: CallSurroundings,
    method: DescMethodStreaming<I, O>,
    header: HeadersInit | undefined,
    requests: AsyncIterable<MessageInitShape<I>>,
    contextValues: ContextValues | undefined,
    endsRequests: boolean,
  ) {
    this.#surroundings = surroundings;
    this.#method = method;
    this.#header = header;
    this.#contextValues = contextValues;
    this.#requests = unlessRead(requests);
    this.#endsRequests = endsRequests;
  }

  send(
    transport: Transport,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
  ): Promise<StreamResponse<I, O>> {
    this.#signal = signal;
    if (timeoutMs !== undefined) this.#untilMs = this.#surroundings.clock.now() + timeoutMs;
    const { iterable } = this.#requests;
    return transport.stream(this.#method, signal, timeoutMs, this.#header, iterable, this.#contextValues);
  }

  answered(response: StreamResponse<I, O>, picked: PickResult, startMs: number): StreamResponse<I, O> {
    const { clock, deadlines } = this.#surroundings;
    const end = new StreamEnd(deadlines, this.#signal, (error) => {
      picked.done({ latencyMs: clock.now() - startMs, ...(error === undefined ? {} : { error }) });
      if (this.#endsRequests) this.#requests.end(error);
    });
    if (this.#untilMs !== undefined) deadlines.add(end, this.#untilMs - clock.now());
    // Not a copy: its header and trailer may be made when somebody looks at them.
    return Object.assign(response, { message: tellOfEnd(response.message, end) });
  }

  mayRepeat(): boolean {
    return !this.#requests.wasRead();
  }

  failed(error: ConnectError): void {
    if (this.#endsRequests) this.#requests.end(error);
  }
}

/** Notices the end of a stream: it was read to it, reading failed, or signal or deadline came first and nobody read on. */
class StreamEnd implements Deadlined {
  dueMs = 0;
  nextDue: Deadlined | undefined = undefined;
  previousDue: Deadlined | undefined = undefined;
  readonly #deadlines: DeadlineQueue;
  readonly #signal: AbortSignal | undefined;
  #tell: ((error?: unknown) => void) | undefined;

  constructor(deadlines: DeadlineQueue, signal: AbortSignal | undefined, tell: (error?: unknown) => void) {
    this.#deadlines = deadlines;
    this.#signal = signal;
    this.#tell = tell;
    if (signal === undefined) return;
    if (signal.aborted) this.handleEvent();
    else signal.addEventListener("abort", this);
  }

  end(error?: unknown): void {
    const tell = this.#tell;
    if (tell === undefined) return;
    this.#tell = undefined;
    this.#deadlines.remove(this);
    this.#signal?.removeEventListener("abort", this);
    tell(error);
  }

  onDeadline(): void {
    this.end(timedOut());
  }

  handleEvent(): void {
    if (this.#signal !== undefined) this.end(getAbortSignalReason(this.#signal));
  }
}
