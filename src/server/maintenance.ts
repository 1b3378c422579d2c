// One time of maintenance: the instance out of rotation, its clients sent away, the process and the port as they were. What a server's end
// does (serve.ts), without the end.

import type { ConnectError } from "@connectrpc/connect";
import { type Clock, sleep } from "../core/clock.ts";
import { settledWithin, unlessAborted } from "../core/until-settled.ts";
import type { TrackedCall } from "../grpc/server/call-tracker.ts";
import type { Registration } from "../registry/registration.ts";
import { lastWordsMs } from "./drain-signal.ts";
import type { HealthStatus } from "./health-status.ts";
import type { Listener } from "./listener.ts";
import type { ResolvedServeOptions } from "./serve-options.ts";
import type { DrainReport } from "./server.ts";
import { pauseInConsul } from "./service-registration.ts";

/** What it is made of. */
export interface MaintenanceParts {
  readonly reason: string;
  /** Requests that are under way as it begins. */
  readonly underWay: readonly TrackedCall[];
  readonly health: HealthStatus;
  readonly listener: Listener;
  readonly registration: Registration | undefined;
  readonly clock: Clock;
  readonly options: Pick<ResolvedServeOptions, "drainMarginMs" | "graceMs">;
  /** Why calls are cut that outlast the grace. */
  readonly whyCut: () => ConnectError;
}

/** From its beginning to `end()`. */
export class Maintenance {
  /** Resolves when the last client that was to leave has left. Rejects with ConsulError where Consul refuses, and with what `end` was told. */
  readonly drained: Promise<DrainReport>;
  readonly #parts: MaintenanceParts;
  readonly #ended: AbortController = new AbortController();
  /** Whether clients have been told to leave: nobody finds the server any more. */
  isOut = false;

  /** Begins at once. */
  constructor(parts: MaintenanceParts) {
    this.#parts = parts;
    parts.health.pause();
    this.drained = this.#drain();
    // Whoever does not wait for it must not crash by it.
    this.drained.catch(() => {});
  }

  /** It is over: goes no further, unless the clients have been told to leave. */
  end(why: unknown): void {
    if (!this.isOut) this.#ended.abort(why);
  }

  async #drain(): Promise<DrainReport> {
    const { reason, underWay, listener, registration, clock, options } = this.#parts;
    const { signal } = this.#ended;
    const sinceMs = clock.now();
    if (registration !== undefined) {
      await unlessAborted(pauseInConsul(registration, reason, clock, signal), signal);
      await sleep(options.drainMarginMs, clock, signal);
    }
    this.isOut = true;
    const clients = listener.dismiss();
    await settledWithin(clients.left, options.graceMs, clock);
    const cut = new Set(clients.calls());
    const why = this.#parts.whyCut();
    for (const call of cut) call.cut(why);
    // By now every call has its status, or its handler's own last words: let them out.
    if (cut.size > 0) await settledWithin(clients.left, lastWordsMs, clock);
    clients.destroy();
    const finished = underWay.filter((call) => !cut.has(call)).length;
    return { finished, cut: cut.size, tookMs: clock.now() - sinceMs };
  }
}
