// The demo's callers: each with a client of its own, calling at a steady pace and telling the tally.

import { type Clock, sleep, systemClock } from "../core/clock.ts";
import { describeFailure, type HelloCaller } from "./call-loop.ts";
import type { DemoTally } from "./demo-tally.ts";

/** Who calls, how often, and who counts. */
export interface DemoCallersOptions {
  /** One client for each caller. */
  readonly clients: readonly HelloCaller[];
  readonly name: string;
  readonly tally: DemoTally;
  /** From the beginning of a caller's call to that of its next one, in milliseconds; a caller has one call at a time. */
  readonly everyMs: number;
  /** Deadline of a call in milliseconds. */
  readonly timeoutMs: number;
  /** Ends the calling. Calls under way get `lingerMs` to finish. */
  readonly signal: AbortSignal;
  /** Milliseconds. Default 2000. A call cut after that counts as not made. */
  readonly lingerMs?: number;
  /** Takes the text of a failure. */
  readonly onFailure: (text: string) => void;
  readonly clock?: Clock;
}

/** Calls until the signal aborts. Resolves when the last call has ended; never rejects. */
export async function runDemoCallers(options: DemoCallersOptions): Promise<void> {
  const { clients, name, tally, everyMs, timeoutMs, signal, lingerMs = 2000, onFailure, clock = systemClock } = options;
  const cut = new AbortController();
  let cancelCut = () => {};
  const onAbort = () => {
    cancelCut = clock.schedule(lingerMs, () => cut.abort());
  };
  signal.addEventListener("abort", onAbort, { once: true });

  const call = async (client: HelloCaller) => {
    try {
      const { message } = await client.sayHello({ name, num1: 1, num2: 2 }, { timeoutMs, signal: cut.signal });
      if (tally.answered(message) === undefined) onFailure(`an answer names no server: ${message}`);
    } catch (error) {
      if (cut.signal.aborted) return;
      tally.failed();
      onFailure(describeFailure(error));
    }
  };
  const run = async (client: HelloCaller, delayMs: number) => {
    try {
      // Callers that start apart keep apart: a steady stream instead of bursts.
      await sleep(delayMs, clock, signal);
      for (;;) {
        const startMs = clock.now();
        await call(client);
        await sleep(everyMs - (clock.now() - startMs), clock, signal);
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  };
  try {
    await Promise.all(clients.map((client, index) => run(client, (index * everyMs) / clients.length)));
  } finally {
    cancelCut();
    signal.removeEventListener("abort", onAbort);
  }
}
