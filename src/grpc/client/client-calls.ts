// The calls of one session: sends them while the peer takes streams, and has the others wait for their turn. Opens and closes no session.

import type { ConnectError } from "@connectrpc/connect";
import type { Clock } from "../../core/clock.ts";
import { type DeadlineQueue, deadlineQueueOf } from "../../core/deadline-queue.ts";
import type { Http2Connection } from "../../http2/connection.ts";
import type { Http2Session } from "../../http2/session.ts";
import { full, notTaken } from "./call-errors.ts";
import type { CallOptions } from "./call-options.ts";

/** A call that may have to wait; it keeps the links and touches none but its own. */
export interface WaitingCall {
  isWaiting: boolean;
  nextWaiting: WaitingCall | undefined;
  previousWaiting: WaitingCall | undefined;
  /** Opens its stream: there is room for one. */
  send(): void;
  fail(error: ConnectError): void;
}

/** What calls share. Also counts them, by increments alone: see `CallCounts` of the Connector contract. */
export class ClientCalls {
  readonly session: Http2Session;
  readonly connection: Http2Connection;
  readonly options: CallOptions;
  readonly clock: Clock;
  readonly deadlines: DeadlineQueue;
  /** Called when a call has been sent. */
  onSent: (() => void) | undefined;
  /** How many ended with ok. */
  ok = 0;
  /** How many unary calls began, and how many of them have ended. */
  unaryBegun = 0;
  unaryEnded = 0;
  /** How many wait for a free stream. */
  waiting = 0;
  readonly #maxPending: number;
  #takesCalls = true;
  #first: WaitingCall | undefined;
  #last: WaitingCall | undefined;

  constructor(session: Http2Session, options: CallOptions) {
    this.session = session;
    this.connection = session.connection;
    this.options = options;
    this.clock = options.clock;
    this.deadlines = deadlineQueueOf(options.clock);
    this.#maxPending = options.maxPendingCalls ?? Number.POSITIVE_INFINITY;
  }

  /** Calls of any kind under way. */
  get active(): number {
    return this.connection.streamCount + this.waiting;
  }

  get unaryActive(): number {
    return this.unaryBegun - this.unaryEnded;
  }

  /** Sends a call now, or when it is its turn; fails it as unprocessed where the session takes none any more, or as many wait as may. */
  place(call: WaitingCall): void {
    if (!this.#takesCalls || this.connection.isExhausted) {
      call.fail(notTaken(this.options.url));
    } else if (this.#first === undefined && this.connection.canOpen) {
      call.send();
      this.onSent?.();
    } else if (this.waiting < this.#maxPending) {
      this.#enqueue(call);
    } else {
      call.fail(full(this.options.url, this.connection.streamCount, this.waiting));
    }
  }

  /** Takes a call out that does not want to wait any longer. */
  leave(call: WaitingCall): void {
    if (!call.isWaiting) return;
    const { nextWaiting, previousWaiting } = call;
    if (previousWaiting === undefined) this.#first = nextWaiting;
    else previousWaiting.nextWaiting = nextWaiting;
    if (nextWaiting === undefined) this.#last = previousWaiting;
    else nextWaiting.previousWaiting = previousWaiting;
    call.isWaiting = false;
    this.waiting--;
    call.nextWaiting = undefined;
    call.previousWaiting = undefined;
  }

  /** The peer takes streams again: those that have waited longest go first. */
  onSlot(): void {
    for (let call = this.#first; call !== undefined && this.connection.canOpen; call = this.#first) {
      this.leave(call);
      call.send();
      this.onSent?.();
    }
  }

  /** Takes no more calls; those that wait fail as unprocessed. Idempotent. */
  stop(): void {
    this.#takesCalls = false;
    for (let call = this.#first; call !== undefined; call = this.#first) {
      this.leave(call);
      call.fail(notTaken(this.options.url));
    }
  }

  #enqueue(call: WaitingCall): void {
    call.isWaiting = true;
    this.waiting++;
    call.previousWaiting = this.#last;
    if (this.#last === undefined) this.#first = call;
    else this.#last.nextWaiting = call;
    this.#last = call;
  }
}
