// Servers that are stopped in turn and started again on other ports, as the fault simulation of the system that lictor replaces does it.
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
  /** Takes it out of Consul, where `close` does not do that itself. */
  deregister?(): Promise<unknown>;
}

/** What happened to one of the servers. */
export interface RestartEvent {
  /**
   * `started`: it serves. `stopping`: its turn has come. `stopped`: its port is free, whether or not it stopped cleanly. `failed`: it could
   * not be stopped cleanly, or not be started on that port, which is tried again on the next.
   */
  readonly type: "started" | "stopping" | "stopped" | "failed";
  /** Which of them, from 0. */
  readonly index: number;
  readonly port: number;
  /** With `failed`. */
  readonly error?: unknown;
}

/** What is run, and how it is disturbed. */
export interface RestartingServersOptions {
  /** Starts a server; resolves when it serves. An error with code EADDRINUSE, or caused by one, means a busy port. */
  readonly start: (port: number) => Promise<RunningServer>;
  /** How many servers run side by side, at least 1. Default 2. */
  readonly instances?: number;
  /** Port of the first server, the others follow; 0: any free port, now and at every restart. Default 0. */
  readonly firstPort?: number;
  /** How many ports higher a server comes back: 0 (the same port), or at least `instances`, so that no two want the same. Default: 5, or `instances` where that is more. */
  readonly portStep?: number;
  /** Milliseconds from one stop to the next; the servers take turns. Absent: none is stopped but by `restart()`. */
  readonly intervalMs?: number;
  /** Milliseconds that a stopped server stays away, at least 0. Default 0. */
  readonly awayMs?: number;
  /**
   * For servers that have `deregister`: whether it comes before `close`, so that callers have left when the port closes, or after, as in the
   * original, whose callers meet a closed port. Default `deregister-first`.
   */
  readonly order?: "deregister-first" | "stop-first";
  /** Told of everything that happens to a server, in order. Must not throw. */
  readonly onEvent?: (event: RestartEvent) => void;
  readonly logger?: Logger;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** Servers that are restarted in turn. Whoever creates them closes them. */
export interface RestartingServers extends AsyncDisposable {
  /** Resolves when all servers serve for the first time. Rejects when one cannot be started; the others are stopped by then. */
  readonly started: Promise<void>;
  /** Where servers serve now, by their index; one that is away is left out. */
  readonly ports: readonly number[];
  /** Servers that came back so far. */
  readonly restarts: number;
  /**
   * Restarts the server whose turn it is, now; resolves with true when it serves again, or has failed to and is tried again. False, and nothing
   * done, while it is away or all others are, or after `close()`.
   */
  restart(): Promise<boolean>;
  /** Ends the faults and stops every server. Idempotent: returns the same promise; rejects with the first error of a stop, after all have ended. */
  close(): Promise<void>;
}

const lastPort = 65_535;

/**
 * Starts servers on `firstPort` and the ports after it. With `intervalMs`, one is stopped gracefully every interval, each in its turn; it is started
 * again as soon as it has stopped, `portStep` ports above its own last port. A busy port is skipped; past 65535 the numbers wrap to where the server
 * began. Any other failure is logged and retried on the next port with backoff, and leaves the other servers alone. The last server that serves is
 * not stopped, but for a lone one: its turn waits for the next interval. Throws RangeError on options outside their range.
 */
export function createRestartingServers(options: RestartingServersOptions): RestartingServers {
  const settings = resolveOptions(options);
  const { start, instances, firstPort, portStep, intervalMs, awayMs, order, onEvent, clock, random, logger } = settings;
  const ended = new AbortController();
  const slots = Array.from({ length: instances }, (_, index): Slot => {
    const basePort = firstPort === 0 ? 0 : firstPort + index;
    return { index, basePort, port: basePort, running: undefined, work: Promise.resolve() };
  });
  let stopError: { readonly error: unknown } | undefined;
  let restarts = 0;
  let turn = 0;

  const tell = (type: RestartEvent["type"], { index, port }: Slot, error?: unknown) => {
    onEvent(type === "failed" ? { type, index, port, error } : { type, index, port });
  };

  const begin = async (slot: Slot) => {
    slot.running = await start(slot.port);
    // Where it was left to the system, that is what it took.
    slot.port = slot.running.port;
    tell("started", slot);
  };

  const stop = async (slot: Slot) => {
    const { running } = slot;
    if (running === undefined) return;
    slot.running = undefined;
    tell("stopping", slot);
    try {
      if (order === "deregister-first") await running.deregister?.();
      await running.close();
      if (order === "stop-first") await running.deregister?.();
    } finally {
      tell("stopped", slot);
    }
  };

  const stopAndRestart = async (slot: Slot) => {
    try {
      await stop(slot);
    } catch (error) {
      logger.error("a server did not stop cleanly", { port: slot.port, error });
      tell("failed", slot, error);
    }
    if (awayMs > 0) await interval(awayMs, clock, ended.signal);
    const backoff = createBackoff({ initialMs: 100, maxMs: 10_000, random });
    while (!ended.signal.aborted) {
      const wrapped = advance(slot, portStep);
      try {
        await begin(slot);
        restarts++;
        return;
      } catch (error) {
        const busy = isPortBusy(error);
        if (busy) logger.info("port is busy, trying the next", { port: slot.port });
        else logger.error("a server did not start again, trying the next port", { port: slot.port, error });
        tell("failed", slot, error);
        // Busy ports are skipped at once, but not round and round.
        if (!busy || wrapped) await pause(backoff, clock, ended.signal);
      }
    }
  };

  /** False where nobody may be stopped now. */
  const restart = async (): Promise<boolean> => {
    const slot = slots[turn % instances];
    const serving = slots.filter(({ running }) => running !== undefined).length;
    if (ended.signal.aborted || slot?.running === undefined || (instances > 1 && serving < 2)) return false;
    turn++;
    logger.info("stopping a server", { port: slot.port });
    slot.work = stopAndRestart(slot);
    await slot.work;
    return true;
  };

  const disturb = async (everyMs: number) => {
    while (await interval(everyMs, clock, ended.signal)) {
      restart().then((isDone) => {
        if (!isDone) logger.debug("no fault this time: a server is still on its way back");
      });
    }
  };

  const startAll = async () => {
    // One after the other: ready lines come in the order of the ports.
    for (const slot of slots) {
      if (ended.signal.aborted) return;
      await begin(slot);
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

  return {
    started,
    get ports() {
      return slots.flatMap(({ running }) => (running === undefined ? [] : [running.port]));
    },
    get restarts() {
      return restarts;
    },
    restart,
    close,
    [Symbol.asyncDispose]: close,
  };
}

interface Slot {
  readonly index: number;
  readonly basePort: number;
  /** Where it runs, or ran last. */
  port: number;
  running: RunningServer | undefined;
  /** The stop and restart under way. */
  work: Promise<void>;
}

function resolveOptions(options: RestartingServersOptions) {
  const { instances = 2, firstPort = 0, intervalMs, awayMs = 0 } = options;
  // Wider than the number of servers, so that no two ever want the same port.
  const { portStep = Math.max(5, instances), order = "deregister-first" } = options;
  check("instances", "an integer >= 1", instances, Number.isInteger(instances) && instances >= 1);
  const hasPorts = Number.isInteger(firstPort) && firstPort >= 0 && firstPort + instances - 1 <= lastPort;
  check("firstPort", `a port, with ${instances} from it on`, firstPort, hasPorts);
  const isStep = Number.isInteger(portStep) && (portStep === 0 || portStep >= instances);
  check("portStep", '0, or an integer of at least "instances"', portStep, isStep);
  check("intervalMs", "> 0", intervalMs, intervalMs === undefined || intervalMs > 0);
  check("awayMs", ">= 0", awayMs, awayMs >= 0);
  check("order", '"deregister-first" or "stop-first"', order, order === "deregister-first" || order === "stop-first");
  return {
    start: options.start,
    instances,
    firstPort,
    portStep,
    intervalMs,
    awayMs,
    order,
    onEvent: options.onEvent ?? (() => {}),
    clock: options.clock ?? systemClock,
    random: options.random ?? systemRandom,
    logger: options.logger ?? silentLogger,
  };
}

function check(name: string, rule: string, value: unknown, holds: boolean): void {
  if (!holds) throw new RangeError(`Cannot restart servers as "${name}" must be ${rule}: received ${value}`);
}

/** Moves a slot to its next port; true when the numbers wrapped, or stay. */
function advance(slot: Slot, step: number): boolean {
  if (slot.basePort === 0) {
    slot.port = 0;
    return true;
  }
  const next = slot.port + step;
  slot.port = next > lastPort ? slot.basePort : next;
  return next > lastPort || step === 0;
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
