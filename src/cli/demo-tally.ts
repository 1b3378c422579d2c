// What the demo has seen: calls, failures, and the servers that came, answered and went. Plain counting; prints nothing.

import { type Clock, systemClock } from "../core/clock.ts";

/** One server by its announced address. */
export interface ServerTally {
  readonly address: string;
  readonly calls: number;
  /** Whether Consul lists it as passing. */
  readonly listed: boolean;
}

/** A server came or went, in milliseconds since the start. */
export interface ServerEvent {
  readonly atMs: number;
  readonly kind: "came" | "went";
  readonly address: string;
}

/** Counts of a demo. `calls` is always the sum of `failures` and all servers' calls. */
export interface DemoTally {
  readonly calls: number;
  readonly failures: number;
  /** Every server that was listed or answered, in the order of their first appearance. */
  readonly servers: readonly ServerTally[];
  readonly events: readonly ServerEvent[];
  /** Milliseconds since the tally was made. */
  readonly elapsedMs: number;
  /** Counts an answer by the server that it names; one that names none is a failure. Returns that address. */
  answered(message: string): string | undefined;
  failed(): void;
  /** Takes the whole list of servers in Consul; what differs from the last one came or went. */
  listed(addresses: readonly string[]): void;
}

/** Makes an empty tally. */
export function createDemoTally(clock: Clock = systemClock): DemoTally {
  const startMs = clock.now();
  const servers = new Map<string, { calls: number; listed: boolean }>();
  const events: ServerEvent[] = [];
  let answers = 0;
  let failures = 0;
  const server = (address: string) => {
    const known = servers.get(address) ?? { calls: 0, listed: false };
    servers.set(address, known);
    return known;
  };
  const list = (address: string, listed: boolean) => {
    const known = server(address);
    if (known.listed === listed) return;
    known.listed = listed;
    events.push({ atMs: clock.now() - startMs, kind: listed ? "came" : "went", address });
  };
  return {
    get calls() {
      return answers + failures;
    },
    get failures() {
      return failures;
    },
    get servers() {
      return [...servers].map(([address, { calls, listed }]) => ({ address, calls, listed }));
    },
    events,
    get elapsedMs() {
      return clock.now() - startMs;
    },
    answered(message) {
      const address = /This is Server: (\S+)$/.exec(message)?.[1];
      if (address === undefined) {
        failures++;
        return undefined;
      }
      answers++;
      server(address).calls++;
      return address;
    },
    failed() {
      failures++;
    },
    listed(addresses) {
      const now = new Set(addresses);
      for (const [address, { listed }] of servers) if (listed && !now.has(address)) list(address, false);
      for (const address of now) list(address, true);
    },
  };
}
