// The retry budget of a transport (gRFC A6, "Throttling Retry Attempts and Hedged RPCs"): failures take tokens, successes give some back, and
// where no more than half are left nothing is sent again. Knows no calls; costs those that succeed nothing.

import { cutBy } from "../../core/call-fate.ts";

/** Tokens at first and at most, and what a success gives back. */
export interface ThrottleSettings {
  /** Above 0. */
  readonly maxTokens: number;
  /** Above 0. */
  readonly tokenRatio: number;
}

/** For transports whose service config names none: retries may make up a tenth of the calls, and fifty failures at once. */
export const defaultThrottle: ThrottleSettings = { maxTokens: 100, tokenRatio: 0.1 };

export class RetryThrottle {
  readonly #okCalls: () => number;
  /** Successes that were counted in. */
  #counted = 0;
  #settings: ThrottleSettings;
  #tokens: number;
  /** Connections whose end was counted. */
  readonly #ended = new WeakSet<object>();

  /**
   * `okCalls`: how many calls have succeeded so far. It is asked when a call fails: between two failures tokens only come, so that adding them then
   * is the same as adding them one by one.
   */
  constructor(okCalls: () => number, settings: ThrottleSettings = defaultThrottle) {
    this.#okCalls = okCalls;
    this.#settings = settings;
    this.#tokens = settings.maxTokens;
  }

  /** As many as there are now. */
  get tokens(): number {
    this.#addSuccesses();
    return this.#tokens;
  }

  /** Whether a call may be sent again: more than half of the tokens are there. */
  get allows(): boolean {
    return this.tokens > this.#settings.maxTokens / 2;
  }

  /** Other numbers, where they are others: the share of tokens that are left stays. */
  configure(settings: ThrottleSettings): void {
    const { maxTokens, tokenRatio } = this.#settings;
    if (settings.maxTokens === maxTokens && settings.tokenRatio === tokenRatio) return;
    const share = this.tokens / maxTokens;
    this.#settings = settings;
    this.#tokens = settings.maxTokens * share;
  }

  /**
   * An attempt failed in a way that counts. Takes a token; one for the end of a connection, however many calls it cuts: those are sent again once,
   * which amplifies nothing.
   */
  fail(error: unknown): void {
    this.#addSuccesses();
    const connection = cutBy(error);
    if (connection !== undefined) {
      if (this.#ended.has(connection)) return;
      this.#ended.add(connection);
    }
    this.#tokens = Math.max(0, this.#tokens - 1);
  }

  #addSuccesses(): void {
    const okCalls = this.#okCalls();
    const added = Math.max(0, okCalls - this.#counted);
    this.#counted = okCalls;
    this.#tokens = Math.min(this.#settings.maxTokens, this.#tokens + added * this.#settings.tokenRatio);
  }
}
