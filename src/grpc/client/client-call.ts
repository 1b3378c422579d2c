// One call of a client, whatever its kind: its stream's listener, its entry among the deadlines and its place in the queue, in one object.
// Knows when the call is over; what it answers is its subclasses'.

import type { ConnectError } from "@connectrpc/connect";
import type { CallSignal } from "../../core/call-signal.ts";
import type { Deadlined } from "../../core/deadline-queue.ts";
import { ErrorCode } from "../../http2/error-code.ts";
import type { HeaderBlock } from "../../http2/hpack/header-decoder.ts";
import type { Stream, StreamListener } from "../../http2/stream.ts";
import { appendFields } from "../metadata.ts";
import { readStatus } from "../status.ts";
import {
  aborted,
  leftOut,
  lost,
  missingStatus,
  neverSent,
  refused,
  timedOut,
  tooManyHeaders,
  wasReset,
} from "./call-errors.ts";
import type { ClientCalls, WaitingCall } from "./client-calls.ts";
import type { RequestHead } from "./request-fields.ts";
import { type ResponseFacts, responseFacts, responseProblem, trailersStatus } from "./response-facts.ts";

export abstract class ClientCall implements StreamListener, Deadlined, WaitingCall {
  dueMs = 0;
  nextDue: Deadlined | undefined = undefined;
  previousDue: Deadlined | undefined = undefined;
  isWaiting = false;
  nextWaiting: WaitingCall | undefined = undefined;
  previousWaiting: WaitingCall | undefined = undefined;
  readonly calls: ClientCalls;
  stream: Stream | undefined = undefined;
  /** The call's end is known: nothing that comes matters any more. */
  isOver = false;
  protected readonly head: RequestHead;
  /** Known when the answer's headers have come. */
  protected facts: ResponseFacts | undefined = undefined;
  protected header: HeaderBlock | undefined = undefined;
  #signal: CallSignal | undefined = undefined;
  #onAbort: (() => void) | undefined = undefined;

  constructor(calls: ClientCalls, head: RequestHead) {
    this.calls = calls;
    this.head = head;
  }

