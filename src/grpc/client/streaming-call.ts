// A call with a stream of messages either way: the half that listens. Messages wait here for their reader, who is who opens the window again;
// the other half is request-sender.ts.

import type { DescMethodStreaming, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type StreamResponse } from "@connectrpc/connect";
import type { HeaderBlock } from "../../http2/hpack/header-decoder.ts";
import { findCompression } from "../compression.ts";
import { lazyHeaders } from "../lazy-headers.ts";
import { appendFields } from "../metadata.ts";
import { protocolError } from "./call-errors.ts";
import { ClientCall } from "./client-call.ts";
import type { ClientCalls } from "./client-calls.ts";
import { decodeMessage, decompressMessage } from "./encode-message.ts";
import { MessageQueue } from "./message-queue.ts";
import type { RequestHead } from "./request-fields.ts";
import { RequestSender } from "./request-sender.ts";

type Message = MessageShape<DescMethodStreaming["output"]>;
type Result = IteratorResult<Message, undefined>;
type Resolve = (response: StreamResponse) => void;
type Reject = (error: ConnectError) => void;

/** A reader that waits for the next message. */
type Waiter = (result: Result | PromiseLike<Result>) => void;

/**
 * The answer is read from the call itself, by one reader. After an error, `next()` says that there is no more, as after the end. `return()`
 * and `throw()` cancel a call that is under way.
 */
export class StreamingCall extends ClientCall implements AsyncIterable<Message>, AsyncIterator<Message, undefined> {
  readonly #method: DescMethodStreaming;
  readonly #sender: RequestSender;
  readonly #resolve: Resolve;
  readonly #reject: Reject;
  readonly #trailer: Headers = new Headers();
  readonly #queue: MessageQueue;
  #hasResponse = false;
  /** What the reader finds after the last message; `read` when it has. */
  #end: ConnectError | "ok" | "read" | undefined = undefined;
  #waiter: Waiter | undefined = undefined;
  /** A `next()` that has not been answered; one that is called meanwhile has to wait for it. */
  #pending: Promise<Result> | undefined = undefined;

  constructor(
    calls: ClientCalls,
    method: DescMethodStreaming,
    head: RequestHead,
    input: AsyncIterable<MessageInitShape<DescMethodStreaming["input"]>>,
    resolve: Resolve,
    reject: Reject,
  ) {
    super(calls, head);
    this.#method = method;
    this.#sender = new RequestSender(this, method, input);
    this.#resolve = resolve;
    this.#reject = reject;
    this.#queue = new MessageQueue(calls.options.maxReceiveBytes);
  }

  /** Begins the call. Once. */
  start(timeoutMs: number | undefined, signal: AbortSignal | undefined): void {
    if (this.watch(timeoutMs, signal)) this.calls.place(this);
  }

  send(): void {
    this.stream = this.calls.connection.open(this, this.head.prepared, this.head.extra, false);
    this.#sender.start(this.stream);
  }

  onDrained(): void {
    this.#sender.onDrained();
  }

  // The answer as it comes.

