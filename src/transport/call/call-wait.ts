// How a call waits: until its transport's pool changes, a delay is over, its time is up or its signal aborts, whichever comes first. Decides
// nothing about what follows.

import { getAbortSignalReason } from "@connectrpc/connect/protocol";
import type { Deadlined, DeadlineQueue } from "../../core/deadline-queue.ts";
import type { ConnectionPool } from "../pool/connection-pool.ts";

/** What a wait heeds. */
export interface CallWaitOptions {
  readonly pool: ConnectionPool;
  readonly deadlines: DeadlineQueue;
  readonly signal: AbortSignal | undefined;
  /** Whether any change of the pool ends it, or only that it is closed. */
  readonly endsWith: "any change" | "close";
  /** Milliseconds after which it ends by itself; undefined: not by itself. */
  readonly delayMs: number | undefined;
  /** Milliseconds after which the call's patience is over; undefined where somebody else watches that. */
  readonly patienceMs: number | undefined;
  /** Makes the error of a call whose patience is over. */
  readonly giveUp: () => unknown;
}

/** Waits. Rejects with `giveUp()` when the patience is over, and with the signal's reason. */
export function waitForChange(options: CallWaitOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    new CallWait(options, resolve, reject).start();
  });
}

class CallWait implements Deadlined {
  dueMs = 0;
  nextDue: Deadlined | undefined = undefined;
  previousDue: Deadlined | undefined = undefined;
  readonly #options: CallWaitOptions;
  readonly #resolve: () => void;
  readonly #reject: (error: unknown) => void;
  #stopListening: (() => void) | undefined;
  #isPatienceShorter = false;

  constructor(options: CallWaitOptions, resolve: () => void, reject: (error: unknown) => void) {
    this.#options = options;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(): void {
    const { deadlines, signal, delayMs, patienceMs } = this.#options;
    this.#stopListening = this.#listen();
    signal?.addEventListener("abort", this, { once: true });
    this.#isPatienceShorter = patienceMs !== undefined && (delayMs === undefined || patienceMs <= delayMs);
    const timerMs = this.#isPatienceShorter ? patienceMs : delayMs;
    if (timerMs !== undefined) deadlines.add(this, timerMs);
  }

  onDeadline(): void {
    this.#end();
    if (this.#isPatienceShorter) this.#reject(this.#options.giveUp());
    else this.#resolve();
  }

  handleEvent(): void {
    const { signal } = this.#options;
    this.#end();
    if (signal !== undefined) this.#reject(getAbortSignalReason(signal));
  }

  #listen(): () => void {
    const { pool, endsWith } = this.#options;
    const onChange = () => {
      this.#end();
      this.#resolve();
    };
    return endsWith === "close" ? pool.onceClosed(onChange) : pool.onceChanged(onChange);
  }

  #end(): void {
    this.#stopListening?.();
    this.#options.deadlines.remove(this);
    this.#options.signal?.removeEventListener("abort", this);
  }
}
