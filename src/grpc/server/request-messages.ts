// The messages that a client streams, as its handler reads them. What is not read yet stays in bytes, and is not given back to the
// client's windows: a handler that does not read stops the client, and what it makes us hold is bounded by them.

import type { Message } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { messageHeadBytes } from "../message.ts";
import { MessageReader, type MessageSink } from "../message-reader.ts";
import { unpack } from "./answer-unary.ts";
import { ByteQueue } from "./byte-queue.ts";
import type { ServerCall } from "./server-call.ts";

type Waiting = (result: Promise<IteratorResult<Message>>) => void;

const finished: IteratorReturnResult<undefined> = { done: true, value: undefined };

/** For one reader. Its iterator ends with the request; it fails with a ConnectError where the request or the call breaks off. */
export class RequestMessages implements AsyncIterableIterator<Message>, MessageSink {
  readonly #call: ServerCall;
  readonly #reader: MessageReader;
  /** Bytes behind the message that is ready. */
  readonly #unread: ByteQueue = new ByteQueue();
  /** Received, and not given back to the client's windows. */
  #heldBytes = 0;
  #ready: Uint8Array | undefined = undefined;
  #isReadyCompressed = false;
  readonly #waiting: Waiting[] = [];
  #hasEnded = false;
  #isDropped = false;
  #error: unknown = undefined;

  constructor(call: ServerCall) {
    this.#call = call;
    this.#reader = new MessageReader(call.shape.route.readMaxBytes, call.home.partial);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  // The handler's side.

  next(): Promise<IteratorResult<Message>> {
    // Who asks before the last answer came gets its own in turn, as from a generator.
    return this.#waiting.length > 0 ? this.#wait() : this.#take();
  }

  /** The handler wants no more: the rest is taken from the wire and dropped. */
  async return(): Promise<IteratorResult<Message>> {
    this.#drop();
    return finished;
  }

  async throw(error: unknown): Promise<IteratorResult<Message>> {
    this.#drop();
    throw error;
  }

  #take(): Promise<IteratorResult<Message>> {
    const message = this.#next();
    if (message !== undefined) return this.#deliver(message);
    if (this.#error !== undefined) {
      const error = this.#error;
      this.#error = undefined;
      this.#isDropped = true;
      this.#clear();
      return Promise.reject(error);
    }
    if (this.#hasEnded || this.#isDropped) return Promise.resolve(finished);
    return this.#wait();
  }

  #wait(): Promise<IteratorResult<Message>> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  #deliver(message: Uint8Array): Promise<IteratorResult<Message>> {
    if (this.#isReadyCompressed) return unpack(this.#call, message).then((bytes) => this.#decoded(bytes));
    try {
      return Promise.resolve(this.#decoded(message));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #decoded(bytes: Uint8Array): IteratorResult<Message> {
    return { done: false, value: this.#call.shape.codec.decode(bytes) };
  }

  /** Takes the message that is ready out, and gives its bytes back to the client's windows. */
  #next(): Uint8Array | undefined {
    if (this.#ready === undefined) this.#read();
    const message = this.#ready;
    this.#ready = undefined;
    this.#giveBack();
    return message;
  }

  // The stream's side.

  feed(bytes: Uint8Array, from: number, to: number, end: boolean): void {
    this.#heldBytes += to - from;
    if (!this.#isDropped && this.#error === undefined) {
      let at = from;
      try {
        if (this.#unread.length === 0) {
          while (at < to && this.#ready === undefined) at = this.#reader.readSome(bytes, at, to, this);
        }
      } catch (error) {
        this.#error = error;
      }
      if (at < to && this.#error === undefined) this.#unread.append(bytes, at, to);
    }
    if (end) this.end();
    else this.#tell();
  }

  /** The request is whole. */
  end(): void {
    this.#hasEnded = true;
    this.#tell();
  }

  /** The call is over: whoever waits is told why. */
  abandon(reason: ConnectError | undefined): void {
    this.#error ??= reason;
    this.#clear();
    if (reason === undefined) this.#isDropped = true;
    this.#tell();
  }

  onMessage(message: Uint8Array, compressed: boolean): void {
    this.#ready = message;
    this.#isReadyCompressed = compressed;
  }

  /** Tells those who wait, as far as there is something to tell. */
  #tell(): void {
    while (this.#waiting.length > 0) {
      const message = this.#next();
      if (message !== undefined) this.#waiting.shift()?.(this.#deliver(message));
      else if (this.#error !== undefined || this.#hasEnded || this.#isDropped) this.#waiting.shift()?.(this.#take());
      else return;
    }
    this.#giveBack();
  }

  /** Reads on in what is kept, up to the next message. */
  #read(): void {
    try {
      for (let piece = this.#unread.first; piece !== undefined; piece = this.#unread.first) {
        if (this.#ready !== undefined) break;
        this.#unread.skip(this.#reader.readSome(piece.bytes, piece.from, piece.to, this) - piece.from);
      }
    } catch (error) {
      this.#error ??= error;
      this.#clear();
    }
    this.#checkEnd();
  }

  #checkEnd(): void {
    if (!this.#hasEnded || this.#ready !== undefined || this.#unread.length > 0 || this.#reader.isEmpty) return;
    if (this.#isDropped || this.#error !== undefined) return;
    this.#error = new ConnectError("protocol error: the request ends within a message", Code.InvalidArgument);
  }

  /** Gives back to the windows all but what waits to be read. A message under way is not held against the client: it could not end. */
  #giveBack(): void {
    const unread = this.#unread.length + (this.#ready === undefined ? 0 : this.#ready.length + messageHeadBytes);
    const bytes = this.#heldBytes - unread;
    if (bytes <= 0) return;
    this.#heldBytes -= bytes;
    this.#call.home.connection.consumed(this.#call.stream, bytes);
  }

  #drop(): void {
    this.#isDropped = true;
    this.#clear();
    this.#giveBack();
    this.#tell();
  }

  #clear(): void {
    this.#ready = undefined;
    this.#unread.clear();
    this.#reader.release();
  }
}
