// A call with one message each way. The common case, HEADERS, one DATA frame and trailers, goes through without a detour.

import type { DescMessage, DescMethodUnary, MessageShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type UnaryResponse } from "@connectrpc/connect";
import { markUnsendable } from "../../core/call-fate.ts";
import type { CallSignal } from "../../core/call-signal.ts";
import type { HeaderBlock } from "../../http2/hpack/header-decoder.ts";
import { findCompression } from "../compression.ts";
import { lazyHeaders } from "../lazy-headers.ts";
import { wholeMessage } from "../message.ts";
import { MessageReader, type MessageSink } from "../message-reader.ts";
import { type OutgoingMessage, sendMessage, wholeBytes } from "../outgoing-message.ts";
import { protocolError } from "./call-errors.ts";
import { ClientCall } from "./client-call.ts";
import type { ClientCalls } from "./client-calls.ts";
import { decodeMessage, decompressMessage } from "./encode-message.ts";
import type { RequestHead } from "./request-fields.ts";

type Resolve = (response: UnaryResponse | Promise<UnaryResponse>) => void;
type Reject = (error: ConnectError) => void;
/** See UnaryCaller's in src/transport/connector.ts. */
export type Recourse<I extends DescMessage = DescMessage, O extends DescMessage = DescMessage> = (
  error: ConnectError,
  remainingMs: number | undefined,
) => Promise<UnaryResponse<I, O>> | undefined;

const none: Uint8Array = new Uint8Array(0);

export class UnaryCall extends ClientCall implements MessageSink {
  readonly #method: DescMethodUnary;
  /** The request, until it is sent. */
  #body: OutgoingMessage;
  readonly #resolve: Resolve;
  readonly #reject: Reject;
  readonly #recourse: Recourse | undefined;
  /** The answer. */
  #message: Uint8Array | undefined = undefined;
  #isCompressed = false;
  /** Only where the answer does not come in one piece. */
  #reader: MessageReader | undefined = undefined;

  constructor(
    calls: ClientCalls,
    method: DescMethodUnary,
    head: RequestHead,
    body: OutgoingMessage,
    resolve: Resolve,
    reject: Reject,
    recourse: Recourse | undefined,
  ) {
    super(calls, head);
    this.#method = method;
    this.#body = body;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#recourse = recourse;
  }

  /** Begins the call. Once. */
  start(timeoutMs: number | undefined, signal: CallSignal | undefined): void {
    this.calls.unaryBegun++;
    if (!this.watch(timeoutMs, signal)) return;
    const { sendCompression, compressMinBytes } = this.calls.options;
    if (sendCompression === undefined || this.#body.length < compressMinBytes) {
      this.calls.place(this);
      if (this.isWaiting) this.#body = wholeBytes(this.#body);
      return;
    }
    sendCompression.compress(wholeBytes(this.#body)).then(
      (bytes) => {
        if (this.isOver) return;
        this.#body = bytes;
        this.#isCompressed = true;
        this.calls.place(this);
      },
      (error: unknown) => this.fail(markUnsendable(ConnectError.from(error, Code.Internal))),
    );
  }

  send(): void {
    const { connection } = this.calls;
    const body = this.#body;
    const isCompressed = this.#isCompressed;
    this.#body = none;
    this.#isCompressed = false;
    this.stream = connection.open(this, this.head.prepared, this.head.extra, false);
    sendMessage(connection, this.stream, body, isCompressed, true);
  }

  onData(bytes: Uint8Array, from: number, to: number, end: boolean): void {
    if (this.isOver || this.stream === undefined) return;
    // The message is bounded by itself, not by the window.
    this.calls.connection.consumed(this.stream, to - from);
    const whole =
      this.#message === undefined && this.#reader === undefined
        ? wholeMessage(bytes, from, to, this.calls.options.maxReceiveBytes)
        : undefined;
    if (whole !== undefined) this.#message = whole;
    else if (to > from) this.#readPiece(bytes, from, to);
    if (end) this.fail(this.missingTrailers());
  }

  #readPiece(bytes: Uint8Array, from: number, to: number): void {
    this.#reader ??= new MessageReader(this.calls.options.maxReceiveBytes);
    try {
      this.#reader.read(bytes, from, to, this);
    } catch (error) {
      this.fail(ConnectError.from(error, Code.Internal));
    }
  }

  onMessage(message: Uint8Array, compressed: boolean): void {
    if (this.#message !== undefined) {
      this.fail(protocolError("received extra output message for unary method", Code.Unimplemented));
      return;
    }
    this.#message = message;
    this.#isCompressed = compressed;
  }

  onDrained(): void {}

  protected onHead(): void {}

  protected onEnd(status: ConnectError | undefined, trailers: HeaderBlock): void {
    const message = this.#message;
    if (status !== undefined) {
      this.fail(status);
    } else if (this.#reader !== undefined && !this.#reader.isEmpty) {
      this.fail(protocolError("the answer ends amid a message"));
    } else if (message === undefined) {
      this.fail(protocolError("missing output message for unary method", Code.Unimplemented));
    } else if (this.#isCompressed) {
      this.#decompress(message, trailers);
    } else {
      this.#finish(message, trailers);
    }
  }

  #decompress(message: Uint8Array, trailers: HeaderBlock): void {
    const { acceptCompression, maxReceiveBytes } = this.calls.options;
    const compression = findCompression(acceptCompression, this.facts?.encoding ?? "");
    decompressMessage(message, compression, maxReceiveBytes).then(
      (bytes) => {
        if (!this.isOver) this.#finish(bytes, trailers);
      },
      (error: unknown) => this.fail(ConnectError.from(error)),
    );
  }

  #finish(bytes: Uint8Array, trailers: HeaderBlock): void {
    const method = this.#method;
    let message: MessageShape<typeof method.output>;
    try {
      message = decodeMessage(method.output, bytes);
    } catch (error) {
      this.fail(ConnectError.from(error));
      return;
    }
    this.close();
    this.unwatchSignal();
    this.calls.ok++;
    this.calls.unaryEnded++;
    this.#resolve({
      stream: false,
      service: method.parent,
      method,
      header: lazyHeaders(this.header?.fields ?? []),
      message,
      trailer: lazyHeaders(trailers.fields),
    });
  }

  protected onFailed(error: ConnectError): void {
    this.unwatchSignal();
    this.#body = none;
    this.calls.unaryEnded++;
    const instead = this.#recourse?.(error, this.remainingMs);
    if (instead === undefined) this.#reject(error);
    else this.#resolve(instead);
  }
}
