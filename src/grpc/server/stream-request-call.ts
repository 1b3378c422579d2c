// A call whose request is a stream: by the client alone, or both ways. The handler begins with the call, and reads as it likes.

import type { ConnectError, HandlerContext } from "@connectrpc/connect";
import type { Stream } from "../../http2/stream.ts";
import { AnswerStream } from "./answer-stream.ts";
import { answerUnary } from "./answer-unary.ts";
import type { CallHome } from "./call-home.ts";
import { interceptStream } from "./interception.ts";
import type { RequestFacts } from "./request-facts.ts";
import { RequestMessages } from "./request-messages.ts";
import { ServerCall } from "./server-call.ts";

type ClientStreamHandler = (requests: RequestMessages, context: HandlerContext) => unknown;
type BidiHandler = (requests: RequestMessages, context: HandlerContext) => AsyncIterable<unknown>;

export class StreamRequestCall extends ServerCall {
  readonly #requests: RequestMessages;
  #answers: AnswerStream | undefined = undefined;

  constructor(home: CallHome, stream: Stream, facts: RequestFacts, fields: readonly string[]) {
    super(home, stream, facts, fields);
    this.#requests = new RequestMessages(this);
  }

  override start(end: boolean): void {
    super.start(end);
    this.enter(0);
  }

  protected override handle(): void {
    const { requestGate } = this.shape.route;
    if (requestGate === undefined) {
      this.#run();
    } else {
      Promise.resolve(this.context)
        .then(requestGate)
        .then(
          () => this.#run(),
          (error) => this.fail(error),
        );
    }
  }

  #run(): void {
    if (this.isOver) {
      this.settled();
      return;
    }
    const { spec, interceptors } = this.shape.route;
    try {
      if (interceptors.length > 0) {
        interceptStream(this, this.#requests).then(
          (answer) => this.#stream(answer.messages, answer.beforeEnd),
          (error) => this.fail(error),
        );
      } else if (spec.kind === "client_streaming") {
        answerUnary(this, (spec.impl as ClientStreamHandler)(this.#requests, this.context));
      } else {
        this.#stream((spec.impl as BidiHandler)(this.#requests, this.context));
      }
    } catch (error) {
      this.fail(error);
    }
  }

  #stream(messages: AsyncIterable<unknown>, beforeEnd?: () => void): void {
    this.#answers = new AnswerStream(this, messages, beforeEnd);
    this.#answers.start();
  }

  override onData(bytes: Uint8Array, from: number, to: number, end: boolean): void {
    this.#requests.feed(bytes, from, to, end);
  }

  protected override onRequestEnd(): void {
    this.#requests.end();
  }

  protected override onSendable(): void {
    this.#answers?.wake();
  }

  protected override onOver(reason: ConnectError | undefined): void {
    this.#requests.abandon(reason);
    this.#answers?.stop();
  }
}
