// How handlers learn that their connection is being drained: the server leaves, or goes into maintenance. Drains nothing.

import { Code, ConnectError, type ContextKey, createContextKey } from "@connectrpc/connect";

/**
 * Where a handler and an interceptor find the signal that their server drains: `context.values.get(drainSignal)`. It aborts when the client
 * has been told to go elsewhere, with the grace (`graceMs`) before it: a stream that lasts should come to its end then, so that its client
 * opens another on another server. What outlasts the grace is cut, and `context.signal` aborts. Its reason is a ConnectError `unavailable`: who
 * throws it tells the client what happened. In what was not called through a server of lictor it never aborts.
 */
export const drainSignal: ContextKey<AbortSignal> = createContextKey(new AbortController().signal, {
  description: "aborts when the server drains",
});

/** How long calls that were cut may take to send their last words. */
export const lastWordsMs = 100;

/** What the clients of a server that leaves are told. */
export function leavingError(): ConnectError {
  return new ConnectError("the server is shutting down", Code.Unavailable);
}

/** One connection's. The signal is made when somebody first wants it. */
export class DrainNotice {
  #controller: AbortController | undefined;
  #isGiven = false;

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#isGiven) this.#controller.abort(leavingError());
    }
    return this.#controller.signal;
  }

  /** The client was told. Again does nothing. */
  give(): void {
    if (this.#isGiven) return;
    this.#isGiven = true;
    this.#controller?.abort(leavingError());
  }
}
