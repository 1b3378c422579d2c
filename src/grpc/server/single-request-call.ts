// A call whose request is one message: unary, or streamed by the server. The common unary call takes the shortest way there is:
// one piece of data, one handler that answers at once or by a promise, and an answer in the same turn.

import type { Message } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext, type MethodImplSpec } from "@connectrpc/connect";
import { wholeMessage } from "../message.ts";
import { MessageReader, type MessageSink } from "../message-reader.ts";
import { AnswerStream } from "./answer-stream.ts";
import { answerUnary, unpack } from "./answer-unary.ts";
import { interceptStream, interceptUnary, singleMessage } from "./interception.ts";
import { ServerCall } from "./server-call.ts";

type UnaryHandler = (request: Message, context: HandlerContext) => unknown;
type StreamHandler = (request: Message, context: HandlerContext) => AsyncIterable<unknown>;

export class SingleRequestCall extends ServerCall implements MessageSink {
  #reader: MessageReader | undefined = undefined;
  #message: Uint8Array | undefined = undefined;
  #isCompressed = false;
  #answers: AnswerStream | undefined = undefined;

  override onData(bytes: Uint8Array, from: number, to: number, end: boolean): void {
    // Nothing of it is kept but the message: the client may go on at once.
    this.home.connection.consumed(this.stream, to - from);
    if (this.isOver) return;
    try {
      this.#read(bytes, from, to);
    } catch (error) {
      this.fail(error);
      return;
    }
    if (end) this.onRequestEnd();
  }

  #read(bytes: Uint8Array, from: number, to: number): void {
    if (this.#reader === undefined && this.#message === undefined) {
      this.#message = wholeMessage(bytes, from, to, this.shape.route.readMaxBytes);
      if (this.#message !== undefined) return;
    }
    if (from === to) return;
    this.#reader ??= new MessageReader(this.shape.route.readMaxBytes, this.home.partial);
    this.#reader.read(bytes, from, to, this);
  }

  onMessage(message: Uint8Array, compressed: boolean): void {
    if (this.#message !== undefined) {
      throw new ConnectError(
        `protocol error: received extra input message for ${this.#kind} method`,
        Code.Unimplemented,
      );
    }
    this.#message = message;
    this.#isCompressed = compressed;
  }

  protected override onRequestEnd(): void {
    const message = this.#message;
    if (this.#reader !== undefined && !this.#reader.isEmpty) {
      this.fail(new ConnectError("protocol error: the request ends within a message", Code.InvalidArgument));
    } else if (message === undefined) {
      this.fail(new ConnectError(`protocol error: missing input message for ${this.#kind} method`, Code.Unimplemented));
    } else {
      this.enter(message.length);
    }
  }

  override get beginsLater(): boolean {
    return this.#isCompressed || super.beginsLater;
  }

  protected override handle(): void {
    const message = this.#message;
    if (message === undefined) return;
    this.#message = undefined;
    if (this.#isCompressed || this.shape.route.requestGate !== undefined) {
      this.#prepare(message).then(
        (ready) => this.#run(ready),
        (error) => this.fail(error),
      );
    } else {
      this.#run(message);
    }
  }

  /** The gate, and the message unpacked. */
  async #prepare(message: Uint8Array): Promise<Uint8Array> {
    const { requestGate } = this.shape.route;
    if (requestGate !== undefined) await requestGate(this.context);
    return this.#isCompressed ? unpack(this, message) : message;
  }

  #run(bytes: Uint8Array): void {
    if (this.isOver) {
      this.settled();
      return;
    }
    const { spec, interceptors } = this.shape.route;
    try {
      const request = this.shape.codec.decode(bytes);
      if (interceptors.length > 0) this.#runIntercepted(request, spec);
      else if (spec.kind === "unary") answerUnary(this, (spec.impl as UnaryHandler)(request, this.context));
      else this.#stream((spec.impl as StreamHandler)(request, this.context));
    } catch (error) {
      this.fail(error);
    }
  }

  #runIntercepted(request: Message, spec: MethodImplSpec): void {
    if (spec.kind === "unary") {
      interceptUnary(this, request).then(
        (value) => answerUnary(this, value),
        (error) => this.fail(error),
      );
    } else {
      interceptStream(this, singleMessage(request)).then(
        (answer) => this.#stream(answer.messages, answer.beforeEnd),
        (error) => this.fail(error),
      );
    }
  }

  #stream(messages: AsyncIterable<unknown>, beforeEnd?: () => void): void {
    this.#answers = new AnswerStream(this, messages, beforeEnd);
    this.#answers.start();
  }

  get #kind(): string {
    return this.shape.route.spec.kind.replace("_", "-");
  }

  protected override onSendable(): void {
    this.#answers?.wake();
  }

  protected override onOver(): void {
    this.#message = undefined;
    this.#reader?.release();
    this.#reader = undefined;
    this.#answers?.stop();
  }
}
