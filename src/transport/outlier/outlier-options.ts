// How endpoints are found that answer badly, with every default: gRFC A50's fields, and what fleets of two or three need beside them.
// https://github.com/grpc/proposal/blob/master/A50-xds-outlier-detection.md

import { describeValue } from "../../core/describe-value.ts";

/** Slow endpoints: those whose calls take much longer than those of the others, on average and for seconds. */
export interface LatencyOutlierOptions {
  /** How many times the median of the others' mean latencies an endpoint's own must be; above 1. Default 4. */
  readonly factor?: number;
  /** And how much more than it at least, in milliseconds: what tells a slow server from the noise of a fast fleet. Default 250. */
  readonly floorMs?: number;
}

/** Endpoints that succeed less often than the others: gRFC A50, "Success Rate Algorithm". */
export interface SuccessRateOptions {
  /** How many standard deviations below the mean of all; gRPC's number over 1000. Default 1.9. */
  readonly stdevFactor?: number;
  /** Chance that an endpoint that is found is ejected, in percent. Default 100. */
  readonly enforcementPercent?: number;
  /** Least number of endpoints with enough calls. Default 5. */
  readonly minimumHosts?: number;
  /** Least number of calls of an endpoint in an interval. Default 100. */
  readonly requestVolume?: number;
}

/** Endpoints that fail more than a share of their calls: gRFC A50, "Failure Percentage Algorithm". */
export interface FailurePercentageOptions {
  /** Share of failed calls above which an endpoint is found, in percent. Default 85. */
  readonly thresholdPercent?: number;
  /** As of the success rate. Default 100. */
  readonly enforcementPercent?: number;
  /** As of the success rate. Default 5. */
  readonly minimumHosts?: number;
  /** As of the success rate. Default 50. */
  readonly requestVolume?: number;
}

/**
 * How endpoints are found that are connected and answer badly, and how they come back. Times in milliseconds.
 *
 * A failure is what a server is to blame for: an answered `unavailable`, `internal`, `unknown`, `data_loss` or `deadline_exceeded`, a deadline
 * that passed after the call was sent, a connection lost under a call. Other answers count as successes; calls that were cancelled, or that
 * no server has seen, as nothing.
 */
export interface OutlierDetectionOptions {
  /** How often success rates and failure percentages are looked at. Default 10000. */
  readonly intervalMs?: number;
  /** How long an endpoint is left alone at first, four times as long one that is slow; twice as long each time that it is found again soon. Default 1000: it comes back by a probe, not by hope. */
  readonly baseEjectionMs?: number;
  /** The most that grows to. Default 30000, and no less than `baseEjectionMs`. */
  readonly maxEjectionMs?: number;
  /** Share of the connected endpoints, in percent, that may be ejected at once; one may always be, all never. Those that do not even answer a PING do not count. Default 50. */
  readonly maxEjectionPercent?: number;
  /** Failures in a row, without a success between them, that eject; false: any number is fine. Default 5. */
  readonly consecutiveFailures?: number | false;
  /**
   * How long a PING may take that is sent after a call's deadline has passed without an answer, before the endpoint is ejected; false: none is sent.
   * Servers that do not say by their registration that they are lictor's are sent two at most while they answer no call, one more every
   * 5 minutes: others end connections for more. One that is ejected and owes an answer for 20 s gets a new connection. Default 1000.
   */
  readonly pingTimeoutMs?: number | false;
  /** Slow endpoints; false: they stay. Default: on where calls go round; with a `balancer` of your own, off. */
  readonly latency?: LatencyOutlierOptions | false;
  /** Default: not by success rate. */
  readonly successRate?: SuccessRateOptions | undefined;
  /** Default: not by failure percentage. */
  readonly failurePercentage?: FailurePercentageOptions | undefined;
}

/** The same, complete; `consecutiveFailures` and `pingTimeoutMs` are Infinity where they are off. */
export interface ResolvedOutlierDetection {
  readonly intervalMs: number;
  readonly baseEjectionMs: number;
  readonly maxEjectionMs: number;
  readonly maxEjectionPercent: number;
  readonly consecutiveFailures: number;
  readonly pingTimeoutMs: number;
  readonly latency: Required<LatencyOutlierOptions> | undefined;
  readonly successRate: Required<SuccessRateOptions> | undefined;
  readonly failurePercentage: Required<FailurePercentageOptions> | undefined;
}

