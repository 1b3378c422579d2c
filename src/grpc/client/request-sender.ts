// Sends the messages of a request, one after another, as fast as the peer takes them: the next one is asked for only then.

import type { DescMethodStreaming, MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { callFate, isUnsendable, markMaybeProcessed } from "../../core/call-fate.ts";
import type { Stream } from "../../http2/stream.ts";
import { sendMessage, wholeBytes } from "../outgoing-message.ts";
import type { ClientCalls } from "./client-calls.ts";
import { encodeMessage } from "./encode-message.ts";

/** What the sender needs of its call. */
export interface SendingCall {
  readonly calls: ClientCalls;
  readonly isOver: boolean;
  fail(error: ConnectError): void;
}

type Input = MessageInitShape<DescMethodStreaming["input"]>;

/** Messages in a row after which a source that never waits lets the event loop have a turn. */
const messagesPerTurn = 4096;

const nothing: Uint8Array = new Uint8Array(0);

export class RequestSender {
  readonly #call: SendingCall;
  readonly #method: DescMethodStreaming;
  readonly #input: AsyncIterable<Input>;
  #iterator: AsyncIterator<Input> | undefined;
  #isExhausted = false;
  #wake: (() => void) | undefined;

  constructor(call: SendingCall, method: DescMethodStreaming, input: AsyncIterable<Input>) {
    this.#call = call;
    this.#method = method;
    this.#input = input;
  }

  /** Begins to ask for messages. Once, when the request's headers are on their way. */
  start(stream: Stream): void {
    void this.#run(stream);
  }

  /** Everything sent so far is in frames. */
  onDrained(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  /**
   * The call is over, with an error or without: no more messages are asked for. The source is told so, as Connect's own transports do,
   * so that it can clean up.
   */
  stop(error: ConnectError | undefined): void {
    this.onDrained();
    // What nobody has asked for may be sent on another connection.
    const goesElsewhere = callFate(error) === "unprocessed" && !isUnsendable(error);
    const isUntouched = this.#iterator === undefined && goesElsewhere;
    if (this.#isExhausted || isUntouched) return;
    this.#isExhausted = true;
    const iterator = this.#iterator ?? this.#input[Symbol.asyncIterator]();
    const ignore = (): void => {};
    try {
      if (error !== undefined) iterator.throw?.(error).catch(ignore);
      iterator.return?.().catch(ignore);
    } catch {
      // Its own affair.
    }
  }

  async #run(stream: Stream): Promise<void> {
    const call = this.#call;
    const { connection, options, clock } = call.calls;
    const isSingle = this.#method.methodKind === "server_streaming";
    try {
      const iterator = this.#input[Symbol.asyncIterator]();
      this.#iterator = iterator;
      for (let count = 1; ; count++) {
        const next = await iterator.next();
        if (call.isOver) return;
        if (next.done === true) {
          this.#isExhausted = true;
          connection.sendData(stream, undefined, nothing, true);
          return;
        }
        let message = encodeMessage(this.#method.input, next.value, options.maxSendBytes);
        const { sendCompression } = options;
        const isCompressed = sendCompression !== undefined && message.length >= options.compressMinBytes;
        if (isCompressed) message = await sendCompression.compress(wholeBytes(message));
        if (call.isOver) return;
        const takesMore = sendMessage(connection, stream, message, isCompressed, isSingle);
        if (isSingle) {
          this.#endSource(iterator);
          return;
        }
        if (!takesMore) await this.#drained();
        // Awaiting what is there already gives no turn to anyone but promises.
        if (count % messagesPerTurn === 0) await turn(clock);
        if (call.isOver) return;
      }
    } catch (error) {
      this.#isExhausted = true;
      call.fail(sourceFailed(error));
    }
  }

  /** A method whose requests are no stream has one message: its end goes with it, in one frame. */
  #endSource(iterator: AsyncIterator<Input>): void {
    this.#isExhausted = true;
    iterator.return?.().catch(() => {});
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

/** The caller's messages have failed, maybe with the failure of another call: its fate is not this one's, of which headers were sent. */
function sourceFailed(thrown: unknown): ConnectError {
  const error = ConnectError.from(thrown, Code.Unknown);
  if (callFate(error) === "maybe-processed") return error;
  return markMaybeProcessed(new ConnectError(error.rawMessage, error.code, error.metadata, undefined, error));
}

function turn(clock: ClientCalls["clock"]): Promise<void> {
  return new Promise((resolve) => {
    clock.schedule(0, resolve);
  });
}
