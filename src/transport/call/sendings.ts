// Calls as their placement sends them: what is handed to an endpoint's transport, untouched but for what retries add, and how the pick hears of
// the end. Chooses no endpoint and decides no retry.

import type {
  DescMessage,
  DescMethod,
  DescMethodStreaming,
  DescMethodUnary,
  MessageInitShape,
} from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ContextValues,
  type StreamResponse,
  type Transport,
  type UnaryResponse,
} from "@connectrpc/connect";
import type { PickResult } from "../../balancer/picker.ts";
import type { Clock } from "../../core/clock.ts";
import { type Attempts, attemptTimedOut } from "../retry/attempts.ts";
import { type StreamRequests, streamRequests } from "../retry/stream-requests.ts";
import type { MethodPolicy } from "../service-config/service-config.ts";
import type { CallSurroundings } from "./call-scope.ts";
import { demandResponseSize, demandSize, encodedBytes, sized, sizedAnswers } from "./message-limits.ts";
import { StreamEnd } from "./stream-end.ts";
import { tellOfEnd } from "./streams.ts";

/** Timers may be early by so much, and that of the server, which is told the attempt's time, may be the first. */
const timerSlackMs = 2;

/** What an attempt is told of those before it. */
export type AttemptFacts = Pick<Attempts, "previous" | "timeoutMs">;

/** A call as its placement sees it. */
export interface Sending<R> {
  readonly method: DescMethod;
  readonly contextValues: ContextValues | undefined;
  /** Bytes of the encoded message that are kept while the call waits; 0 where none was asked for yet. */
  byteLength(): number;
  /** Holds the call to its policy's message sizes. Once, before the first attempt. Throws ConnectError, `resource_exhausted`. */
  limit(policy: MethodPolicy): void;
  /** Makes one attempt. The transport heeds signal and timeout by itself. */
  send(
    transport: Transport,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    attempt: AttemptFacts,
  ): Promise<R>;
  /** An attempt was answered. Reports its end to the pick, now or later, and returns what the caller gets. */
  answered(response: R, picked: PickResult, startMs: number): R;
  /** The attempt under way has failed: whether another could be made, as nothing of the caller's is used up. */
  mayRepeat(): boolean;
  /** No attempt will be made any more. */
  failed(error: ConnectError): void;
  /** The same call for one of several attempts at once: its end is not the call's. `onChosen`: the others cannot go on. */
  lane(onChosen: () => void): Sending<R>;
  /** The answer of a lane was read to its end, or failed later on. */
  laneEnded(error: unknown): void;
}

/** A unary call: its message can be sent as often as need be. */
export class UnarySending<I extends DescMessage, O extends DescMessage> implements Sending<UnaryResponse<I, O>> {
  readonly method: DescMethodUnary<I, O>;
  readonly contextValues: ContextValues | undefined;
  readonly #clock: Clock;
  readonly #header: HeadersInit | undefined;
  readonly #message: MessageInitShape<I>;
  #bytes: number | undefined;
  #maxResponseBytes: number | undefined;

  constructor(
    clock: Clock,
    method: DescMethodUnary<I, O>,
    header: HeadersInit | undefined,
    message: MessageInitShape<I>,
    contextValues: ContextValues | undefined,
  ) {
    this.method = method;
    this.contextValues = contextValues;
    this.#clock = clock;
    this.#header = header;
    this.#message = message;
  }

  byteLength(): number {
    this.#bytes ??= encodedBytes(this.method.input, this.#message);
    return this.#bytes;
  }

  limit({ maxRequestBytes, maxResponseBytes }: MethodPolicy): void {
    this.#maxResponseBytes = maxResponseBytes;
    if (maxRequestBytes !== undefined) demandSize(this.byteLength(), maxRequestBytes);
  }