/** Puts every default in its place; undefined for `false`. Throws RangeError for values outside their range, TypeError for what is no object. */
export function resolveOutlierDetection(
  given: OutlierDetectionOptions | false | undefined,
): ResolvedOutlierDetection | undefined {
  if (given === false) return undefined;
  const options = objectOf("outlierDetection", given);
  const baseEjectionMs = options.baseEjectionMs ?? 1000;
  const resolved: ResolvedOutlierDetection = {
    intervalMs: options.intervalMs ?? 10_000,
    baseEjectionMs,
    maxEjectionMs: options.maxEjectionMs ?? Math.max(30_000, baseEjectionMs),
    maxEjectionPercent: options.maxEjectionPercent ?? 50,
    consecutiveFailures: orNever(options.consecutiveFailures, 5),
    pingTimeoutMs: orNever(options.pingTimeoutMs, 1000),
    latency: options.latency === false ? undefined : resolveLatency(options.latency),
    successRate: resolveSuccessRate(options.successRate),
    failurePercentage: resolveFailurePercentage(options.failurePercentage),
  };
  for (const name of ["intervalMs", "baseEjectionMs", "maxEjectionMs", "pingTimeoutMs"] as const) {
    check(name, resolved[name] > 0, "> 0", resolved[name]);
  }
  checkPercent("maxEjectionPercent", resolved.maxEjectionPercent);
  const { consecutiveFailures } = resolved;
  const isCount = Number.isInteger(consecutiveFailures) || consecutiveFailures === Number.POSITIVE_INFINITY;
  check("consecutiveFailures", isCount && consecutiveFailures >= 1, "an integer >= 1", consecutiveFailures);
  return resolved;
}

function resolveLatency(given: LatencyOutlierOptions | undefined): Required<LatencyOutlierOptions> {
  const { factor = 4, floorMs = 250 } = objectOf("latency", given);
  check("latency.factor", factor > 1, "> 1", factor);
  check("latency.floorMs", floorMs >= 0, ">= 0", floorMs);
  return { factor, floorMs };
}

function resolveSuccessRate(given: SuccessRateOptions | undefined): Required<SuccessRateOptions> | undefined {
  if (given === undefined) return undefined;
  const {
    stdevFactor = 1.9,
    enforcementPercent = 100,
    minimumHosts = 5,
    requestVolume = 100,
  } = objectOf("successRate", given);
  check("successRate.stdevFactor", stdevFactor >= 0, ">= 0", stdevFactor);
  checkPercent("successRate.enforcementPercent", enforcementPercent);
  checkVolume("successRate", minimumHosts, requestVolume);
  return { stdevFactor, enforcementPercent, minimumHosts, requestVolume };
}

function resolveFailurePercentage(
  given: FailurePercentageOptions | undefined,
): Required<FailurePercentageOptions> | undefined {
  if (given === undefined) return undefined;
  const {
    thresholdPercent = 85,
    enforcementPercent = 100,
    minimumHosts = 5,
    requestVolume = 50,
  } = objectOf("failurePercentage", given);
  checkPercent("failurePercentage.thresholdPercent", thresholdPercent);
  checkPercent("failurePercentage.enforcementPercent", enforcementPercent);
  checkVolume("failurePercentage", minimumHosts, requestVolume);
  return { thresholdPercent, enforcementPercent, minimumHosts, requestVolume };
}

function orNever(given: number | false | undefined, otherwise: number): number {
  return given === false ? Number.POSITIVE_INFINITY : (given ?? otherwise);
}

function objectOf<T extends object>(name: string, given: T | undefined): Partial<T> {
  if (given === undefined) return {};
  if (typeof given === "object" && given !== null) return given;
  const what = name === "outlierDetection" ? name : `outlierDetection.${name}`;
  throw new TypeError(
    `Cannot create transport as "${what}" must be an object of settings or false: received ${describeValue(given)}`,
  );
}

function checkPercent(name: string, value: number): void {
  check(name, value >= 0 && value <= 100, "from 0 to 100", value);
}

function checkVolume(name: string, minimumHosts: number, requestVolume: number): void {
  check(`${name}.minimumHosts`, minimumHosts >= 0, ">= 0", minimumHosts);
  check(`${name}.requestVolume`, requestVolume >= 0, ">= 0", requestVolume);
}

function check(name: string, isGood: boolean, rule: string, value: unknown): void {
  if (isGood && typeof value === "number") return;
  throw new RangeError(`Cannot create transport as "outlierDetection.${name}" must be ${rule}: received ${value}`);
}
