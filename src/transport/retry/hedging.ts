// A call under a hedging policy: its attempts beside one another, each past refusals to an endpoint of its own, within the retry budget. Gives
// hedged-call.ts what gRPC says of failures; picks no endpoint itself.

import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError, type ContextValues, type Transport } from "@connectrpc/connect";
import type { PickResult } from "../../balancer/picker.ts";
import { callFate } from "../../core/call-fate.ts";
import type { Clock } from "../../core/clock.ts";
import type { Random } from "../../core/random.ts";
import type { AttemptFacts, Sending } from "../call/sendings.ts";
import type { HedgingPolicy, MethodPolicy } from "../service-config/service-config.ts";
import { Attempts } from "./attempts.ts";
import { HedgedCall, type HedgeVerdict } from "./hedged-call.ts";
import { readPushback } from "./pushback.ts";
import type { RetryThrottle } from "./throttle.ts";

/** What hedging needs of the call's placement. */
export interface HedgingParts<R> {
  readonly policy: HedgingPolicy;
  readonly sending: Sending<R>;
  /** The call's own. */
  readonly signal: AbortSignal | undefined;
  readonly clock: Clock;
  readonly throttle: RetryThrottle;
  readonly random: Random;
  /** Told of all attempts when the call fails. */
  readonly attempts: Attempts;
  /** Until the call's deadline. */
  readonly remainingMs: () => number | undefined;
  /** Sends one attempt, elsewhere where it was not processed. */
  readonly run: (sending: Sending<R>, attempts: Attempts, signal: AbortSignal) => Promise<R>;
}

/** Makes the call. Resolves with its first answer; rejects with what ended it. */
export async function hedge<R>(parts: HedgingParts<R>): Promise<R> {
  const { policy, sending, clock, throttle, random } = parts;
  const tried = new Set<string>();
  const lanes: Lane<R>[] = [];
  const hedged = new HedgedCall<R>({
    policy,
    clock,
    signal: parts.signal,
    attempt(number, signal) {
      const attempts = new Attempts({ throttle, random }, undefined, { tried, before: number });
      const lane = new Lane(
        sending.lane(() => hedged.keepOnly(number)),
        attempts,
      );
      lanes.push(lane);
      return parts.run(lane, attempts, signal);
    },
    judge: (error) => judge(ConnectError.from(error), parts),
    mayHedge: () => throttle.allows && sending.mayRepeat(),
  });
  try {
    const response = await hedged.start();
    lanes[hedged.winner ?? 0]?.whenEnded((error) => {
      hedged.release();
      sending.laneEnded(error);
    });
    return response;
  } catch (error) {
    const sent = lanes.reduce((sum, { attempts }) => sum + attempts.sent, 0);
    parts.attempts.absorb(
      sent,
      lanes.some(({ mayHaveRun }) => mayHaveRun),
    );
    throw error;
  }
}

/** gRFC A6, "Summary of Retry and Hedging Logic". */
function judge(
  error: ConnectError,
  { policy, throttle, remainingMs }: Pick<HedgingParts<unknown>, "policy" | "throttle" | "remainingMs">,
): HedgeVerdict {
  const leftMs = remainingMs();
  if (leftMs !== undefined && leftMs <= 0) return "fatal";
  // It found nowhere to go, and the next one would not: those under way may still be answered.
  if (callFate(error) === "unprocessed") return "stop";
  const pushback = readPushback(error);
  const isFatal = !policy.nonFatalCodes.has(error.code);
  if (!isFatal || pushback === "stop") throttle.fail(error);
  if (isFatal) return "fatal";
  // One that would begin after the deadline does not begin.
  if (pushback === undefined || pushback === "stop") return pushback ?? "next";
  return leftMs !== undefined && pushback >= leftMs ? "stop" : pushback;
}

/** One attempt's part of the call. */
class Lane<R> implements Sending<R> {
  readonly method: DescMethod;
  readonly contextValues: ContextValues | undefined;
  readonly attempts: Attempts;
  /** Whether a server may have seen it. */
  mayHaveRun = false;
  readonly #sending: Sending<R>;
  #end: { readonly error: unknown } | undefined;
  #onEnd: ((error: unknown) => void) | undefined;

  constructor(sending: Sending<R>, attempts: Attempts) {
    this.method = sending.method;
    this.contextValues = sending.contextValues;
    this.attempts = attempts;
    this.#sending = sending;
  }

  /** Calls `listener` once the answer was read to its end, or failed on the way; at once where it was. */
  whenEnded(listener: (error: unknown) => void): void {
    if (this.#end === undefined) this.#onEnd = listener;
    else listener(this.#end.error);
  }

  byteLength(): number {
    return this.#sending.byteLength();
  }

  limit(policy: MethodPolicy): void {
    this.#sending.limit(policy);
  }

  async send(
    transport: Transport,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    facts: AttemptFacts,
  ): Promise<R> {
    const mayHaveRun = this.mayHaveRun;
    this.mayHaveRun = true;
    try {
      return await this.#sending.send(transport, signal, timeoutMs, facts);
    } catch (error) {
      // A call's abort may have another call's error for its reason.
      if (!signal?.aborted && callFate(error) === "unprocessed") this.mayHaveRun = mayHaveRun;
      throw signal?.aborted ? ConnectError.from(signal.reason, Code.Canceled) : error;
    }
  }

  answered(response: R, picked: PickResult, startMs: number): R {
    const told: PickResult = {
      endpoint: picked.endpoint,
      done: (outcome) => {
        picked.done(outcome);
        this.#end ??= { error: outcome.error };
        this.#onEnd?.(outcome.error);
        this.#onEnd = undefined;
      },
    };
    return this.#sending.answered(response, told, startMs);
  }

  mayRepeat(): boolean {
    return this.#sending.mayRepeat();
  }

  /** Its failure is not yet the call's. */
  failed(): void {}

  lane(onChosen: () => void): Sending<R> {
    return this.#sending.lane(onChosen);
  }

  laneEnded(): void {}
}