  async send(
    transport: Transport,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    attempt: AttemptFacts,
  ): Promise<UnaryResponse<I, O>> {
    const header = withPrevious(this.#header, attempt);
    const ownMs = attempt.timeoutMs;
    const isOwn = ownMs !== undefined && (timeoutMs === undefined || ownMs < timeoutMs);
    const startMs = this.#clock.now();
    try {
      const limitMs = isOwn ? Math.ceil(ownMs) : timeoutMs;
      const response = await transport.unary(this.method, signal, limitMs, header, this.#message, this.contextValues);
      demandResponseSize(this.method.output, response.message, this.#maxResponseBytes);
      return response;
    } catch (error) {
      const isTimeout = isOwn && ConnectError.from(error).code === Code.DeadlineExceeded;
      if (isTimeout && this.#clock.now() - startMs >= ownMs - timerSlackMs) throw attemptTimedOut(ownMs, error);
      throw error;
    }
  }

  answered(response: UnaryResponse<I, O>, picked: PickResult, startMs: number): UnaryResponse<I, O> {
    picked.done({ latencyMs: this.#clock.now() - startMs });
    return response;
  }

  mayRepeat(): boolean {
    return true;
  }

  failed(): void {}

  /** Attempts leave nothing behind here. */
  lane(): this {
    return this;
  }

  laneEnded(): void {}
}

/** A stream: it can be sent again while all of the caller's messages that were read are kept. */
export class StreamSending<I extends DescMessage, O extends DescMessage> implements Sending<StreamResponse<I, O>> {
  readonly method: DescMethodStreaming<I, O>;
  readonly contextValues: ContextValues | undefined;
  readonly #surroundings: CallSurroundings;
  readonly #header: HeadersInit | undefined;
  readonly #source: AsyncIterable<MessageInitShape<I>>;
  #kept: StreamRequests<MessageInitShape<I>> | undefined;
  readonly #endsRequests: boolean;
  #signal: AbortSignal | undefined;
  #untilMs: number | undefined;
  #giveUp: (error: unknown) => void = () => {};
  #maxRequestBytes: number | undefined;
  #maxResponseBytes: number | undefined;

  /** `kept`: the caller's messages as another sending keeps them, which ends them with the call. */
  constructor(
    surroundings: CallSurroundings,
    method: DescMethodStreaming<I, O>,
    header: HeadersInit | undefined,
    requests: AsyncIterable<MessageInitShape<I>>,
    contextValues: ContextValues | undefined,
    kept?: StreamRequests<MessageInitShape<I>>,
  ) {
    this.method = method;
    this.contextValues = contextValues;
    this.#surroundings = surroundings;
    this.#header = header;
    this.#source = requests;
    this.#kept = kept;
    this.#endsRequests = kept === undefined;
  }

  /** Made when first asked for: by then the service config is known, which says how much is kept. */
  get #requests(): StreamRequests<MessageInitShape<I>> {
    this.#kept ??= streamRequests(this.method, this.#source, this.#surroundings.replayLimits(this.method));
    return this.#kept;
  }

  byteLength(): number {
    return 0;
  }

  limit({ maxRequestBytes, maxResponseBytes }: MethodPolicy): void {
    this.#maxRequestBytes = maxRequestBytes;
    this.#maxResponseBytes = maxResponseBytes;
  }

  async send(
    transport: Transport,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    attempt: AttemptFacts,
  ): Promise<StreamResponse<I, O>> {
    const { clock } = this.#surroundings;
    if (timeoutMs !== undefined) this.#untilMs = clock.now() + timeoutMs;
    const ownMs = attempt.timeoutMs;
    if (ownMs === undefined && this.#maxResponseBytes === undefined) {
      return this.#send(transport, signal, timeoutMs, attempt);
    }
    // Of an attempt's own time, which ends with the answer's headers, only its signal can tell, and of an answer that is too large.
    const controller = new AbortController();
    this.#giveUp = (error) => controller.abort(error);
    const both = signal === undefined ? controller.signal : AbortSignal.any([signal, controller.signal]);
    if (ownMs === undefined) return this.#send(transport, both, timeoutMs, attempt);
    const cancel = clock.schedule(ownMs, () => controller.abort(attemptTimedOut(ownMs)));
    try {
      return await this.#send(transport, both, timeoutMs, attempt);
    } finally {
      cancel();
    }
  }

  #send(
    transport: Transport,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    attempt: AttemptFacts,
  ): Promise<StreamResponse<I, O>> {
    this.#signal = signal;
    const header = withPrevious(this.#header, attempt);
    const maxBytes = this.#maxRequestBytes;
    const iterable = this.#requests.begin();
    const requests = maxBytes === undefined ? iterable : sized(iterable, this.method.input, maxBytes);
    return transport.stream(this.method, signal, timeoutMs, header, requests, this.contextValues);
  }

  answered(response: StreamResponse<I, O>, picked: PickResult, startMs: number): StreamResponse<I, O> {
    this.#requests.answered();
    const { clock, deadlines } = this.#surroundings;
    const end = new StreamEnd(deadlines, this.#signal, (error) => {
      picked.done({ latencyMs: clock.now() - startMs, ...(error === undefined ? {} : { error }) });
      if (error !== undefined)
        this.#surroundings.callFailed(picked.endpoint.id, ConnectError.from(error, Code.Canceled));
      if (this.#endsRequests) this.#requests.end(error);
    });
    if (this.#untilMs !== undefined) deadlines.add(end, this.#untilMs - clock.now());
    const maxBytes = this.#maxResponseBytes;
    const { message } = response;
    const messages =
      maxBytes === undefined ? message : sizedAnswers(message, this.method.output, maxBytes, this.#giveUp);
    // Not a copy: its header and trailer may be made when somebody looks at them.
    return Object.assign(response, { message: tellOfEnd(messages, end) });
  }

  mayRepeat(): boolean {
    this.#requests.failed();
    return this.#requests.mayRepeat();
  }

  failed(error: ConnectError): void {
    if (this.#endsRequests) this.#requests.end(error);
  }

  lane(onChosen: () => void): StreamSending<I, O> {
    const kept = this.#requests.lane(onChosen);
    return new StreamSending(this.#surroundings, this.method, this.#header, this.#source, this.contextValues, kept);
  }

  laneEnded(error: unknown): void {
    if (this.#endsRequests) this.#requests.end(error);
  }
}

/** gRFC A6, "Exposed Retry Metadata": not on a first attempt. */
function withPrevious(header: HeadersInit | undefined, { previous }: AttemptFacts): HeadersInit | undefined {
  if (previous === 0) return header;
  const headers = new Headers(header);
  headers.set("grpc-previous-rpc-attempts", String(previous));
  return headers;
}
