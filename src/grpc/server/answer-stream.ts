// Sends the messages that a handler yields, no faster than the client takes them, and lets the event loop have its turns meanwhile.

import { pack } from "./answer-unary.ts";
import type { ServerCall } from "./server-call.ts";

/**
 * After so many messages, or bytes, in one go others get their turn: a generator that never waits would keep the process from
 * everything else, the sending of its own messages included.
 */
const messagesInOneGo = 512;
const bytesInOneGo: number = 64 * 1024;

const ignore = (): void => {};

/** The answer of a call that streams. Pulls the next message only while the stream takes data. */
export class AnswerStream {
  readonly #call: ServerCall;
  readonly #messages: AsyncIterable<unknown>;
  readonly #beforeEnd: (() => void) | undefined;
  #iterator: AsyncIterator<unknown> | undefined;
  #isExhausted = false;
  #wake: () => void = ignore;

  /** `beforeEnd` is called when the last message is sent, before the trailers are. */
  constructor(call: ServerCall, messages: AsyncIterable<unknown>, beforeEnd?: () => void) {
    this.#call = call;
    this.#messages = messages;
    this.#beforeEnd = beforeEnd;
  }

  /** Begins, unless the call is over already; ends it when all is sent. */
  start(): void {
    if (this.#call.isOver) {
      this.#call.settled();
      return;
    }
    this.#sendAll().then(
      () => this.#call.finish(),
      (error) => this.#call.fail(error),
    );
  }

  /** The stream takes data again, or the call is over. */
  wake(): void {
    const wake = this.#wake;
    this.#wake = ignore;
    wake();
  }

  /** The call is over: tells the handler's iterator, which takes it when it gets there. */
  stop(): void {
    this.wake();
    if (this.#isExhausted) return;
    this.#isExhausted = true;
    const settled = (): void => this.#call.settled();
    try {
      const ended = this.#iterator?.return?.();
      if (ended === undefined) settled();
      else ended.then(settled, settled);
    } catch {
      // Nobody is left to be told.
      settled();
    }
  }

  async #sendAll(): Promise<void> {
    const call = this.#call;
    const { room } = call.home;
    const iterator = this.#messages[Symbol.asyncIterator]();
    this.#iterator = iterator;
    let messages = 0;
    let bytes = 0;
    for (;;) {
      const { done, value } = await iterator.next();
      if (call.isOver) return;
      if (done === true) break;
      while (!room.isOpen) await room.change();
      if (call.isOver) return;
      let message = call.encode(value);
      const isCompressed = call.isCompressible(message);
      if (isCompressed) {
        message = await pack(call, message);
        while (!room.isOpen) await room.change();
        if (call.isOver) return;
      }
      messages++;
      bytes += message.length;
      if (!call.send(message, isCompressed)) await this.#drained();
      else if (messages >= messagesInOneGo || bytes >= bytesInOneGo) await this.#turn();
      else continue;
      messages = 0;
      bytes = 0;
      if (call.isOver) return;
    }
    this.#isExhausted = true;
    this.#beforeEnd?.();
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #turn(): Promise<void> {
    return new Promise((resolve) => this.#call.home.yieldToLoop(resolve));
  }
}
