// Where a call goes: waits until there is something to pick, sends the call on a picked connection, and elsewhere where that one did not
// process it. Runs no interceptors.

import type { DescMessage, DescMethodUnary, MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type ContextValues, type StreamResponse, type UnaryResponse } from "@connectrpc/connect";
import { getAbortSignalReason } from "@connectrpc/connect/protocol";
import { ignoreOutcome, type PickResult } from "../balancer/picker.ts";
import { callFate, markUnprocessed } from "../core/call-fate.ts";
import type { Clock } from "../core/clock.ts";
import type { Deadlined, DeadlineQueue } from "../core/deadline-queue.ts";
import type { Resolver } from "../resolver/resolver.ts";
import { type CallScope, type CallSurroundings, timedOut } from "./call-scope.ts";
import type { ConnectionPool, PoolState } from "./connection-pool.ts";
import { describeError } from "./describe-error.ts";
import { type Sending, type StreamSending, UnarySending } from "./sendings.ts";

/** What a placement needs. */
export interface PlacementOptions {
  readonly pool: ConnectionPool;
  readonly resolver: Resolver;
  readonly clock: Clock;
  readonly deadlines: DeadlineQueue;
  /** How long a call without a deadline waits until there is something to pick. */
  readonly waitTimeoutMs: number;
}

/** What has happened to a call before it is placed in earnest. */
interface Begun {
  /** The call's deadline by the clock. */
  readonly untilMs: number | undefined;
  /** Where it goes first. */
  readonly picked?: PickResult | undefined;
  /** Where it was not taken. */
  readonly refused?: { readonly id: string; readonly error: ConnectError };
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
   * Places a unary call. `signal` and `timeoutMs` are those of the whole call; of one with a `scope`, that has the deadline, and is its
   * signal where there is no other. Rejects with a ConnectError.
   */
  unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: HeadersInit | undefined,
    message: MessageInitShape<I>,
    contextValues: ContextValues | undefined,
    scope: CallScope | undefined,
  ): Promise<UnaryResponse<I, O>> {
    const { state } = this.#pool;
    const callSignal = signal ?? scope;
    let picked: PickResult | undefined;
    if (state.type === "ready" && !callSignal?.aborted) {
      picked = state.picker.pick();
      const caller = picked?.done === ignoreOutcome ? this.#pool.connection(picked.endpoint.id)?.caller : undefined;
      if (picked !== undefined && caller !== undefined) {
        // The call's end is nobody's business but the caller's: whose promise is the connection's own.
        const { id } = picked.endpoint;
        const untilMs = scope === undefined ? this.#untilMs(timeoutMs) : scope.untilMs;
        const remainingMs = scope === undefined ? timeoutMs : scope.remainingMs();
        return caller.unaryCall(method, callSignal, wholeMs(remainingMs), header, message, (error) => {
          if (callFate(error) !== "unprocessed") return undefined;
          const sending = new UnarySending(this.clock, method, header, message, contextValues);
          return this.place(sending, signal, { untilMs, refused: { id, error } }, scope);
        });
      }
    }
    const sending = new UnarySending(this.clock, method, header, message, contextValues);
    return this.place(sending, signal, { untilMs: scope?.untilMs ?? this.#untilMs(timeoutMs), picked }, scope);
  }

  /** Places a stream, in the same way. */
  stream<I extends DescMessage, O extends DescMessage>(
    sending: StreamSending<I, O>,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    scope: CallScope | undefined,
  ): Promise<StreamResponse<I, O>> {
    return this.place(sending, signal, { untilMs: scope?.untilMs ?? this.#untilMs(timeoutMs) }, scope);
  }

  #untilMs(timeoutMs: number | undefined): number | undefined {
    return timeoutMs === undefined ? undefined : this.clock.now() + timeoutMs;
  }

  /** Sends a call on one connection after another, as long as attempts end unprocessed, on each endpoint at most once. */
  async place<R>(
    sending: Sending<R>,
    givenSignal: AbortSignal | undefined,
    { untilMs, picked, refused }: Begun,
    scope: CallScope | undefined,
  ): Promise<R> {
    const { clock } = this;
    const pool = this.#pool;
    const signal = givenSignal ?? scope?.signal;
    const tried = new Set<string>();
    let lastError: ConnectError | undefined;
    let giveUpMs: number | undefined;
    let next = picked;
    if (scope !== undefined) scope.attempts++;
    if (refused !== undefined) {
      tried.add(refused.id);
      lastError = refused.error;
    }
    try {
      if (pool.state.type === "unresolved") pool.start();
      for (;;) {
        if (signal?.aborted) throw getAbortSignalReason(signal);
        if (lastError !== undefined && untilMs !== undefined && clock.now() >= untilMs) throw timedOut();
        const { state } = pool;
        if (state.type !== "ready") {
          this.#demandPatience(state, lastError);
          giveUpMs ??= clock.now() + this.#waitTimeoutMs;
          await this.#change(signal, untilMs, giveUpMs, scope);
          continue;
        }
        const picked = next ?? state.picker.pick(tried);
        next = undefined;
        // Every ready endpoint has refused this call.
        if (picked === undefined) {
          throw lastError ?? new ConnectError("the balancer picked no endpoint", Code.Unavailable);
        }
        const { id, url } = picked.endpoint;
        const startMs = clock.now();
        // So they have for a picker that does not heed what it must not pick.
        if (lastError !== undefined && tried.has(id)) {
          picked.done({ latencyMs: 0, error: lastError });
          throw lastError;
        }
        tried.add(id);
        let response: R;
        try {
          const connection = pool.connection(id);
          if (connection === undefined) {
            throw markUnprocessed(new ConnectError(`the connection to ${url} was lost`, Code.Unavailable));
          }
          const remainingMs = untilMs === undefined ? undefined : untilMs - startMs;
          response = await sending.send(connection.transport, signal, wholeMs(remainingMs));
        } catch (error) {
          picked.done({ latencyMs: clock.now() - startMs, error });
          if (callFate(error) !== "unprocessed" || !sending.mayRepeat()) throw error;
          lastError = ConnectError.from(error);
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
