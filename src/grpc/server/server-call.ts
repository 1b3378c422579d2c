// One call on its stream, from the request's head to the end of the answer: what all kinds of calls have in common.
// The call is the stream's listener, its own deadline and its place among the server's calls at once, so that it is one allocation.

import { Code, ConnectError, type ContextValues } from "@connectrpc/connect";
import type { Deadlined } from "../../core/deadline-queue.ts";
import { ErrorCode } from "../../http2/error-code.ts";
import type { HeaderBlock } from "../../http2/hpack/header-decoder.ts";
import type { PreparedFields, Stream, StreamListener } from "../../http2/stream.ts";
import { fieldBytes } from "../metadata.ts";
import { type OutgoingMessage, sendMessage } from "../outgoing-message.ts";
import { statusFields } from "../status.ts";
import { CallContext } from "./call-context.ts";
import { type GatedCall, type GateTicket, type Refusal, refusalError } from "./call-gate.ts";
import type { CallHome } from "./call-home.ts";
import type { TrackedCall } from "./call-tracker.ts";
import type { CallShape, RequestFacts } from "./request-facts.ts";
import { responseFields } from "./response-fields.ts";
import { logReset, whyReset } from "./why-reset.ts";

/** Room for the fields that the protocol has beside those of handlers and errors. */
const ownHeaderBytes = 256;

export abstract class ServerCall implements StreamListener, Deadlined, TrackedCall, GatedCall {
  readonly home: CallHome;
  readonly stream: Stream;
  readonly shape: CallShape;
  /** Of the request's head. */
  readonly fields: readonly string[];
  /** Its status is handed over, or nobody waits for one any more. */
  isOver = false;
  dueMs = 0;
  nextDue: Deadlined | undefined = undefined;
  previousDue: Deadlined | undefined = undefined;
  nextCall: TrackedCall | undefined = undefined;
  previousCall: TrackedCall | undefined = undefined;
  ticket: GateTicket | undefined = undefined;
  /** The handler was called, and has not settled. Only where there is a gate. */
  #isHandled = false;
  readonly #timeoutMs: number | undefined;
  #context: CallContext | undefined = undefined;
  #isHeadSent = false;

  constructor(home: CallHome, stream: Stream, facts: RequestFacts, fields: readonly string[]) {
    this.home = home;
    this.stream = stream;
    this.shape = facts.shape;
    this.fields = fields;
    this.#timeoutMs = facts.timeoutMs;
  }

