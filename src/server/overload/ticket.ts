// A call's place in a CallQueue, and the line in which those who wait stand. Decides nothing.

import type { GatedCall, GateTicket } from "../../grpc/server/call-gate.ts";

/** Who is told that a ticket is given back. */
export interface TicketOwner {
  /** A call is over that waited. */
  onLeft(ticket: Ticket, call: GatedCall): void;
  /** A handler has settled. */
  onDone(ticket: Ticket, call: GatedCall): void;
  /** A call is over whose handler goes on. */
  onAbandoned(ticket: Ticket): void;
}

export class Ticket implements GateTicket {
  /** Undefined once the call neither waits nor runs. */
  call: GatedCall | undefined;
  /** How much of the limit it takes. */
  readonly weight: number;
  /** Whether what it takes says how busy the server is. */
  isTimed: boolean;
  readonly heldBytes: number;
  readonly enteredMs: number;
  startedMs = 0;
  abandonedMs = 0;
  isRunning = false;
  readonly #owner: TicketOwner;

  constructor(
    owner: TicketOwner,
    call: GatedCall,
    weight: number,
    isTimed: boolean,
    heldBytes: number,
    enteredMs: number,
  ) {
    this.#owner = owner;
    this.call = call;
    this.weight = weight;
    this.isTimed = isTimed;
    this.heldBytes = heldBytes;
    this.enteredMs = enteredMs;
  }

  release(): void {
    const { call } = this;
    if (call === undefined) return;
    this.call = undefined;
    if (this.isRunning) this.#owner.onDone(this, call);
    else this.#owner.onLeft(this, call);
  }

  abandon(): void {
    if (this.call !== undefined) this.#owner.onAbandoned(this);
  }
}

const firstSlots = 64;

/** First in, first out, in a ring. */
export class WaitingLine {
  #ring: (Ticket | undefined)[] = new Array(firstSlots).fill(undefined);
  #at = 0;
  length = 0;

  get first(): Ticket | undefined {
    return this.#ring[this.#at];
  }

  push(ticket: Ticket): void {
    const size = this.#ring.length;
    if (this.length === size) {
      const rest = this.#ring.slice(0, this.#at);
      this.#ring = [...this.#ring.slice(this.#at), ...rest, ...new Array<undefined>(size).fill(undefined)];
      this.#at = 0;
    }
    this.#ring[(this.#at + this.length) & (this.#ring.length - 1)] = ticket;
    this.length++;
  }

  shift(): void {
    if (this.length === 0) return;
    this.#ring[this.#at] = undefined;
    this.#at = (this.#at + 1) & (this.#ring.length - 1);
    this.length--;
  }
}
