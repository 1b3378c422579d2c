// The calls of a transport that wait for an endpoint: how many and how large they may be, and word of it where they wait for long. Wakes none.

import { Code, ConnectError } from "@connectrpc/connect";
import { markUnprocessed } from "../../core/call-fate.ts";
import type { Clock } from "../../core/clock.ts";
import type { Deadlined, DeadlineQueue } from "../../core/deadline-queue.ts";
import type { Logger } from "../../core/logger.ts";

/** How long a call waits before somebody is told, and for how long nobody is told again. */
const quietMs = 1000;
const repeatMs = 10_000;

/** What bounds calls that wait. */
export interface PendingCallsOptions {
  readonly maxPendingCalls: number;
  readonly maxPendingBytes: number;
  readonly clock: Clock;
  readonly deadlines: DeadlineQueue;
  readonly logger: Logger;
  /** What calls wait for now. */
  readonly describeWait: () => string;
}

export class PendingCalls implements Deadlined {
  dueMs = 0;
  nextDue: Deadlined | undefined = undefined;
  previousDue: Deadlined | undefined = undefined;
  readonly #options: PendingCallsOptions;
  #count = 0;
  #bytes = 0;
  #toldMs: number | undefined;

  constructor(options: PendingCallsOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#count;
  }

  /**
   * A call begins to wait, or to wait again; `bytes` of its message are kept for it, and it has waited for `waitedMs` in all. Throws ConnectError,
   * `resource_exhausted`, where too many wait.
   */
  enter(bytes: number, waitedMs: number): void {
    const { maxPendingCalls, maxPendingBytes, deadlines } = this.#options;
    if (this.#count >= maxPendingCalls) throw this.#tooMuch(`${this.#count} calls`, `${maxPendingCalls}`);
    if (this.#bytes + bytes > maxPendingBytes) {
      throw this.#tooMuch(`calls with ${this.#bytes} bytes`, `${maxPendingBytes} bytes`);
    }
    this.#count++;
    this.#bytes += bytes;
    if (this.#count === 1 && !this.#isTold()) deadlines.add(this, quietMs - waitedMs);
  }

  /** It waits no longer. */
  leave(bytes: number): void {
    this.#count--;
    this.#bytes -= bytes;
    if (this.#count === 0) this.#options.deadlines.remove(this);
  }

  /** There were some all the time. */
  onDeadline(): void {
    const { clock, logger, describeWait } = this.#options;
    this.#toldMs = clock.now();
    logger.warn(`calls are ${describeWait()}`, { calls: this.#count });
  }

  #isTold(): boolean {
    return this.#toldMs !== undefined && this.#options.clock.now() - this.#toldMs < repeatMs;
  }

  #tooMuch(have: string, most: string): ConnectError {
    const text = `${have} wait already, and ${most} is the most: they are ${this.#options.describeWait()}`;
    return markUnprocessed(new ConnectError(text, Code.ResourceExhausted));
  }
}
