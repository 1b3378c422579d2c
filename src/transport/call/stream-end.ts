// When a stream is over for whoever counts it. Reads nothing, and ends none.

import { getAbortSignalReason } from "@connectrpc/connect/protocol";
import type { Deadlined, DeadlineQueue } from "../../core/deadline-queue.ts";
import { timedOut } from "./call-scope.ts";
import type { EndListener } from "./streams.ts";

/** Notices the end of a stream: it was read to it, reading failed, or signal or deadline came first and nobody read on. */
export class StreamEnd implements Deadlined, EndListener {
  dueMs = 0;
  nextDue: Deadlined | undefined = undefined;
  previousDue: Deadlined | undefined = undefined;
  readonly #deadlines: DeadlineQueue;
  readonly #signal: AbortSignal | undefined;
  #tell: ((error?: unknown) => void) | undefined;

  constructor(deadlines: DeadlineQueue, signal: AbortSignal | undefined, tell: (error?: unknown) => void) {
    this.#deadlines = deadlines;
    this.#signal = signal;
    this.#tell = tell;
    if (signal === undefined) return;
    if (signal.aborted) this.handleEvent();
    else signal.addEventListener("abort", this);
  }

  end(error?: unknown): void {
    const tell = this.#tell;
    if (tell === undefined) return;
    this.#tell = undefined;
    this.#deadlines.remove(this);
    this.#signal?.removeEventListener("abort", this);
    tell(error);
  }

  onDeadline(): void {
    this.end(timedOut());
  }

  handleEvent(): void {
    if (this.#signal !== undefined) this.end(getAbortSignalReason(this.#signal));
  }
}
