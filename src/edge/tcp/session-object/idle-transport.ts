// A balanced transport that is there while calls are, and closed when there were none for a while. Makes no calls.

import type { Clock } from "../../../core/clock.ts";
import type { BalancedTransport } from "../../../transport/balanced-transport.ts";

/** What opens the transport, and how long it is kept. */
export interface IdleTransportOptions {
  readonly open: () => BalancedTransport;
  /** Milliseconds without a call. */
  readonly idleMs: number;
  readonly clock: Clock;
}

export class IdleTransport {
  readonly #options: IdleTransportOptions;
  #transport: BalancedTransport | undefined;
  #calls = 0;
  #lastMs = 0;

  constructor(options: IdleTransportOptions) {
    this.#options = options;
  }

  /** A call begins. `leave` follows, once. */
  enter(): BalancedTransport {
    this.#calls++;
    this.#transport ??= this.#open();
    return this.#transport;
  }

  leave(): void {
    this.#calls--;
    this.#lastMs = this.#options.clock.now();
  }

  #open(): BalancedTransport {
    const { open, idleMs, clock } = this.#options;
    const transport = open();
    // One timer, not one a call.
    const closeWhenIdle = (): void => {
      const leftMs = this.#calls > 0 ? idleMs : this.#lastMs + idleMs - clock.now();
      if (leftMs > 0) {
        clock.schedule(leftMs, closeWhenIdle);
        return;
      }
      this.#transport = undefined;
      void transport.close();
    };
    clock.schedule(idleMs, closeWhenIdle);
    return transport;
  }
}
