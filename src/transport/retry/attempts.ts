// One call's attempts: what a failure means for the next one, how long that waits, and what the caller is told at last. gRFC A6 has the rules
// (https://github.com/grpc/proposal/blob/master/A6-client-retries.md). Sends nothing and waits for nothing.

import { Code, ConnectError } from "@connectrpc/connect";
import { callFate, isUnsendable, markMaybeProcessed, markUnprocessed, wasRefused } from "../../core/call-fate.ts";
import { jitter, type Random } from "../../core/random.ts";
import type { RetryPolicy } from "../service-config/service-config.ts";
import { markAttempts } from "./call-attempts.ts";
import { mostAttempts } from "./policy.ts";
import { readPushback } from "./pushback.ts";
import type { RetryThrottle } from "./throttle.ts";

/** Share by which a backoff varies: A6, "Exponential Backoff". */
const backoffJitter = 0.2;

/**
 * What follows a failed attempt: `fail`: it was the last; `elsewhere`: the call was not processed and goes to another endpoint at once; a
 * number: it is made again after so many milliseconds.
 */
export type NextStep = "fail" | "elsewhere" | number;

/** What the attempts of a transport's calls share. */
export interface AttemptRules {
  readonly throttle: RetryThrottle;
  readonly random: Random;
}

/** Of an attempt that is made beside others of its call. */
export interface AttemptsBeside {
  /** Endpoints that any of them was sent to. */
  readonly tried: Set<string>;
  /** How many began before it. */
  readonly before: number;
}

export class Attempts {
  /** Endpoints that are not to be picked: those where the call was, and those that refused it. */
  readonly tried: Set<string>;
  /** Attempts that were sent, as far as is known. */
  sent = 0;
  /** The last attempt's failure. */
  lastError: ConnectError | undefined = undefined;
  readonly #rules: AttemptRules;
  readonly #policy: RetryPolicy | undefined;
  /** Those of `tried` that have refused the call since it last waited. */
  readonly #refused: Set<string> = new Set();
  /** Attempts that count: whose call may have been processed. */
  #failed = 0;
  readonly #before: number;
  #sincePushback = 0;

  constructor(rules: AttemptRules, policy: RetryPolicy | undefined, beside?: AttemptsBeside) {
    this.#rules = rules;
    this.#policy = policy;
    this.tried = beside?.tried ?? new Set();
    this.#before = beside?.before ?? 0;
  }

  /** How many attempts a server may have seen before the next: of `grpc-previous-rpc-attempts`. */
  get previous(): number {
    return this.#before + this.#failed;
  }

  /** How long one attempt may wait for an answer; undefined: as long as the call. */
  get timeoutMs(): number | undefined {
    return this.#policy?.perAttemptTimeoutMs;
  }

  /** Whether the call may run twice: its policy retries what may have been processed. */
  get mayRunTwice(): boolean {
    return this.#policy !== undefined;
  }

  /**
   * An attempt on an endpoint has failed, or was not taken there. `remainingMs`: until the call's deadline.
   */
  failed(endpointId: string, error: ConnectError, remainingMs: number | undefined): NextStep {
    this.tried.add(endpointId);
    this.lastError = error;
    const isUnprocessed = callFate(error) === "unprocessed";
    if (isUnprocessed && !wasRefused(error)) this.sent--;
    if (isUnsendable(error)) return "fail";
    const step = isUnprocessed ? this.#afterRefusal(endpointId, error) : this.#afterFailure(error);
    return typeof step === "number" && remainingMs !== undefined && step >= remainingMs ? "fail" : step;
  }

  /** The attempt under way was given up with its call, by an error that says nothing of it: it may have run. */
  abandoned(): void {
    this.#failed++;
  }

  /** What has become of attempts that were made beside one another, for `told()`. */
  absorb(sent: number, mayHaveRun: boolean): void {
    this.sent = sent;
    this.#failed = mayHaveRun ? 1 : 0;
  }

  /** Lets endpoints be picked again that had the call before, but for those that refused it; false where there are none such. */
  forgetVisited(): boolean {
    if (this.tried.size === this.#refused.size) return false;
    this.tried.clear();
    for (const id of this.#refused) this.tried.add(id);
    return true;
  }

  /** After a wait every endpoint is as good as any other. */
  forgetAll(): void {
    this.tried.clear();
    this.#refused.clear();
  }

  /**
   * What the caller is told, with what became of the whole call and how often it was sent. `shared`: an error that is not this call's alone, which
   * is not written on. `isGivenUp`: the error is its signal's reason, whose causes may tell of other calls.
   */
  told(error: ConnectError, shared: unknown, isGivenUp: boolean): ConnectError {
    if (error === shared) return error;
    const fate = isGivenUp ? undefined : callFate(error);
    const mayHaveRun = this.#failed > 0;
    if (fate !== "answered" && fate !== "maybe-processed" && mayHaveRun) markMaybeProcessed(error);
    else if (fate !== "answered" && fate !== "unprocessed" && !mayHaveRun) markUnprocessed(error);
    return markAttempts(error, this.sent);
  }

  /** REFUSED_STREAM and its like take a token, as a server has had work with it; never sent takes none: A6, "Transparent Retries". */
  #afterRefusal(endpointId: string, error: ConnectError): NextStep {
    this.#refused.add(endpointId);
    if (!wasRefused(error)) return "elsewhere";
    const { throttle } = this.#rules;
    throttle.fail(error);
    return throttle.allows ? "elsewhere" : "fail";
  }

  #afterFailure(error: ConnectError): NextStep {
    this.#failed++;
    const policy = this.#policy;
    if (policy === undefined) return "fail";
    const { throttle, random } = this.#rules;
    const pushback = readPushback(error);
    const isRetryable = isAttemptTimeout(error) || policy.retryableCodes.has(error.code);
    if (!isRetryable && pushback !== "stop") return "fail";
    throttle.fail(error);
    if (pushback === "stop" || !throttle.allows) return "fail";
    if (this.#failed >= Math.min(policy.maxAttempts, mostAttempts)) return "fail";
    if (pushback !== undefined) {
      this.#sincePushback = 0;
      return pushback;
    }
    const { initialBackoffMs, maxBackoffMs, backoffMultiplier } = policy;
    const backoffMs = Math.min(initialBackoffMs * backoffMultiplier ** this.#sincePushback, maxBackoffMs);
    this.#sincePushback++;
    return jitter(backoffMs, backoffJitter, random);
  }
}

const attemptTimeouts = new WeakSet<object>();

/** The failure of an attempt whose own time was over; `cause` is what it failed with, where that is known. */
export function attemptTimedOut(timeoutMs: number, cause?: unknown): ConnectError {
  const text = `the attempt timed out after ${timeoutMs} ms`;
  const error = new ConnectError(text, Code.DeadlineExceeded, undefined, undefined, cause);
  attemptTimeouts.add(error);
  // It waited for its turn on a connection, in vain: elsewhere it may have one.
  return callFate(cause) === "unprocessed" ? markUnprocessed(error) : error;
}

function isAttemptTimeout(error: object): boolean {
  return attemptTimeouts.has(error);
}
