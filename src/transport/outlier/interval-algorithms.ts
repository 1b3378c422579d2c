// The two algorithms of gRFC A50 that look at an interval's calls: which of the endpoints are found. Pure; ejects nothing.

import type { FailurePercentageOptions, SuccessRateOptions } from "./outlier-options.ts";

/** An endpoint's calls in an interval. */
export interface IntervalCalls {
  readonly ok: number;
  readonly failed: number;
}

/** A50, "Success Rate Algorithm": those whose rate lies `stdevFactor` standard deviations below the mean of all with enough calls. */
export function bySuccessRate<T extends IntervalCalls>(
  all: readonly T[],
  options: Required<SuccessRateOptions>,
): readonly T[] {
  const counted = all.filter(({ ok, failed }) => ok + failed >= Math.max(1, options.requestVolume));
  if (counted.length === 0 || counted.length < options.minimumHosts) return [];
  const rates = counted.map(({ ok, failed }) => ok / (ok + failed));
  const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
  const variance = rates.reduce((sum, rate) => sum + (rate - mean) ** 2, 0) / rates.length;
  const limit = mean - Math.sqrt(variance) * options.stdevFactor;
  return counted.filter((_, i) => (rates[i] ?? 1) < limit);
}

/** A50, "Failure Percentage Algorithm": those that fail more than `thresholdPercent` of their calls. */
export function byFailurePercentage<T extends IntervalCalls>(
  all: readonly T[],
  options: Required<FailurePercentageOptions>,
): readonly T[] {
  const counted = all.filter(({ ok, failed }) => ok + failed >= Math.max(1, options.requestVolume));
  if (counted.length < options.minimumHosts) return [];
  return counted.filter(({ ok, failed }) => (100 * failed) / (ok + failed) > options.thresholdPercent);
}
