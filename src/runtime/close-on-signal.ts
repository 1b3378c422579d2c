// Closes something when the process is told to end. Installs nothing before it is called, and removes what it installed.

import { constants } from "node:os";
import process from "node:process";
import { systemClock } from "../core/clock.ts";
import { type Logger, silentLogger } from "../core/logger.ts";

/** Which signals, and what follows. */
export interface CloseOnSignalOptions {
  /** Default SIGINT, SIGTERM, SIGHUP and, where the runtime can listen to it, SIGQUIT. */
  readonly signals?: readonly (keyof typeof constants.signals)[];
  /** Ends the process afterwards, with code 0 after a clean close and 1 after a failed one. Default true. */
  readonly exit?: boolean;
  /** Told of the signal and of a failed close. Silent by default. */
  readonly logger?: Logger;
}

/** Listeners in force. */
export interface SignalHandle extends Disposable {
  /** Removes the listeners; signals do again what they did before. Idempotent. */
  stop(): void;
}

/**
 * A terminal's Ctrl-C reaches every process of its group, and `bun run`, `bunx` and `deno task` hand it on to their child once more
 * (measured on Bun 1.4.5, Deno 2.9.6): what comes so soon after the first is its echo.
 */
const echoMs = 500;

/**
 * Calls `closeable.close()` on the first signal, once; a second signal, of any of the kinds, ends the process at once with
 * 128 plus the signal's number, as shells have it. The same signal again within 500 ms is none: it is the first one's echo.
 * The process stays as it is where `exit` is false, but for a second signal.
 */
export function closeOnSignal(
  closeable: { close(): Promise<unknown> },
  options: CloseOnSignalOptions = {},
): SignalHandle {
  const { signals = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"], exit = true, logger = silentLogger } = options;
  let first: { readonly signal: NodeJS.Signals; readonly atMs: number } | undefined;

  const close = async (): Promise<void> => {
    let code = 0;
    try {
      await closeable.close();
    } catch (error) {
      code = 1;
      logger.error("Cannot close cleanly", { error });
    }
    if (exit) process.exit(code);
  };
  const onSignal = (signal: NodeJS.Signals): void => {
    if (first !== undefined) {
      if (signal === first.signal && systemClock.now() - first.atMs < echoMs) return;
      process.exit(128 + (constants.signals[signal] ?? 0));
    }
    first = { signal, atMs: systemClock.now() };
    logger.info("Closing on signal", { signal });
    void close();
  };

  const listening: NodeJS.Signals[] = [];
  for (const signal of signals) {
    try {
      process.on(signal, onSignal);
      listening.push(signal);
    } catch (error) {
      // Some runtimes and systems refuse some signals; the others still work.
      logger.debug("Cannot listen to signal", { signal, error });
    }
  }
  const stop = (): void => {
    for (const signal of listening.splice(0)) process.off(signal, onSignal);
  };
  return { stop, [Symbol.dispose]: stop };
}
