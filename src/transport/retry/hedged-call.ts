// One call made several times at once, a while apart, until one is answered: gRFC A6, "Hedging Policy". Decides when attempts begin and which
// of them goes on; picks no endpoint, sends nothing itself, and leaves what a failure means to its owner.
// https://github.com/grpc/proposal/blob/master/A6-client-retries.md

import { Code, ConnectError } from "@connectrpc/connect";
import type { CallSignal } from "../../core/call-signal.ts";
import type { Clock } from "../../core/clock.ts";
import type { HedgingPolicy } from "../service-config/service-config.ts";

/**
 * What a failed attempt means for the others: `fatal`: the call fails with it; `next`: the next attempt begins at once; a number: it begins
 * after so many milliseconds, as the server asked for; `stop`: none begins any more, those under way go on.
 */
export type HedgeVerdict = "fatal" | "next" | "stop" | number;

/** What a hedged call is made with. */
export interface HedgedCallOptions<R> {
  readonly policy: Pick<HedgingPolicy, "maxAttempts" | "hedgingDelayMs">;
  readonly clock: Clock;
  /** The call's own: it ends all attempts, and after an answer the one that was answered, until `release()`. */
  readonly signal: CallSignal | undefined;
  /** Makes an attempt, numbered from 0. It is to end when its signal aborts: another one was answered, or the call is over. */
  readonly attempt: (number: number, signal: AbortSignal) => Promise<R>;
  /** Asked once for every attempt that failed, in their order, while the call is under way. */
  readonly judge: (error: unknown, number: number) => HedgeVerdict;
  /** Asked before every attempt but the first: the retry budget. Where it says no, none begins any more. */
  readonly mayHedge: () => boolean;
}

export class HedgedCall<R> {
  readonly #options: HedgedCallOptions<R>;
  readonly #running = new Map<number, AbortController>();
  readonly #outcome = Promise.withResolvers<R>();
  #begun = 0;
  #isOver = false;
  /** No attempt begins any more. */
  #isFrozen = false;
  #cancelTimer: (() => void) | undefined;
  /** Of the attempt that failed last. */
  #lastError: unknown;

  constructor(options: HedgedCallOptions<R>) {
    this.#options = options;
  }

  /** The attempt that was answered first. */
  winner: number | undefined = undefined;

  /** Attempts that have begun. */
  get begun(): number {
    return this.#begun;
  }

  /**
   * Makes the first attempt at once. Once. Resolves with the first answer; rejects with a fatal failure, with the last one where all have failed,
   * and with the signal's reason, untouched.
   */
  start(): Promise<R> {
    const { signal, policy } = this.#options;
    if (signal?.aborted) {
      this.#fail(signal.reason);
    } else {
      signal?.addEventListener("abort", this.#onAbort);
      this.#begin();
      // Nothing to wait for between them.
      while (policy.hedgingDelayMs === 0 && this.#mayBegin()) this.#begin();
      this.#schedule(policy.hedgingDelayMs);
    }
    return this.#outcome.promise;
  }

  /** Ends all attempts but one, and begins no more: what was sent cannot be sent again. */
  keepOnly(number: number): void {
    this.#freeze();
    for (const [other, controller] of [...this.#running]) {
      if (other === number) continue;
      this.#running.delete(other);
      controller.abort(superseded());
    }
    this.#failWhereNoneIsLeft();
  }

  /** The answer was read to its end: the call's signal is let go. Idempotent. */
  release(): void {
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
  }

  #begin(): void {
    const number = this.#begun++;
    const controller = new AbortController();
    this.#running.set(number, controller);
    const onError = (error: unknown) => this.#onError(number, error);
    try {
      this.#options.attempt(number, controller.signal).then((response) => this.#onAnswer(number, response), onError);
    } catch (error) {
      onError(error);
    }
  }

  /** Whether another attempt may begin now; what says no says so for good. */
  #mayBegin(): boolean {
    if (this.#isOver || this.#isFrozen) return false;
    if (this.#begun >= this.#options.policy.maxAttempts || !this.#options.mayHedge()) this.#freeze();
    return !this.#isFrozen;
  }

  #schedule(delayMs: number): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    if (this.#isOver || this.#isFrozen || this.#begun >= this.#options.policy.maxAttempts) return;
    this.#cancelTimer = this.#options.clock.schedule(delayMs, () => {
      this.#cancelTimer = undefined;
      this.#next();
    });
  }

  /** The next attempt, and a while later the one after it. */
  #next(): void {
    if (this.#mayBegin()) {
      this.#begin();
      this.#schedule(this.#options.policy.hedgingDelayMs);
    }
    this.#failWhereNoneIsLeft();
  }

  #freeze(): void {
    this.#isFrozen = true;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }

  #onAnswer(number: number, response: R): void {
    const winner = this.#running.get(number);
    // One that was given up: its signal has ended whatever it has.
    if (this.#isOver || winner === undefined) return;
    this.#isOver = true;
    this.winner = number;
    this.#outcome.resolve(response);
    this.keepOnly(number);
  }

  #onError(number: number, error: unknown): void {
    if (!this.#running.delete(number) || this.#isOver) return;
    this.#lastError = error;
    const verdict = this.#options.judge(error, number);
    if (verdict === "fatal") {
      this.#fail(error);
      return;
    }
    if (verdict === "stop") this.#freeze();
    else if (verdict === "next") this.#next();
    else this.#schedule(verdict);
    this.#failWhereNoneIsLeft();
  }

  #failWhereNoneIsLeft(): void {
    if (this.#running.size === 0 && this.#cancelTimer === undefined) this.#fail(this.#lastError);
  }

  readonly #onAbort = (): void => {
    const reason = this.#options.signal?.reason;
    if (!this.#isOver) {
      this.#fail(reason, reason);
      return;
    }
    this.release();
    for (const controller of this.#running.values()) controller.abort(reason);
  };

  /** `reason`: what the attempts under way end with; none of them has failed as the call has. */
  #fail(error: unknown, reason: unknown = superseded()): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#freeze();
    this.release();
    this.#outcome.reject(error);
    for (const controller of this.#running.values()) controller.abort(reason);
    this.#running.clear();
  }
}

function superseded(): ConnectError {
  return new ConnectError("another attempt has decided the call", Code.Canceled);
}
