// Where a call goes: waits until there is something to pick, sends the call on a picked connection, and elsewhere where that one did not
// process it. Knows neither interceptors nor what a call is made of.

import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { getAbortSignalReason } from "@connectrpc/connect/protocol";
import { ignoreOutcome, type PickResult } from "../balancer/picker.ts";
import { callFate, markUnprocessed } from "../core/call-fate.ts";
import type { Clock } from "../core/clock.ts";
import type { Deadlined, DeadlineQueue } from "../core/deadline-queue.ts";
import type { Resolver } from "../resolver/resolver.ts";
import { type CallScope, type CallSurroundings, timedOut } from "./call-scope.ts";
import type { ConnectionPool, PoolState } from "./connection-pool.ts";
import { describeError } from "./describe-error.ts";

/** A call as its placement sees it. */
export interface Sending<R> {
  /** Makes one attempt. The transport heeds signal and timeout by itself. */
  send(transport: Transport, signal: AbortSignal | undefined, timeoutMs: number | undefined): Promise<R>;
  /** An attempt was answered. Reports its end to the pick, now or later, and returns what the caller gets. `startMs` is of no use where the pick has `ignoreOutcome`. */
  answered(response: R, picked: PickResult, startMs: number): R;
  /** Whether another attempt could be made: nothing of the caller's is used up. */
  mayRepeat(): boolean;
  /** No attempt will be made any more. */
  failed(error: ConnectError): void;
}

/** What a placement needs. */
export interface PlacementOptions {
  readonly pool: ConnectionPool;
  readonly resolver: Resolver;
  readonly clock: Clock;
  readonly deadlines: DeadlineQueue;
  /** How long a call without a deadline waits until there is something to pick. */
  readonly waitTimeoutMs: number;
}

export class Placement implements CallSurroundings {
  readonly clock: Clock;
  readonly deadlines: DeadlineQueue;
  readonly #pool: ConnectionPool;
  readonly #resolver: Resolver;
  readonly #waitTimeoutMs: number;

  constructor(options: PlacementOptions) {
    this.clock = options.clock;
    this.deadlines = options.deadlines;
    this.#pool = options.pool;
    this.#resolver = options.resolver;
    this.#waitTimeoutMs = options.waitTimeoutMs;
  }

  /**
   * Places a call: on one connection after another, as long as attempts end unprocessed, on each endpoint at most once. Rejects with a
   * ConnectError. `signal` and `timeoutMs` are those of the whole call; a `scope` has a deadline of its own, which its signal knows.
   */
  async place<R>(
    sending: Sending<R>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    scope: CallScope | undefined,
  ): Promise<R> {
    const { clock } = this;
    const pool = this.#pool;
    if (pool.state.type === "unresolved") pool.start();
    let untilMs: number | undefined;
    let remainingMs = timeoutMs;
    if (scope !== undefined) {
      scope.attempts++;
      untilMs = scope.untilMs;
      if (untilMs !== undefined) remainingMs = untilMs - clock.now();
    } else if (timeoutMs !== undefined) untilMs = clock.now() + timeoutMs;
    let giveUpMs: number | undefined;
    let tried: Set<string> | undefined;
    let lastError: ConnectError | undefined;
    try {
      for (;;) {
        if (signal?.aborted) throw getAbortSignalReason(signal);
        const { state } = pool;
        if (state.type !== "ready") {
          this.#demandPatience(state, lastError);
          giveUpMs ??= clock.now() + this.#waitTimeoutMs;
          await this.#change(signal, untilMs, giveUpMs, scope);
          if (untilMs !== undefined) remainingMs = untilMs - clock.now();
          continue;
        }
        const picked = state.picker.pick(tried);
        // Every ready endpoint has refused this call.
        if (picked === undefined) {
          throw lastError ?? new ConnectError("the balancer picked no endpoint", Code.Unavailable);
        }
        const { id, url } = picked.endpoint;
        const startMs = picked.done === ignoreOutcome ? 0 : clock.now();
        // So they have for a picker that does not heed what it must not pick.
        if (lastError !== undefined && tried?.has(id)) {
          picked.done({ latencyMs: clock.now() - startMs, error: lastError });
          throw lastError;
        }
        let response: R;
        try {
          const connection = pool.connection(id);
          if (connection === undefined) {
            throw markUnprocessed(new ConnectError(`the connection to ${url} was lost`, Code.Unavailable));
          }
          response = await sending.send(connection.transport, signal, wholeMs(remainingMs));
        } catch (error) {
          const nowMs = clock.now();
          picked.done({ latencyMs: nowMs - startMs, error });
          if (callFate(error) !== "unprocessed" || !sending.mayRepeat()) throw error;
          lastError = ConnectError.from(error);
          tried ??= new Set();
          tried.add(id);
          if (untilMs !== undefined) remainingMs = untilMs - nowMs;
          if (remainingMs !== undefined && remainingMs <= 0) throw timedOut();
          continue;
        }
        return sending.answered(response, picked, startMs);
      }
    } catch (error) {
      const told = signal?.aborted
        ? ConnectError.from(getAbortSignalReason(signal), Code.Canceled)
        : ConnectError.from(error);
      sending.failed(told);
      throw told;
    } finally {
      if (scope !== undefined) scope.attempts--;
    }
  }

