// Takes an instance out of Consul at the end of its life: a few tries in bounded time. Never throws.

import type { ConsulClient } from "../consul/consul-client.ts";
import { createBackoff } from "../core/backoff.ts";
import { type Clock, sleep } from "../core/clock.ts";
import type { Random } from "../core/random.ts";

/** What to take out, and how hard to try. */
export interface DeregisterOptions {
  readonly client: ConsulClient;
  readonly id: string;
  /** Tries in all, the first included. */
  readonly maxAttempts: number;
  /** Milliseconds for all of them together. */
  readonly withinMs: number;
  readonly clock: Clock;
  readonly random: Random;
}

/** Resolves to undefined when Consul no longer has the instance, else to the error of the last try. */
export async function deregister(options: DeregisterOptions): Promise<unknown> {
  const { client, id, maxAttempts, clock } = options;
  const deadlineMs = clock.now() + options.withinMs;
  const backoff = createBackoff({ initialMs: 250, maxMs: 1000, multiplier: 2, random: options.random });
  for (let attempt = 1; ; attempt++) {
    try {
      await client.agent.deregisterService(id, { timeoutMs: Math.max(deadlineMs - clock.now(), 1) });
      return undefined;
    } catch (error) {
      const delayMs = backoff.next();
      if (attempt >= maxAttempts || clock.now() + delayMs >= deadlineMs) return error;
      await sleep(delayMs, clock);
    }
  }
}
