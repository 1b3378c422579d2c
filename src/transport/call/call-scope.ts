// What ends a call that interceptors are run around: its deadline, its caller's abort, or its own end. Its AbortSignal is made when
// somebody wants it. Runs no interceptors and sends nothing.

import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { getAbortSignalReason } from "@connectrpc/connect/protocol";
import { abortError } from "../../core/abort-error.ts";
import type { CallSignal } from "../../core/call-signal.ts";
import type { Clock } from "../../core/clock.ts";
import type { Deadlined, DeadlineQueue } from "../../core/deadline-queue.ts";
import { FateOfAll } from "../../core/fate-of-all.ts";
import { callAttempts, markAttempts } from "../retry/call-attempts.ts";
import type { ReplayLimits } from "../retry/stream-requests.ts";

/** What the calls of a transport have in common. */
export interface CallSurroundings {
  readonly clock: Clock;
  readonly deadlines: DeadlineQueue;
  /** What calls wait for now, where they wait: "waiting for a connection to ...". */
  describeWait(): string;
  /** How much of a stream's messages is kept for further attempts. */
  replayLimits(method: DescMethod): ReplayLimits;
  /** An attempt has failed on an endpoint, or a stream later on. */
  callFailed(endpointId: string, error: ConnectError): void;
}

/** The error of a call whose deadline has passed; `text` goes on where it ends. */
export function timedOut(text = ""): ConnectError {
  return new ConnectError(`the operation timed out${text}`, Code.DeadlineExceeded);
}

/** Is itself the signal of attempts that take any CallSignal. */
export class CallScope implements Deadlined, CallSignal {
  dueMs = 0;
  nextDue: Deadlined | undefined = undefined;
  previousDue: Deadlined | undefined = undefined;
  /** How many of the call's attempts wait for something to pick. */
  waiting = 0;
  /** How many attempts have the AbortSignal. */
  attempts = 0;
  /** What an interceptor has put in the place of the request's signal. */
  givenSignal: AbortSignal | undefined = undefined;
  readonly fate: FateOfAll = new FateOfAll();
  readonly #surroundings: CallSurroundings;
  readonly #caller: AbortSignal | undefined;
  readonly #timeoutMs: number | undefined;
  /** No time has passed since the deadline was set. */
  #isStarting = false;
  #controller: AbortController | undefined = undefined;
  /** Whether interceptors have seen the signal: then it has to tell them of an end in order, too. */
  #isShown = false;
  #isTimedOut = false;
  #abortError: ConnectError | undefined = undefined;
  #state: "open" | "aborted" | "ended" = "open";
  reason: unknown = undefined;
  /** Attempts that listen to the scope itself: there is seldom more than one. */
  #listener: (() => void) | undefined = undefined;
  #moreListeners: (() => void)[] | undefined = undefined;
  #reject: ((error: ConnectError) => void) | undefined = undefined;
  #cancelCut: (() => void) | undefined = undefined;

  /** Starts the deadline, at most 2147483647 ms from now, and listens to the caller's signal. Both end with the call. */
  constructor(surroundings: CallSurroundings, caller: AbortSignal | undefined, timeoutMs: number | undefined) {
    this.#surroundings = surroundings;
    this.#caller = caller;
    this.#timeoutMs = timeoutMs;
    if (timeoutMs !== undefined) surroundings.deadlines.add(this, timeoutMs);
    if (caller === undefined) return;
    if (caller.aborted) this.handleEvent();
    else caller.addEventListener("abort", this);
  }

  /** The deadline, by the clock; undefined without one. */
  get untilMs(): number | undefined {
    return this.#timeoutMs === undefined ? undefined : this.dueMs;
  }

