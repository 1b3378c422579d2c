// The next endpoint of a call: picks one where it was not yet, and has the call wait while there is none, within its time and the transport's
// bounds. Sends nothing.

import type { ConnectError } from "@connectrpc/connect";
import { getAbortSignalReason } from "@connectrpc/connect/protocol";
import type { PickResult } from "../../balancer/picker.ts";
import { type Backoff, createBackoff } from "../../core/backoff.ts";
import type { Clock } from "../../core/clock.ts";
import type { DeadlineQueue } from "../../core/deadline-queue.ts";
import type { Random } from "../../core/random.ts";
import type { Resolver } from "../../resolver/resolver.ts";
import type { ConnectionPool } from "../pool/connection-pool.ts";
import type { PoolState } from "../pool/pool-state.ts";
import type { Attempts } from "../retry/attempts.ts";
import type { MethodPolicy } from "../service-config/service-config.ts";
import { type CallScope, timedOut } from "./call-scope.ts";
import { waitForChange } from "./call-wait.ts";
import { describeWait, explainUnready } from "./describe-wait.ts";
import type { PendingCalls } from "./pending-calls.ts";

/** One call on its way. */
export interface PlacedCall {
  readonly signal: AbortSignal | undefined;
  readonly scope: CallScope | undefined;
  readonly untilMs: number | undefined;
  readonly attempts: Attempts;
  readonly policy: MethodPolicy | undefined;
  readonly waits: boolean;
  /** Of the call's message, once it waits. */
  readonly byteLength: () => number;
  /** When a call without a deadline gives up; set when it first waits. */
  giveUpMs: number | undefined;
  /** Between rounds in which every ready endpoint has refused the call. */
  backoff: Backoff | undefined;
}

/** What endpoints are chosen with. */
export interface EndpointChoiceOptions {
  readonly pool: ConnectionPool;
  readonly resolver: Resolver;
  readonly clock: Clock;
  readonly deadlines: DeadlineQueue;
  readonly random: Random;
  readonly pending: PendingCalls;
  /** How long a call without a deadline waits until there is something to pick. */
  readonly waitTimeoutMs: number;
}

export class EndpointChoice {
  readonly #options: EndpointChoiceOptions;
  readonly #pool: ConnectionPool;

  constructor(options: EndpointChoiceOptions) {
    this.#options = options;
    this.#pool = options.pool;
  }

  /** The next endpoint, waiting until there is one. */
  async next(call: PlacedCall): Promise<PickResult> {
    const { attempts } = call;
    for (;;) {
      // Before the first call, and where there was none for long.
      if (this.#pool.state.type === "unresolved") this.#pool.start();
      const { state } = this.#pool;
      if (state.type !== "ready") {
        this.#demandPatience(state, call);
        await this.wait(call, undefined);
      } else {
        const picked = this.#pickUntried(state, attempts);
        if (picked !== undefined) return picked;
        // Every ready endpoint has refused this call.
        if (!call.waits) throw attempts.lastError ?? explainUnready(state, this.#options.resolver.description);
        await this.wait(call, this.#backoffOf(call).next());
        attempts.forgetAll();
      }
      this.demandTime(call);
    }
  }

  /** An endpoint where the call was not yet, else one that has not refused it since it last waited. */
  #pickUntried({ picker }: PoolState & { type: "ready" }, attempts: Attempts): PickResult | undefined {
    for (;;) {
      const picked = picker.pick(attempts.tried);
      if (picked !== undefined && !attempts.tried.has(picked.endpoint.id)) return picked;
      // A picker that does not heed what it must not pick: its pick is told of an end all the same.
      picked?.done({ latencyMs: 0, error: attempts.lastError });
      if (!attempts.forgetVisited()) return undefined;
    }
  }

  #backoffOf(call: PlacedCall): Backoff {
    call.backoff ??= createBackoff({ initialMs: 50, maxMs: 1000, multiplier: 1.6, random: this.#options.random });
    return call.backoff;
  }

  /** Throws where the call is over: aborted, or past its deadline. */
  demandTime({ signal, untilMs, attempts }: PlacedCall): void {
    if (signal?.aborted) throw getAbortSignalReason(signal);
    if (attempts.lastError !== undefined && untilMs !== undefined && this.#options.clock.now() >= untilMs)
      throw timedOut();
  }

  /** Throws where there is nothing to wait for. */
  #demandPatience(state: Exclude<PoolState, { type: "ready" }>, { attempts, waits }: PlacedCall): void {
    switch (state.type) {
      case "unresolved":
      case "connecting":
        return;
      case "empty":
      case "failing":
        if (waits) return;
        throw attempts.lastError ?? explainUnready(state, this.#options.resolver.description);
      case "closed":
        throw explainUnready(state, "");
      default:
        state satisfies never;
    }
  }

  /** Before a retry. */
  pause({ signal }: PlacedCall, delayMs: number): Promise<void> | undefined {
    if (delayMs <= 0) return undefined;
    const giveUp = (): unknown => undefined;
    const [pool, deadlines] = [this.#pool, this.#options.deadlines];
    return waitForChange({ pool, deadlines, signal, endsWith: "close", delayMs, patienceMs: undefined, giveUp });
  }

  /** Waits until the pool changes, or for `delayMs`. Rejects with the signal's reason, at the deadline, or without one when the wait is too long. */
  async wait(call: PlacedCall, delayMs: number | undefined): Promise<void> {
    const { scope, signal, untilMs } = call;
    const nowMs = this.#options.clock.now();
    const { pending, waitTimeoutMs } = this.#options;
    call.giveUpMs ??= nowMs + waitTimeoutMs;
    const bytes = call.byteLength();
    pending.enter(bytes, nowMs - (call.giveUpMs - waitTimeoutMs));
    if (scope !== undefined) scope.waiting++;
    try {
      await waitForChange({
        pool: this.#pool,
        deadlines: this.#options.deadlines,
        signal,
        endsWith: "any change",
        delayMs,
        // Also where a scope has a deadline: the call's may be the service config's, and its signal an interceptor's own.
        patienceMs: (untilMs ?? call.giveUpMs) - nowMs,
        giveUp: () => this.#gaveUp(call),
      });
    } finally {
      pending.leave(bytes);
      if (scope !== undefined) scope.waiting--;
    }
  }

  #gaveUp({ untilMs, attempts }: PlacedCall): ConnectError {
    const { description } = this.#options.resolver;
    const { state } = this.#pool;
    if (untilMs === undefined) return explainUnready(state, description, attempts.lastError);
    return timedOut(` ${describeWait(state, description, attempts.lastError)}`);
  }
}
