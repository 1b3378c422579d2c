// Connect's Transport over one HTTP/2 session, gRPC in protobuf's binary format. Runs no interceptors and opens nothing.

import type { DescMessage, DescMethodStreaming, DescMethodUnary, MessageInitShape } from "@bufbuild/protobuf";
import { ConnectError, type StreamResponse, type Transport, type UnaryResponse } from "@connectrpc/connect";
import { callFate, markUnsendable } from "../../core/call-fate.ts";
import type { CallSignal } from "../../core/call-signal.ts";
import type { Http2Session } from "../../http2/session.ts";
import { compressionNames } from "../compression.ts";
import { notTaken } from "./call-errors.ts";
import type { CallOptions } from "./call-options.ts";
import { ClientCalls } from "./client-calls.ts";
import { encodeMessage } from "./encode-message.ts";
import { RequestFields } from "./request-fields.ts";
import { StreamingCall } from "./streaming-call.ts";
import { type Recourse, UnaryCall } from "./unary-call.ts";

/** How many calls there are and were. All but those under way only grow. */
export interface CallTallies {
  /** Calls of any kind that ended with ok. */
  readonly ok: number;
  /** Calls of any kind under way, those that wait for a free stream among them. */
  readonly active: number;
  /** Unary calls under way, and those that have ended, however. */
  readonly unaryActive: number;
  readonly unaryEnded: number;
}

const none: CallTallies = { ok: 0, active: 0, unaryActive: 0, unaryEnded: 0 };

/**
 * Calls on a session, between `begin` and `stop`; those made before or after fail as unprocessed (see call-fate.ts). `timeoutMs` of 0 or
 * less means none, as in Connect. Context values are interceptors' and not looked at.
 */
export class SessionTransport implements Transport {
  readonly #options: CallOptions;
  #calls: ClientCalls | undefined;
  #fields: RequestFields | undefined;

  constructor(options: CallOptions) {
    this.#options = options;
  }

  /** The session takes calls. Once. `onSent` is called after each that was sent. */
  begin(session: Http2Session, onSent?: () => void): void {
    const { url, acceptCompression, sendCompression } = this.#options;
    this.#calls = new ClientCalls(session, this.#options);
    this.#calls.onSent = onSent;
    this.#fields = new RequestFields({
      connection: session.connection,
      url,
      acceptEncoding: compressionNames(acceptCompression),
      encoding: sendCompression?.name,
    });
  }

  /** What is known of its calls. */
  get counts(): CallTallies {
    return this.#calls ?? none;
  }

  /** There may be room for calls that wait. */
  onSlot(): void {
    this.#calls?.onSlot();
  }

  /** The session takes no new calls; those that wait fail as unprocessed, those under way go on. Idempotent. */
  stop(): void {
    this.#fields = undefined;
    this.#calls?.stop();
  }

  unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: HeadersInit | undefined,
    input: MessageInitShape<I>,
  ): Promise<UnaryResponse<I, O>> {
    return this.unaryCall(method, signal, timeoutMs, header, input, undefined);
  }

  /**
   * Makes a call as `unary` does, ended by any CallSignal. Before the call fails, `recourse` is asked once, with the error: where it gives a
   * promise, the call ends as that does.
   */
  unaryCall<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    signal: CallSignal | undefined,
    timeoutMs: number | undefined,
    header: HeadersInit | undefined,
    input: MessageInitShape<I>,
    recourse: Recourse<I, O> | undefined,
  ): Promise<UnaryResponse<I, O>> {
    const calls = this.#calls;
    const fields = this.#fields;
    try {
      if (calls === undefined || fields === undefined) throw notTaken(this.#options.url);
      const timeout = timeoutOf(timeoutMs);
      const head = fields.head(method, timeout, header);
      const body = encodeMessage(method.input, input, this.#options.maxSendBytes);
      const promise = new Promise<UnaryResponse>(capture);
      const { resolve, reject } = captured;
      // The call knows no type parameters.
      const call = new UnaryCall(calls, method, head, body, resolve, reject, recourse as Recourse | undefined);
      call.start(timeout, signal);
      return promise as Promise<UnaryResponse<I, O>>;
    } catch (thrown) {
      const error = notSent(thrown);
      return recourse?.(error, timeoutMs) ?? Promise.reject(error);
    }
  }

  stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: HeadersInit | undefined,
    input: AsyncIterable<MessageInitShape<I>>,
  ): Promise<StreamResponse<I, O>> {
    const calls = this.#calls;
    const fields = this.#fields;
    if (calls === undefined || fields === undefined) return Promise.reject(notTaken(this.#options.url));
    const timeout = timeoutOf(timeoutMs);
    try {
      const head = fields.head(method, timeout, header);
      return new Promise<StreamResponse>((resolve, reject) => {
        new StreamingCall(calls, method, head, input, resolve, reject).start(timeout, signal);
      }) as Promise<StreamResponse<I, O>>;
    } catch (error) {
      return Promise.reject(notSent(error));
    }
  }
}

/** What is thrown before there is a call: the connection takes none, or the call is one that none would take. */
function notSent(thrown: unknown): ConnectError {
  const error = ConnectError.from(thrown);
  return callFate(error) === "unprocessed" ? error : markUnsendable(error);
}

function timeoutOf(timeoutMs: number | undefined): number | undefined {
  return timeoutMs !== undefined && timeoutMs > 0 ? timeoutMs : undefined;
}

/** The functions of the Promise that was made last: an executor of each call's own would be a closure more. */
const captured: {
  resolve: (response: UnaryResponse | Promise<UnaryResponse>) => void;
  reject: (error: ConnectError) => void;
} = {
  resolve() {},
  reject() {},
};

function capture(
  resolve: (response: UnaryResponse | Promise<UnaryResponse>) => void,
  reject: (error: unknown) => void,
): void {
  captured.resolve = resolve;
  captured.reject = reject;
}
