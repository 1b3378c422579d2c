// A TTL check: the service reports, the agent waits for the next report. Turns critical exactly when its time is over.
// https://developer.hashicorp.com/consul/docs/services/usage/checks#ttl-check

import type { CheckStatus } from "../../consul/agent.ts";
import type { Clock } from "../../core/clock.ts";

/** Gives a check its status, until closed. */
export interface CheckDriver {
  /** Takes a report; only TTL checks have it. */
  readonly report?: (status: CheckStatus, output: string) => void;
  /** Stops. No status follows. */
  close(): void;
}

/** Told of every status a driver finds, changed or not. */
export type StatusListener = (status: CheckStatus, output: string) => void;

/** What a TTL check needs. */
export interface TtlDriverOptions {
  readonly ttlMs: number;
  /** Longer outputs are cut, with a note. */
  readonly outputMaxBytes: number;
  readonly clock: Clock;
  readonly onStatus: StatusListener;
}

/** Starts waiting for reports. */
export function createTtlDriver(options: TtlDriverOptions): CheckDriver {
  const { ttlMs, outputMaxBytes, clock, onStatus } = options;
  let lastOutput = "";
  const expire = () => {
    const last = lastOutput === "" ? "" : ` (last output before timeout follows): ${lastOutput}`;
    onStatus("critical", `TTL expired${last}`);
  };
  let cancel = clock.schedule(ttlMs, expire);
  return {
    report(status, output) {
      lastOutput = cutOutput(output, outputMaxBytes);
      cancel();
      // Expired checks come back with the next report.
      cancel = clock.schedule(ttlMs, expire);
      onStatus(status, lastOutput);
    },
    close() {
      cancel();
    },
  };
}

/** An output cut at so many bytes of UTF-8, as Consul cuts it. */
function cutOutput(output: string, maxBytes: number): string {
  const bytes = new TextEncoder().encode(output);
  if (bytes.length <= maxBytes) return output;
  const head = new TextDecoder().decode(bytes.subarray(0, maxBytes));
  return `${head} ... (captured ${maxBytes} of ${bytes.length} bytes)`;
}
