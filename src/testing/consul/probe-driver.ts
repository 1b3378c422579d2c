// A check that the agent performs itself, over and over: first at a random moment within its interval, then once an interval.
// https://developer.hashicorp.com/consul/docs/services/usage/checks

import type { CheckStatus } from "../../consul/agent.ts";
import type { Clock } from "../../core/clock.ts";
import type { Random } from "../../core/random.ts";
import type { CheckSettings } from "./definitions.ts";
import type { CheckDriver, StatusListener } from "./ttl-driver.ts";

/** What one probe found. */
export interface ProbeResult {
  readonly status: CheckStatus;
  readonly output: string;
}

/** Performs a check once. Never rejects; gives up when the signal aborts. */
export type Probe = (settings: CheckSettings, signal: AbortSignal) => Promise<ProbeResult>;

/** What a probing check needs. */
export interface ProbeDriverOptions {
  readonly settings: CheckSettings;
  readonly probe: Probe;
  readonly clock: Clock;
  readonly random: Random;
  readonly onStatus: StatusListener;
}

// Consul raises shorter intervals to this.
const minIntervalMs = 1000;
const defaultTimeoutMs = 10_000;

/** Starts probing. */
export function createProbeDriver(options: ProbeDriverOptions): CheckDriver {
  const { settings, probe, clock, random, onStatus } = options;
  const intervalMs = Math.max(settings.Interval, minIntervalMs);
  const timeoutMs = settings.Timeout > 0 ? settings.Timeout : defaultTimeoutMs;
  const closed = new AbortController();
  let successes = 0;
  let failures = 0;

  const judge = ({ status, output }: ProbeResult) => {
    if (status === "critical") {
      successes = 0;
      failures += 1;
      if (failures >= settings.FailuresBeforeCritical) onStatus(status, output);
    } else {
      failures = 0;
      successes += 1;
      if (successes >= settings.SuccessBeforePassing) onStatus(status, output);
    }
  };

  const run = async () => {
    const timeout = new AbortController();
    const cancelTimeout = clock.schedule(timeoutMs, () => timeout.abort());
    const result = await probe(settings, AbortSignal.any([closed.signal, timeout.signal]));
    cancelTimeout();
    if (closed.signal.aborted) return;
    judge(result);
    cancelNext = clock.schedule(intervalMs, run);
  };
  let cancelNext = clock.schedule(random() * intervalMs, run);

  return {
    close() {
      cancelNext();
      closed.abort();
    },
  };
}
