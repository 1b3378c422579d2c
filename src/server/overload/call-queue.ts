// The limit of a server's concurrency, and the queue before it. All calls of a server go through one, in order; it holds a timer only while
// some wait. Knows no protocol: how a call begins, and how it is refused, is the call's.
//
// JavaScript runs one handler at a time. Where handlers compute, the queue would be in the sockets, unread: nobody could see how long it is, nor
// refuse anybody in it. So handlers get a few milliseconds of each turn of the event loop, and what comes meanwhile waits here.

import type { Clock } from "../../core/clock.ts";
import type { Logger } from "../../core/logger.ts";
import { jitter, type Random } from "../../core/random.ts";
import type { CallGate, GatedCall, Refusal } from "../../grpc/server/call-gate.ts";
import { GradientLimit } from "./gradient-limit.ts";
import type { ResolvedOverload } from "./overload-options.ts";
import { ShedLog } from "./shed-log.ts";
import { Ticket, type TicketOwner, WaitingLine } from "./ticket.ts";

/** What a server did about overload, since it began. */
export interface OverloadStats {
  /** Handlers that run now, by their weights. */
  readonly running: number;
  /** Calls that wait now. */
  readonly queued: number;
  /** Handlers at a time. */
  readonly limit: number;
  /** Calls that were refused. */
  readonly shed: number;
  /** Calls whose deadline passed while they waited. */
  readonly expired: number;
}

/** What a queue is made with. */
export interface CallQueueParts extends Pick<ResolvedOverload, "maxConcurrentCalls" | "maxQueued" | "queueTimeoutMs"> {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Runs a function after what else the event loop has to do. */
  readonly yieldToLoop: (run: () => void) => void;
}

/** What handlers get of a turn. */
const turnMs = 5;
/** The same for those that begin after we let go of them, so that nothing is known of what they take. */
const laterPerTurn = 4;
/** How long a handler counts whose call is over: one that heeds no signal may never settle. */
const abandonedCountMs = 10_000;
const maxQueuedBytes: number = 64 * 1024 * 1024;
/** Calls that wait for nobody to end, but for their turn. */
const maxForTurn = 10_000;
/** How much the last one counts at least in what is known of the queue's pace, and of how many are refused: many may begin in one turn. */
const paceShare = 1 / 128;
const shedShare = 1 / 128;
/** What was known of the pace is worth nothing after so long. */
const paceWorthMs = 1000;
/** As many as may go elsewhere at once, for each that is taken; and how many may be saved up. */
const moveRatio = 0.1;
const maxMoves = 100;
const leastPushbackMs = 50;
const mostPushbackMs = 30_000;
const pushbackJitter = 0.5;