  describeWait(): string {
    const { state } = this.#pool;
    if (state.type === "unresolved") {
      const because = state.error === undefined ? "" : `: ${describeError(state.error)}`;
      return `waiting for the first answer about ${this.#resolver.description}${because}`;
    }
    return `waiting for a connection to ${this.#resolver.description}`;
  }

  /** Throws where there is nothing to wait for. */
  #demandPatience(state: Exclude<PoolState, { type: "ready" }>, lastError: ConnectError | undefined): void {
    switch (state.type) {
      case "unresolved":
      case "connecting":
        return;
      case "closed":
        throw new ConnectError("the transport is closed", Code.Canceled);
      case "empty":
        throw (
          lastError ??
          new ConnectError(`no instance to call: ${this.#resolver.description} lists none`, Code.Unavailable)
        );
      case "failing": {
        const which = state.count === 1 ? "the one instance" : `any of the ${state.count} instances`;
        const text = `cannot connect to ${which} of ${this.#resolver.description}: ${describeError(state.error)}`;
        throw lastError ?? markUnprocessed(new ConnectError(text, Code.Unavailable, undefined, undefined, state.error));
      }
      default:
        state satisfies never;
    }
  }

  /** Waits until the pool's state changes. Rejects with the signal's reason, at the deadline, or without one when the wait is too long. */
  #change(
    signal: AbortSignal | undefined,
    untilMs: number | undefined,
    giveUpMs: number,
    scope: CallScope | undefined,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (act: () => void) => {
        stopWaiting();
        this.deadlines.remove(patience);
        signal?.removeEventListener("abort", onAbort);
        if (scope !== undefined) scope.waiting--;
        act();
      };
      const onAbort = () => settle(() => reject(signal && getAbortSignalReason(signal)));
      const giveUp = () => {
        const wait = this.describeWait();
        return untilMs === undefined ? new ConnectError(`gave up ${wait}`, Code.Unavailable) : timedOut(` ${wait}`);
      };
      const patience: Deadlined = {
        dueMs: 0,
        nextDue: undefined,
        previousDue: undefined,
        onDeadline: () => settle(() => reject(giveUp())),
      };
      const stopWaiting = this.#pool.onceChanged(() => settle(resolve));
      signal?.addEventListener("abort", onAbort, { once: true });
      if (scope !== undefined) scope.waiting++;
      // A scope's own deadline aborts the signal, and says what it waited for.
      if (scope === undefined || untilMs === undefined) {
        this.deadlines.add(patience, (untilMs ?? giveUpMs) - this.clock.now());
      }
    });
  }
}

/** What an attempt tells its server of the time that is left: whole milliseconds, at least one. */
function wholeMs(remainingMs: number | undefined): number | undefined {
  return remainingMs === undefined ? undefined : Math.ceil(Math.max(1, remainingMs));
}
