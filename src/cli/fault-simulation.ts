// Servers that are stopped in turn and started again on other ports, as the original's fault simulation does it.
// Knows neither gRPC nor Consul: it starts what it is given a function for.

import { type Backoff, createBackoff } from "../core/backoff.ts";
import { type Clock, sleep, systemClock } from "../core/clock.ts";
import { type Logger, silentLogger } from "../core/logger.ts";
import { type Random, systemRandom } from "../core/random.ts";

/** A server that runs. */
export interface RunningServer {
  /** Port it listens on. */
  readonly port: number;
  /** Stops it gracefully; resolves when the port is free. */
  close(): Promise<unknown>;
}

/** What is run, and how it is disturbed. */
export interface FaultSimulationOptions {
  /** Starts a server; resolves when it serves. An error with code EADDRINUSE, or caused by one, means a busy port. */
  readonly start: (port: number) => Promise<RunningServer>;
  /** How many servers run side by side, at least 1. */
  readonly instances: number;
  /** Port of the first server, the others follow; 0: any free port, now and at every restart. */
  readonly firstPort: number;
  /** Milliseconds from one stop to the next; the servers take turns. Absent: no faults. */
  readonly intervalMs?: number;
  readonly logger?: Logger;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** Servers under simulated faults. */
export interface FaultSimulation {
  /** Resolves when all servers serve for the first time. Rejects when one cannot be started; the others are stopped by then. */
  readonly started: Promise<void>;
  /** Ends the faults and stops every server. Idempotent: returns the same promise; rejects with the first error of a stop, after all have ended. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

const lastPort = 65_535;

/**
 * Starts servers on `firstPort` and the ports after it. With `intervalMs`, one is stopped gracefully every interval, each in its turn; its monitor
 * starts it again as soon as it has stopped, `max(5, instances)` ports above its own last port. A busy port is skipped; past 65535 the numbers wrap
 * to where the server began. Any other failure is logged and retried on the next port with backoff, and leaves the other servers alone. The last
 * server that serves is not stopped: its turn waits for the next interval.
 */
export function simulateFaults(options: FaultSimulationOptions): FaultSimulation {
  const { start, instances, firstPort, intervalMs, clock = systemClock, random = systemRandom } = options;
  const logger = options.logger ?? silentLogger;
  if (!(Number.isInteger(instances) && instances >= 1)) {
    throw new RangeError(`Cannot simulate faults as "instances" must be an integer >= 1: received ${instances}`);
  }
  if (!(Number.isInteger(firstPort) && firstPort >= 0 && firstPort + instances - 1 <= lastPort)) {
    throw new RangeError(
      `Cannot simulate faults as "firstPort" must leave ports for ${instances} instances: received ${firstPort}`,
    );
  }
  if (intervalMs !== undefined && !(intervalMs > 0)) {
    throw new RangeError(`Cannot simulate faults as "intervalMs" must be > 0: received ${intervalMs}`);
  }
  const ended = new AbortController();
  // Wider than the number of servers, so that no two ever want the same port.
  const step = Math.max(5, instances);
  const slots = Array.from({ length: instances }, (_, index): Slot => {
    const basePort = firstPort === 0 ? 0 : firstPort + index;
    return { basePort, port: basePort, running: undefined, work: Promise.resolve() };
  });
  let stopError: { readonly error: unknown } | undefined;

  const stop = async (slot: Slot) => {
    const { running } = slot;
    slot.running = undefined;
    await running?.close();
  };

  const stopAndRestart = async (slot: Slot) => {
    try {
      await stop(slot);
    } catch (error) {
      logger.error("a server did not stop cleanly", { port: slot.port, error });
    }
    const backoff = createBackoff({ initialMs: 100, maxMs: 10_000, random });
    while (!ended.signal.aborted) {
      const wrapped = advance(slot, step);
      try {
        slot.running = await start(slot.port);
        return;
      } catch (error) {
        const busy = isPortBusy(error);
        if (busy) logger.info("port is busy, trying the next", { port: slot.port });
        else logger.error("a server did not start again, trying the next port", { port: slot.port, error });
        // Busy ports are skipped at once, but not round and round.
        if (!busy || wrapped) await pause(backoff, clock, ended.signal);
      }
    }
  };

  const disturb = async (everyMs: number) => {
    for (let turn = 0; await interval(everyMs, clock, ended.signal); ) {
      const slot = slots[turn % instances];
      const serving = slots.filter(({ running }) => running !== undefined).length;
      if (slot?.running === undefined || (instances > 1 && serving < 2)) {
        logger.debug("no fault this time: a server is still on its way back");
        continue;
      }
      turn++;
      logger.info("stopping a server", { port: slot.port });
      slot.work = stopAndRestart(slot);
    }
  };

  const startAll = async () => {
    // One after the other: ready lines come in the order of the ports.
    for (const slot of slots) {
      if (ended.signal.aborted) return;
      slot.running = await start(slot.port);
    }
  };

  let faults: Promise<void> = Promise.resolve();
  const starting = startAll();
  let closing: Promise<void> | undefined;
  const endAll = async () => {
    ended.abort();
    await starting.catch(() => {});
    await faults;
    await Promise.all(
      slots.map(async (slot) => {
        try {
          await slot.work;
          await stop(slot);
        } catch (error) {
          stopError ??= { error };
        }
      }),
    );
    if (stopError !== undefined) throw stopError.error;
  };
  const close = () => {
    closing ??= endAll();
    return closing;
  };
  const started = starting.then(
    () => {
      if (intervalMs !== undefined && !ended.signal.aborted) faults = disturb(intervalMs);
    },
    async (error: unknown) => {
      await close().catch(() => {});
      throw error;
    },
  );
  // Whoever does not look at `started` learns of a failure nowhere else, but it must not end the process.
  started.catch(() => {});

  return { started, close, [Symbol.asyncDispose]: close };
}

interface Slot {
  readonly basePort: number;
  /** Where it runs, or ran last. */
  port: number;
  running: RunningServer | undefined;
  /** The stop and restart under way. */
  work: Promise<void>;
}

/** Moves a slot to its next port; true when the numbers wrapped. */
function advance(slot: Slot, step: number): boolean {
  if (slot.basePort === 0) return true;
  const next = slot.port + step;
  slot.port = next > lastPort ? slot.basePort : next;
  return next > lastPort;
}

async function pause(backoff: Backoff, clock: Clock, signal: AbortSignal): Promise<void> {
  await interval(backoff.next(), clock, signal);
}

/** Waits; false when the signal ended it. */
async function interval(delayMs: number, clock: Clock, signal: AbortSignal): Promise<boolean> {
  try {
    await sleep(delayMs, clock, signal);
    return true;
  } catch {
    return false;
  }
}

/** Whether an error, or what caused it, says that the port is taken. */
function isPortBusy(error: unknown): boolean {
  for (let cause = error, depth = 0; cause instanceof Error && depth < 5; cause = cause.cause, depth++) {
    if ("code" in cause && cause.code === "EADDRINUSE") return true;
  }
  return false;
}