  /** Starts the deadline, if the signal does not keep it, and heeds the signal; false where it is over already. `timeoutMs` is more than 0. */
  protected watch(timeoutMs: number | undefined, signal: CallSignal | undefined): boolean {
    if (signal !== undefined) {
      if (signal.aborted) {
        this.fail(aborted(signal, false));
        return false;
      }
      this.#signal = signal;
      this.#onAbort = () => this.cancel(aborted(signal, this.stream !== undefined));
      signal.addEventListener("abort", this.#onAbort);
    }
    if (timeoutMs !== undefined && signal?.isPastDeadline === undefined) this.calls.deadlines.add(this, timeoutMs);
    return true;
  }

  /** What is left of a deadline that is kept here; undefined where none is. */
  protected get remainingMs(): number | undefined {
    return this.dueMs === 0 ? undefined : this.dueMs - this.calls.clock.now();
  }

  protected unwatchSignal(): void {
    if (this.#onAbort === undefined) return;
    this.#signal?.removeEventListener("abort", this.#onAbort);
    this.#signal = undefined;
    this.#onAbort = undefined;
  }

  /** Opens the stream and sends what there is to send. */
  abstract send(): void;
  /** The headers of an answer that goes on have come and are in order. */
  protected abstract onHead(): void;
  /** The answer is whole. `status` is the error, or undefined for ok; `trailers` may be the block of the headers. */
  protected abstract onEnd(status: ConnectError | undefined, trailers: HeaderBlock): void;
  /** The call has failed, and is over. */
  protected abstract onFailed(error: ConnectError): void;
  abstract onData(bytes: Uint8Array, from: number, to: number, end: boolean): void;
  abstract onDrained(): void;

  /** Ends the call with an error, wherever it stands; the peer is told by CANCEL. Does nothing where it is over. */
  fail(error: ConnectError): void {
    if (this.isOver) return;
    this.close();
    this.onFailed(error);
  }

  /** The caller gives up. */
  cancel(error: ConnectError): void {
    this.fail(error);
  }

  /** Lets go of everything: the call is over on the wire. */
  protected close(): void {
    this.isOver = true;
    const { calls, stream } = this;
    if (this.nextDue !== undefined) calls.deadlines.remove(this);
    if (this.isWaiting) calls.leave(this);
    // What the peer has not said yet, or what it has not read yet, is of no use any more. CANCEL in either case: PROTOCOL-HTTP2.md, Errors.
    if (stream !== undefined && !(stream.remoteEnd && stream.localEndSent)) {
      calls.connection.resetStream(stream, ErrorCode.cancel);
    }
  }

  onDeadline(): void {
    this.fail(timedOut(this.stream !== undefined));
  }

  onHeaders(block: HeaderBlock, end: boolean): void {
    if (this.isOver) return;
    if (block.tooLarge) {
      this.fail(tooManyHeaders());
      return;
    }
    if (this.facts !== undefined) {
      this.#onTrailers(block);
      return;
    }
    const facts = responseFacts(block);
    // RFC 9110, section 15.2: there is more to come.
    if (facts.httpStatus < 200) return;
    if (end) {
      this.#onTrailersOnly(block, facts);
      return;
    }
    if (!facts.isPlain) {
      const problem = responseProblem(facts, block, this.calls.options.acceptCompression);
      if (problem !== undefined) {
        this.fail(problem);
        return;
      }
    }
    this.facts = facts;
    this.header = block;
    this.onHead();
  }

  onReset(code: number, refused: boolean): void {
    if (this.isOver) return;
    // Whoever has begun to answer has seen the call, whatever it says now.
    const unprocessed = refused && this.facts === undefined;
    const isClear = unprocessed || this.calls.connection.isOver;
    if (!isClear && (code === ErrorCode.noError || code === ErrorCode.cancel)) {
      // Servers whose connection is cut end their streams before they say so, with no code or with CANCEL: one turn later it is plain
      // which of the two happened (node:http2 of Node 24.21).
      this.calls.clock.schedule(0, () => {
        if (!this.isOver) this.onCut(this.#explainReset(code, unprocessed));
      });
      return;
    }
    this.onCut(this.#explainReset(code, unprocessed));
  }

  /** The peer ended the call before its time, or the connection did. */
  protected onCut(error: ConnectError): void {
    this.fail(error);
  }

  /** The answer's data ended without trailers. Servers whose connection is cut end their streams so. */
  protected missingTrailers(): ConnectError {
    const { session, connection, options } = this.calls;
    return connection.isExhausted ? lost(options.url, session, session.reason) : missingStatus();
  }

  #onTrailers(block: HeaderBlock): void {
    const status = trailersStatus(block);
    if (status === "ok") {
      this.onEnd(undefined, block);
      return;
    }
    const error = status ?? missingStatus();
    if (status === undefined) appendFields(error.metadata, block.fields);
    if (this.header !== undefined) appendFields(error.metadata, this.header.fields);
    this.onEnd(error, block);
  }

  /** Headers that end the stream are trailers as well; a status in them counts, whatever HTTP's is. */
  #onTrailersOnly(block: HeaderBlock, facts: ResponseFacts): void {
    this.facts = facts;
    this.header = block;
    // Not `trailersStatus`: `derived` holds the facts.
    const status = readStatus(block.fields);
    if (status === "ok") {
      this.onEnd(undefined, block);
      return;
    }
    let problem = status ?? responseProblem(facts, block, this.calls.options.acceptCompression);
    if (problem === undefined) {
      problem = missingStatus();
      appendFields(problem.metadata, block.fields);
    }
    this.onEnd(problem, block);
  }

  #explainReset(code: number, unprocessed: boolean): ConnectError {
    const { session, connection, options } = this.calls;
    if (unprocessed) return this.#explainRefusal(code);
    // The peer's clock may be the faster one.
    if (code === ErrorCode.cancel && this.#isPastDeadline()) return timedOut(true);
    const isLost = connection.isOver || session.reason !== undefined;
    if (isLost || (code === ErrorCode.noError && connection.isExhausted)) {
      return lost(options.url, session, session.reason);
    }
    return wasReset(options.url, code);
  }

  /** REFUSED_STREAM is what a GOAWAY makes of those above its last id, too; any other code is that of a connection that never wrote the call. */
  #explainRefusal(code: number): ConnectError {
    const { session, connection, options } = this.calls;
    if (code !== ErrorCode.refusedStream) return neverSent(options.url, session, session.reason);
    if (connection.isExhausted || connection.isOver) return leftOut(options.url, session, session.reason);
    return refused(options.url, session.reason);
  }

  #isPastDeadline(): boolean {
    if (this.nextDue === undefined) return this.#signal?.isPastDeadline?.() ?? false;
    return this.calls.clock.now() >= this.dueMs;
  }
}