/** The one gate of a server, with a way in for each kind of calls. */
export class CallQueue implements TicketOwner {
  readonly #parts: CallQueueParts;
  readonly #gradient: GradientLimit | undefined;
  readonly #log: ShedLog;
  readonly #line: WaitingLine = new WaitingLine();
  /** Calls that are over while their handlers go on; those that have settled too, until they get to its head. */
  readonly #abandoned: WaitingLine = new WaitingLine();
  #limit: number;
  #running = 0;
  #queued = 0;
  #queuedBytes = 0;
  #shed = 0;
  #expired = 0;
  /** Time that one call spends at the head of the line, on average; and when the last one began. */
  #paceMs = 0;
  #paceStarts = 0;
  #lastStartMs = 0;
  /** Part of the calls that are refused. */
  #shedRatio = 0;
  #moves = maxMoves;
  /** Whether handlers have run in this turn of the event loop, since when, and how many of those that begin later. */
  #isInTurn = false;
  #turnSinceMs = 0;
  #laterInTurn = 0;
  #cancelTimeout: (() => void) | undefined;
  #cancelAbandoned: (() => void) | undefined;
  readonly #onTurn = (): void => {
    this.#isInTurn = false;
    this.#pump();
  };

  constructor(parts: CallQueueParts) {
    const { maxConcurrentCalls, clock, logger } = parts;
    this.#parts = parts;
    this.#gradient = maxConcurrentCalls === "adaptive" ? new GradientLimit() : undefined;
    this.#limit = maxConcurrentCalls === "adaptive" ? (this.#gradient?.current ?? 1) : maxConcurrentCalls;
    this.#log = new ShedLog(logger, clock, () => ({
      running: this.#running,
      queued: this.#queued,
      limit: this.#limit,
    }));
  }

  /** A way in. `weight`: what a call counts for; `isTimed`: whether its latency says how busy the server is. */
  gate(weight: number, isTimed: boolean): CallGate {
    return {
      refusalFor: (timeoutMs) => (this.#line.length === 0 ? undefined : this.#refusalFor(timeoutMs)),
      enter: (call, heldBytes) => this.#enter(call, weight, isTimed, heldBytes),
    };
  }

  get stats(): OverloadStats {
    return {
      running: this.#running,
      queued: this.#queued,
      limit: this.#limit,
      shed: this.#shed,
      expired: this.#expired,
    };
  }

  /** The server has ended: lets go of the timers. */
  stop(): void {
    this.#cancelTimeout?.();
    this.#cancelTimeout = undefined;
    this.#cancelAbandoned?.();
    this.#cancelAbandoned = undefined;
    this.#log.stop();
  }

  // The way in.

  #refusalFor(timeoutMs: number | undefined): Refusal | undefined {
    const { maxQueued, queueTimeoutMs } = this.#parts;
    const waitMs = this.#waitMs;
    // Also where its own deadline would pass before: it is told in time to try elsewhere.
    const isTooLong = waitMs > queueTimeoutMs || (timeoutMs !== undefined && waitMs > timeoutMs);
    // Those who left the line stand in it still until they get to its head.
    const most = this.#running < this.#limit ? Math.max(maxQueued, maxForTurn) : maxQueued;
    const isFull = this.#line.length >= most || this.#queuedBytes >= maxQueuedBytes;
    return isTooLong || isFull ? this.#refusal() : undefined;
  }

  #enter(call: GatedCall, weight: number, isTimed: boolean, heldBytes: number): void {
    const nowMs = this.#parts.clock.now();
    const ticket = new Ticket(this, call, weight, isTimed, heldBytes, nowMs);
    call.ticket = ticket;
    if (this.#line.length === 0 && this.#hasRoom(weight) && this.#hasTime(call, nowMs)) {
      this.#start(ticket, call, nowMs);
      return;
    }
    // Asked again: many may have come while its message did.
    const refusal = this.#refusalFor(undefined);
    if (refusal !== undefined) {
      ticket.call = undefined;
      call.refuse(refusal);
      return;
    }
    if (this.#line.length === 0 && nowMs - this.#lastStartMs > paceWorthMs) this.#forgetPace();
    this.#line.push(ticket);
    this.#queued++;
    this.#queuedBytes += heldBytes;
    this.#armTimeout(this.#parts.queueTimeoutMs + 1);
  }

  /** What the last one in the line has to wait, as far as is known. */
  get #waitMs(): number {
    return this.#queued * this.#paceMs;
  }

  #hasRoom(weight: number): boolean {
    return this.#running + weight <= this.#limit;
  }

  #hasTime(call: GatedCall, nowMs: number): boolean {
    if (!this.#isInTurn) return true;
    if (nowMs - this.#turnSinceMs >= turnMs) return false;
    return !call.beginsLater || this.#laterInTurn < laterPerTurn;
  }

  /** What happens now belongs to one turn; the next one looks who waits. */
  #takeTurn(nowMs: number): void {
    if (this.#isInTurn) return;
    this.#isInTurn = true;
    this.#turnSinceMs = nowMs;
    this.#laterInTurn = 0;
    this.#parts.yieldToLoop(this.#onTurn);
  }

  #start(ticket: Ticket, call: GatedCall, nowMs: number): void {
    this.#takeTurn(nowMs);
    ticket.isRunning = true;
    ticket.startedMs = nowMs;
    this.#running += ticket.weight;
    this.#moves = Math.min(maxMoves, this.#moves + moveRatio);
    this.#shedRatio -= this.#shedRatio * shedShare;
    if (call.beginsLater) this.#laterInTurn++;
    call.begin();
  }

  // The line.

  #pump(): void {
    if (this.#line.length === 0) return;
    const { clock, queueTimeoutMs } = this.#parts;
    let nowMs = clock.now();
    for (let ticket = this.#line.first; ticket !== undefined; ticket = this.#line.first) {
      const { call } = ticket;
      if (call === undefined) {
        this.#line.shift();
        continue;
      }
      const leftMs = call.remainingMs();
      const isExpired = leftMs !== undefined && leftMs <= 0;
      const isLate = nowMs - ticket.enteredMs > queueTimeoutMs;
      // Who ends makes room and has us look again; for time, the next turn does.
      if (!isExpired && !isLate && !(this.#hasRoom(ticket.weight) && this.#hasTime(call, nowMs))) return;
      this.#line.shift();
      this.#queued--;
      this.#queuedBytes -= ticket.heldBytes;
      if (isExpired) {
        ticket.call = undefined;
        this.#onExpired();
        call.onDeadline();
      } else if (isLate) {
        ticket.call = undefined;
        call.refuse(this.#refusal());
      } else {
        this.#notePace(ticket, nowMs);
        this.#start(ticket, call, nowMs);
        nowMs = clock.now();
      }
    }
  }

  #notePace(ticket: Ticket, nowMs: number): void {
    const atHeadMs = nowMs - Math.max(this.#lastStartMs, ticket.enteredMs);
    this.#paceStarts++;
    this.#paceMs += (atHeadMs - this.#paceMs) * Math.max(paceShare, 1 / this.#paceStarts);
    this.#lastStartMs = nowMs;
  }

  #forgetPace(): void {
    this.#paceMs = 0;
    this.#paceStarts = 0;
  }

  /** Where nothing ends, nobody looks at those who have waited too long. */
  #armTimeout(delayMs: number): void {
    this.#cancelTimeout ??= this.#parts.clock.schedule(delayMs, () => {
      this.#cancelTimeout = undefined;
      this.#pump();
      const first = this.#line.first;
      // One more than the rest, as it is refused only when it has waited longer.
      if (first !== undefined) {
        this.#armTimeout(this.#parts.queueTimeoutMs - (this.#parts.clock.now() - first.enteredMs) + 1);
      }
    });
  }

  // What tickets tell.

  onLeft(ticket: Ticket, call: GatedCall): void {
    this.#queued--;
    this.#queuedBytes -= ticket.heldBytes;
    const leftMs = call.remainingMs();
    if (leftMs !== undefined && leftMs <= 0) this.#onExpired();
  }

  onDone(ticket: Ticket, call: GatedCall): void {
    this.#running -= ticket.weight;
    // Weights need not be sums of powers of two.
    if (this.#running < 1e-9) this.#running = 0;
    if (ticket.isTimed && this.#gradient !== undefined) {
      const nowMs = this.#parts.clock.now();
      const leftMs = call.remainingMs();
      const isLate = leftMs !== undefined && leftMs <= 0;
      this.#gradient.sample(nowMs - ticket.startedMs, this.#running + ticket.weight, nowMs, isLate);
      this.#limit = this.#gradient.current;
    }
    if (this.#line.length > 0) this.#takeTurn(this.#parts.clock.now());
  }

  onAbandoned(ticket: Ticket): void {
    ticket.abandonedMs = this.#parts.clock.now();
    this.#abandoned.push(ticket);
    this.#armAbandoned(abandonedCountMs);
  }

  #armAbandoned(delayMs: number): void {
    this.#cancelAbandoned ??= this.#parts.clock.schedule(delayMs, () => {
      this.#cancelAbandoned = undefined;
      const { clock } = this.#parts;
      for (let ticket = this.#abandoned.first; ticket !== undefined; ticket = this.#abandoned.first) {
        const leftMs = abandonedCountMs - (clock.now() - ticket.abandonedMs);
        if (ticket.call !== undefined && leftMs > 0) {
          this.#armAbandoned(leftMs);
          return;
        }
        this.#abandoned.shift();
        // What it would take nobody knows.
        ticket.isTimed = false;
        ticket.release();
      }
    });
  }

  // Those who are not taken.

  #onExpired(): void {
    this.#expired++;
    this.#log.onExpired();
  }

  /** A call is refused. */
  #refusal(): Refusal {
    const { random } = this.#parts;
    this.#shed++;
    this.#shedRatio += (1 - this.#shedRatio) * shedShare;
    this.#log.onShed();
    if (this.#moves >= 1) {
      this.#moves--;
      return { pushbackMs: undefined };
    }
    // As long as those before it need, and as many times longer as there are too many of them, so that they come back spread out.
    const waitMs = Math.max(this.#waitMs, leastPushbackMs);
    const spreadMs = Math.min(waitMs / Math.max(1 - this.#shedRatio, 0.01), mostPushbackMs);
    return { pushbackMs: Math.ceil(jitter(spreadMs, pushbackJitter, random)) };
  }
}
