// What a server can be told of overload, its defaults and its limits. Sheds nothing itself.

import { maxTimerMs } from "../../core/clock.ts";
import { refuseOption } from "../refuse-option.ts";

/**
 * How a server defends itself against more calls than it can answer. Calls beyond the limit wait their turn in order; those that could not
 * have it in time are refused before their message is decoded, and no handler sees them. A client is told so in a way that is safe to
 * repeat whatever the method does: by HTTP/2's REFUSED_STREAM, for up to a tenth as many calls as are taken, so that they go to another
 * server at once; beyond that, and in Connect, gRPC-Web and over node:http2, by `unavailable` with `grpc-retry-pushback-ms`, so that an
 * overload of all servers is not made worse. Calls whose deadline passes while they wait are answered with `deadline_exceeded` and never run.
 */
export interface OverloadOptions {
  /**
   * Handlers at a time, an integer of at least 1; or `adaptive`: found by the latency of unary calls, between 4 and 10000. A handler counts
   * until it settles, also where its call is over before, but then for 10 s more at most. Default `adaptive`.
   */
  readonly maxConcurrentCalls?: number | "adaptive";
  /**
   * Calls that wait for others to end at a time, an integer of at least 0. Whatever it is, their messages may take 64 MiB together. Default
   * 10000: it is the time that they wait which is bounded.
   */
  readonly maxQueued?: number;
  /** Longest time that a call waits, in milliseconds, 1 to 2147483647: less than callers' deadlines are long. Default 200. */
  readonly queueTimeoutMs?: number;
  /** What a streaming call counts for, 0 to 1: 0 for those that mostly wait. Default 1 with a number, 0 with `adaptive`. */
  readonly streamWeight?: number;
  /** Full names of services (`package.Service`) and methods (`package.Service/Method`) that are always taken, beside health and reflection. */
  readonly exempt?: readonly string[];
}

/** Options with every default in its place. */
export interface ResolvedOverload {
  readonly maxConcurrentCalls: number | "adaptive";
  readonly maxQueued: number;
  readonly queueTimeoutMs: number;
  readonly streamWeight: number;
  readonly exempt: readonly string[];
}

/** Fills in the defaults; undefined where there is nothing to defend. Throws TypeError or RangeError that names the option, the rule and the value. */
export function resolveOverload(options: OverloadOptions | undefined): ResolvedOverload | undefined {
  if (options === undefined) return undefined;
  if (typeof options !== "object" || options === null) refuseOption("overload", "must be an object", options);
  const { maxConcurrentCalls = "adaptive", maxQueued = 10_000, queueTimeoutMs = 200, exempt = [] } = options;
  const { streamWeight = maxConcurrentCalls === "adaptive" ? 0 : 1 } = options;
  if (maxConcurrentCalls !== "adaptive" && !(Number.isInteger(maxConcurrentCalls) && maxConcurrentCalls >= 1)) {
    const rule = 'must be an integer of at least 1, or "adaptive"';
    refuseOption("overload.maxConcurrentCalls", rule, maxConcurrentCalls, RangeError);
  }
  if (!(Number.isInteger(maxQueued) && maxQueued >= 0)) {
    refuseOption("overload.maxQueued", "must be an integer of at least 0", maxQueued, RangeError);
  }
  if (typeof queueTimeoutMs !== "number" || !(queueTimeoutMs >= 1 && queueTimeoutMs <= maxTimerMs)) {
    const rule = `must be milliseconds, 1 to ${maxTimerMs}`;
    refuseOption("overload.queueTimeoutMs", rule, queueTimeoutMs, RangeError);
  }
  if (typeof streamWeight !== "number" || !(streamWeight >= 0 && streamWeight <= 1)) {
    refuseOption("overload.streamWeight", "must be a number from 0 to 1", streamWeight, RangeError);
  }
  const noNames = Array.isArray(exempt) ? exempt.filter((name) => typeof name !== "string") : [exempt];
  if (noNames.length > 0) refuseOption("overload.exempt", "must be a list of names", noNames[0]);
  return { maxConcurrentCalls, maxQueued, queueTimeoutMs, streamWeight, exempt };
}