  protected onHead(): void {
    this.#hasResponse = true;
    const method = this.#method;
    this.#resolve({
      stream: true,
      service: method.parent,
      method,
      header: lazyHeaders(this.header?.fields ?? []),
      trailer: this.#trailer,
      message: this,
    });
  }

  onData(bytes: Uint8Array, from: number, to: number, end: boolean): void {
    if (this.isOver) return;
    if (to > from) {
      if (this.#queue.hasMessages) this.#queue.keep(bytes, from, to);
      else this.#read(bytes, from, to);
    }
    // Fails when the messages before have been read.
    if (end && !this.isOver) this.#finish(this.missingTrailers());
    this.#wake();
  }

  protected onEnd(status: ConnectError | undefined, trailers: HeaderBlock): void {
    appendFields(this.#trailer, trailers.fields);
    if (status !== undefined && !this.#hasResponse) {
      this.fail(status);
      return;
    }
    if (!this.#hasResponse) this.onHead();
    this.#finish(status ?? "ok");
    this.#wake();
  }

  /** Nothing more comes; what has come waits for its reader. */
  #finish(end: ConnectError | "ok"): void {
    if (end === "ok") this.calls.ok++;
    this.#end = end;
    this.close();
    this.#sender.stop(end === "ok" ? undefined : end);
  }

  protected onFailed(error: ConnectError): void {
    this.unwatchSignal();
    this.#sender.stop(error);
    this.#queue.clear();
    if (!this.#hasResponse) {
      this.#end = "read";
      this.#reject(error);
      return;
    }
    this.#end = error;
    this.#wake();
  }

  /** What came before is read first. */
  protected override onCut(error: ConnectError): void {
    if (!this.#hasResponse) {
      this.fail(error);
      return;
    }
    this.unwatchSignal();
    this.#finish(error);
    this.#wake();
  }

  /** Also after the answer has come, as long as it has not been read. */
  override cancel(error: ConnectError): void {
    if (!this.isOver) {
      this.fail(error);
      return;
    }
    this.unwatchSignal();
    this.#queue.clear();
    this.#end = error;
    this.#wake();
  }

  #read(bytes: Uint8Array, from: number, to: number): void {
    try {
      this.#queue.read(bytes, from, to);
    } catch (error) {
      // What was read before counts.
      this.#finish(ConnectError.from(error, Code.Internal));
    }
    this.#openWindow();
  }

  #openWindow(): void {
    const bytes = this.#queue.takeCredit();
    if (bytes > 0 && this.stream !== undefined) this.calls.connection.consumed(this.stream, bytes);
  }

  // The reader.

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<Result> {
    if (this.#pending !== undefined) {
      const again = () => this.next();
      return this.#pending.then(again, again);
    }
    const result = this.#take();
    if (result !== undefined) return Promise.resolve(result);
    return this.#wait();
  }

  return(): Promise<Result> {
    this.#leave();
    return Promise.resolve({ done: true, value: undefined });
  }

  throw(error: unknown): Promise<Result> {
    this.#leave();
    return Promise.reject(error);
  }

  #leave(): void {
    this.cancel(new ConnectError("the reader of the answer has left", Code.Canceled));
    this.#end = "read";
  }

  /** What the reader gets at once; undefined where it has to wait. */
  #take(): Result | PromiseLike<Result> | undefined {
    let message = this.#queue.shift();
    while (message === undefined && this.#queue.hasKept) {
      const kept = this.#queue.unkeep();
      this.#read(kept, 0, kept.length);
      message = this.#queue.shift();
    }
    if (message !== undefined) {
      this.#openWindow();
      return this.#queue.wasCompressed ? this.#hold(this.#decompress(message)) : this.#decode(message);
    }
    if (this.#end === undefined) return undefined;
    return this.#takeEnd(this.#end);
  }

  #takeEnd(end: ConnectError | "ok" | "read"): Result | PromiseLike<Result> {
    if (end === "read") return { done: true, value: undefined };
    this.unwatchSignal();
    this.#end = "read";
    if (end !== "ok") return Promise.reject(end);
    if (this.#queue.isAmidMessage) return Promise.reject(protocolError("the answer ends amid a message"));
    return { done: true, value: undefined };
  }

  #wait(): Promise<Result> {
    const promise = new Promise<Result>((resolve) => {
      this.#waiter = resolve;
    });
    this.#pending = promise;
    return promise;
  }

  #hold(result: Promise<Result>): Promise<Result> {
    this.#pending = result;
    const release = () => {
      if (this.#pending === result) this.#pending = undefined;
    };
    result.then(release, release);
    return result;
  }

  #wake(): void {
    const waiter = this.#waiter;
    if (waiter === undefined) return;
    const pending = this.#pending;
    // What is taken may have to be waited for, too.
    this.#pending = undefined;
    const result = this.#take();
    if (result === undefined) {
      this.#pending = pending;
      return;
    }
    this.#waiter = undefined;
    waiter(result);
  }

  #decode(bytes: Uint8Array): Result | PromiseLike<Result> {
    try {
      return { done: false, value: decodeMessage(this.#method.output, bytes) };
    } catch (error) {
      return Promise.reject(this.#break(ConnectError.from(error)));
    }
  }

  async #decompress(bytes: Uint8Array): Promise<Result> {
    const { acceptCompression, maxReceiveBytes } = this.calls.options;
    const compression = findCompression(acceptCompression, this.facts?.encoding ?? "");
    let message: Uint8Array;
    try {
      message = await decompressMessage(bytes, compression, maxReceiveBytes);
    } catch (error) {
      throw this.#break(ConnectError.from(error));
    }
    return this.#decode(message);
  }

  /** A message that cannot be read ends the call; its reader is told with it. */
  #break(error: ConnectError): ConnectError {
    this.cancel(error);
    this.#end = "read";
    return error;
  }
}