  /** Begins, once the stream is there; `end` where the request has nothing but its head. */
  start(end: boolean): void {
    this.home.calls.add(this);
    if (this.#timeoutMs !== undefined) this.home.deadlines.add(this, this.#timeoutMs);
    if (end) this.onRequestEnd();
  }

  get context(): CallContext {
    this.#context ??= new CallContext(this);
    return this.#context;
  }

  get url(): string {
    const { fields } = this;
    let authority = "localhost";
    for (let index = 0; index < fields.length; index += 2) {
      if (fields[index] === ":authority") authority = fields[index + 1] ?? "";
    }
    return `${this.home.scheme}://${authority}${this.shape.route.path}`;
  }

  /** Milliseconds to the deadline, below 0 once it is over; undefined where there is none. */
  remainingMs(): number | undefined {
    return this.#timeoutMs === undefined ? undefined : this.dueMs - this.home.clock.now();
  }

  newValues(): ContextValues {
    return this.home.newValues();
  }

  // The gate.

  get beginsLater(): boolean {
    return this.shape.route.interceptors.length > 0 || this.shape.route.requestGate !== undefined;
  }

  begin(): void {
    this.#isHandled = true;
    this.handle();
  }

  refuse({ pushbackMs }: Refusal): void {
    if (this.isOver) return;
    if (pushbackMs !== undefined) {
      this.#abort(refusalError(pushbackMs));
      return;
    }
    this.home.connection.resetStream(this.stream, ErrorCode.refusedStream);
    this.#end(refusalError(0));
    this.home.calls.remove(this);
  }

  /** The handler does no more for this call. Needs to be told only where there is a ticket. */
  settled(): void {
    this.#isHandled = false;
    if (this.isOver) this.ticket?.release();
  }

  /** Has `handle` called: at once, or when it is the call's turn. */
  protected enter(heldBytes: number): void {
    const { gate } = this.shape;
    if (gate === undefined) this.handle();
    else gate.enter(this, heldBytes);
  }

  // What the subclasses do.

  /** Takes the call to its handler. */
  protected abstract handle(): void;

  /** A piece of the request; see StreamListener. */
  abstract onData(bytes: Uint8Array, from: number, to: number, end: boolean): void;
  /** The request is whole. */
  protected abstract onRequestEnd(): void;
  /** What was handed over for sending has gone out. Also called when the call is over: whoever waits must look. */
  protected abstract onSendable(): void;
  /** The call is over: lets go of everything. `reason` is undefined where it was answered in order. */
  protected abstract onOver(reason: ConnectError | undefined): void;

  // What the stream, the deadlines and the server tell.

  onHeaders(_trailers: HeaderBlock, end: boolean): void {
    if (end && !this.isOver) this.onRequestEnd();
  }

  onReset(code: number): void {
    const { connection, logger } = this.home;
    logReset(logger, connection, this.stream, code);
    if (!this.isOver) this.#end(whyReset(connection, this.stream, code, this.home.whyOver()));
    this.home.calls.remove(this);
  }

  onDrained(): void {
    if (this.isOver) this.home.calls.remove(this);
    else this.onSendable();
  }

  onDeadline(): void {
    this.#abort(new ConnectError("the operation timed out", Code.DeadlineExceeded));
  }

  cut(reason: ConnectError): void {
    this.#abort(reason);
  }

  // The answer.

  /** Sends a message as it is on the wire. False where some of it has to wait: `onSendable` follows. */
  send(message: OutgoingMessage, isCompressed: boolean): boolean {
    if (!this.#isHeadSent && !this.#sendHead()) return true;
    return sendMessage(this.home.connection, this.stream, message, isCompressed, false);
  }

  /** Encodes a message. Throws ConnectError where it cannot be, or is too long. */
  encode(value: unknown): OutgoingMessage {
    const bytes = this.shape.codec.encode(value);
    const { writeMaxBytes } = this.shape.route;
    if (bytes.length > writeMaxBytes) {
      throw new ConnectError(
        `message size ${bytes.length} is larger than configured writeMaxBytes ${writeMaxBytes}`,
        Code.ResourceExhausted,
      );
    }
    return bytes;
  }

  /** Whether a message is worth compressing, and may be. */
  isCompressible(message: OutgoingMessage): boolean {
    return this.shape.responseCompression !== undefined && message.length >= this.shape.route.compressMinBytes;
  }

  /** The handler has settled, in order: ends the call so. */
  finish(): void {
    if (this.ticket !== undefined) this.settled();
    if (this.isOver) return;
    if (!this.#isHeadSent && !this.#sendHead()) return;
    const trailer = this.#context?.sentTrailer;
    const fields = trailer === undefined ? undefined : responseFields(trailer);
    if (this.#isTooLarge(fields)) {
      this.fail(new ConnectError("the trailers are larger than the client takes", Code.ResourceExhausted));
      return;
    }
    this.#sendEnd(this.home.okTrailers, fields);
    this.#end(undefined);
  }

  /** There is no answer, and no handler that works on one: ends the call with an error. One that is no ConnectError is told to the logger, not to the client. */
  fail(error: unknown): void {
    if (this.ticket !== undefined) this.settled();
    if (!this.isOver) this.#abort(this.#statusOf(error));
  }

  /** Ends the call with an error, whatever its handler does. */
  #abort(status: ConnectError): void {
    if (this.isOver) return;
    this.#sendStatus(status);
    this.#end(status);
  }

  #statusOf(error: unknown): ConnectError {
    if (error instanceof ConnectError) return error;
    const { method } = this.shape.route;
    this.home.logger.error("Handler failed", { service: method.parent.typeName, method: method.name, error });
    return new ConnectError("internal error", Code.Internal, undefined, undefined, error);
  }

  #sendStatus(status: ConnectError): void {
    const ownFields = statusFields(status);
    const context = this.#context;
    const trailer = context?.sentTrailer;
    let fields = trailer === undefined ? ownFields : [...responseFields(trailer), ...ownFields];
    // The trailers go first: what went wrong matters more.
    if (this.#isTooLarge(fields)) fields = ownFields;
    if (this.#isTooLarge(fields)) {
      const [name = "", code = ""] = ownFields;
      fields = [name, code, "grpc-message", "the status is larger than the client takes"];
    }
    const header = context?.sentHeader === undefined ? [] : responseFields(context.sentHeader);
    if (this.#isHeadSent || (header.length > 0 && !this.#isTooLarge(header))) {
      if (!this.#isHeadSent) this.#sendHead();
      this.#sendEnd(this.home.noFields, fields);
      return;
    }
    // Trailers-only: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses
    this.#sendEnd(this.shape.trailersOnlyHead, fields);
  }

  /** False where the call has failed over it. */
  #sendHead(): boolean {
    const header = this.#context?.sentHeader;
    const extra = header === undefined ? undefined : responseFields(header);
    if (this.#isTooLarge(extra)) {
      this.fail(new ConnectError("the headers are larger than the client takes", Code.ResourceExhausted));
      return false;
    }
    this.#isHeadSent = true;
    this.home.connection.sendHeaders(this.stream, this.shape.head, extra, false);
    return true;
  }

  /** A client may end the connection, with all its other calls, for headers beyond what it said that it takes: RFC 9113, section 10.5.1. */
  #isTooLarge(fields: readonly string[] | undefined): boolean {
    if (fields === undefined) return false;
    return fieldBytes(fields) > this.home.connection.peerMaxHeaderListBytes - ownHeaderBytes;
  }

  #sendEnd(prepared: PreparedFields, extra: readonly string[] | undefined): void {
    this.home.connection.sendHeaders(this.stream, prepared, extra, true);
  }

  #end(reason: ConnectError | undefined): void {
    this.isOver = true;
    if (this.ticket !== undefined) {
      // A handler that goes on though nobody waits for it counts until it settles, if it does.
      if (this.#isHandled) this.ticket.abandon();
      else this.ticket.release();
    }
    if (this.#timeoutMs !== undefined) this.home.deadlines.remove(this);
    // What still waits for the client's window is part of the call: onDrained or onReset follows.
    if (this.stream.firstPending === undefined) this.home.calls.remove(this);
    this.onOver(reason);
    this.#context?.end(reason);
  }
}