  /** Until the deadline, in milliseconds; undefined without one. */
  remainingMs(): number | undefined {
    if (this.#timeoutMs === undefined || this.#isStarting) return this.#timeoutMs;
    return this.dueMs - this.#surroundings.clock.now();
  }

  isPastDeadline(): boolean {
    return this.#timeoutMs !== undefined && this.#surroundings.clock.now() >= this.dueMs;
  }

  /** The reason where it may be that of other calls, too: the caller's own. */
  get sharedReason(): unknown {
    return this.#isTimedOut ? undefined : this.reason;
  }

  /** What an abort ends the call with: one for all its attempts, on which its fate is written. */
  get abortError(): ConnectError {
    this.#abortError ??= abortError(this.reason);
    return this.#abortError;
  }

  get aborted(): boolean {
    return this.#state !== "open";
  }

  addEventListener(_type: "abort", listener: () => void): void {
    if (this.#listener === undefined) {
      this.#listener = listener;
      return;
    }
    this.#moreListeners ??= [];
    this.#moreListeners.push(listener);
  }

  removeEventListener(_type: "abort", listener: () => void): void {
    if (this.#listener === listener) this.#listener = undefined;
    else this.#moreListeners = this.#moreListeners?.filter((other) => other !== listener);
  }

  /** For other attempts. Aborts as the scope does: at the deadline, with the caller's signal, and when the call is over without them. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#state !== "open") this.#controller.abort(this.reason);
    }
    return this.#controller.signal;
  }

  /** For interceptors: the same one, and it always aborts when the call is over, as Connect's does. */
  get shownSignal(): AbortSignal {
    this.#isShown = true;
    return this.signal;
  }

  /**
   * Runs what the interceptors make of the call. The promise settles as theirs does; rejects with a ConnectError, the signal's reason if
   * that has aborted; and does not wait for interceptors that hang beyond deadline or abort. `onAnswer` is told first of an answer.
   */
  run<R>(start: () => Promise<R>, onAnswer: (scope: CallScope) => void): Promise<R> {
    return new Promise((resolve, reject) => {
      this.#reject = reject;
      const answer = (response: R) => {
        onAnswer(this);
        resolve(response);
      };
      const fail = (error: unknown) => reject(this.fail(error));
      this.#isStarting = true;
      try {
        start().then(answer, fail);
      } catch (error) {
        fail(error);
      }
      this.#isStarting = false;
    });
  }

  /** The call is over. Idempotent. */
  end(): void {
    if (this.#state === "open") this.#finish("ended", overReason());
    this.#release();
  }

  /** The call has failed. Returns what to tell the caller. */
  fail(error: unknown): ConnectError {
    const told = this.#state === "aborted" ? this.abortError : ConnectError.from(error);
    if (this.#state === "open") this.#finish("ended", told);
    this.#release();
    return this.#told(told);
  }

  /** What to tell of an error: whose fate may be that of one time only that interceptors asked for the call. */
  #told(error: ConnectError): ConnectError {
    const told = this.fate.told(error);
    return told === error ? told : markAttempts(told, callAttempts(error) ?? 0);
  }

  onDeadline(): void {
    this.#isTimedOut = true;
    const reason = timedOut(this.waiting === 0 ? "" : ` ${this.#surroundings.describeWait()}`);
    this.#abort(reason);
  }

  /** The caller's signal has aborted. */
  handleEvent(): void {
    if (this.#caller !== undefined) this.#abort(getAbortSignalReason(this.#caller));
  }

  #abort(reason: unknown): void {
    if (this.#state !== "open") return;
    // One turn of the event loop for interceptors that clean up, or know an answer all the same.
    this.#cancelCut = this.#surroundings.clock.schedule(0, () => this.#reject?.(this.#told(this.abortError)));
    this.#finish("aborted", reason);
  }

  #finish(state: "aborted" | "ended", reason: unknown): void {
    this.#state = state;
    this.reason = reason;
    this.#surroundings.deadlines.remove(this);
    this.#caller?.removeEventListener("abort", this);
    // Dispatching the event costs more than all of this: not where nobody can be listening.
    if (state === "aborted" || this.#isShown || this.attempts > 0) this.#controller?.abort(reason);
    if (this.#listener === undefined && this.#moreListeners === undefined) return;
    const listeners = [this.#listener, ...(this.#moreListeners ?? [])];
    this.#listener = undefined;
    this.#moreListeners = undefined;
    for (const listener of listeners) listener?.();
  }

  #release(): void {
    this.#cancelCut?.();
    this.#cancelCut = undefined;
  }
}

let whyOver: DOMException | undefined;

/** What `abort()` without a reason would make anew for each call, with a stack: https://dom.spec.whatwg.org/#dom-abortcontroller-abort */
function overReason(): DOMException {
  whyOver ??= new DOMException("This operation was aborted", "AbortError");
  return whyOver;
}
