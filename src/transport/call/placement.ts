// Where a call goes: picks a connection for each attempt, waits while there is none, and sends the call again where that is right. What a
// failure means is retry/attempts.ts's to say. Runs no interceptors.

import type { DescMessage, DescMethod, DescMethodUnary, MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type ContextValues, type StreamResponse, type UnaryResponse } from "@connectrpc/connect";
import { getAbortSignalReason } from "@connectrpc/connect/protocol";
import { ignoreOutcome, type PickResult } from "../../balancer/picker.ts";
import { abortError } from "../../core/abort-error.ts";
import { callFate, isMarked, markUnprocessed } from "../../core/call-fate.ts";
import type { CallSignal } from "../../core/call-signal.ts";
import type { Clock } from "../../core/clock.ts";
import type { DeadlineQueue } from "../../core/deadline-queue.ts";
import type { Logger } from "../../core/logger.ts";
import type { Random } from "../../core/random.ts";
import type { Resolver } from "../../resolver/resolver.ts";
import type { ConnectionPool } from "../pool/connection-pool.ts";
import type { PoolState } from "../pool/pool-state.ts";
import { Attempts, type NextStep } from "../retry/attempts.ts";
import { hedge } from "../retry/hedging.ts";
import { retryPolicyOf } from "../retry/policy.ts";
import { ReplayBudget } from "../retry/replay-budget.ts";
import type { ReplayLimits } from "../retry/stream-requests.ts";
import { defaultThrottle, RetryThrottle } from "../retry/throttle.ts";
import type { HedgingPolicy, MethodPolicy } from "../service-config/service-config.ts";
import type { ServiceConfigHolder, ServiceConfigStatus } from "../service-config/service-config-holder.ts";
import type { CallScope, CallSurroundings } from "./call-scope.ts";
import { describeWait } from "./describe-wait.ts";
import { EndpointChoice, type PlacedCall } from "./endpoint-choice.ts";
import { PendingCalls } from "./pending-calls.ts";
import { type Sending, type StreamSending, UnarySending } from "./sendings.ts";
import { waitForReady } from "./wait-for-ready.ts";

/** Bytes of a stream that may not run twice which are kept: a refusal comes after a round trip, or not at all. */
const refusalBytes = 64 * 1024;

/** What a placement needs. */
export interface PlacementOptions {
  readonly pool: ConnectionPool;
  readonly resolver: Resolver;
  readonly serviceConfig: ServiceConfigHolder;
  readonly clock: Clock;
  readonly deadlines: DeadlineQueue;
  readonly random: Random;
  readonly logger: Logger;
  /** Whether calls wait while no endpoint is ready, where neither they nor their method say. */
  readonly waitForReady: boolean;
  /** How long a call without a deadline waits until there is something to pick. */
  readonly waitTimeoutMs: number;
  readonly maxPendingCalls: number;
  readonly maxPendingBytes: number;
  /** Whether methods that may run twice are retried without a policy. */
  readonly retry: boolean;
  /** The most bytes of a stream's messages that are kept for its retries. */
  readonly retryBufferBytes: number;
}

/** How a call begins: where it goes first, or what follows where it was sent already. */
interface FirstStep {
  readonly picked?: PickResult | undefined;
  readonly step?: NextStep;
}

/** What has happened to a call before it is placed in earnest. */
interface Begun extends FirstStep {
  /** The call's deadline by the clock. */
  readonly untilMs: number | undefined;
  /** Of a call that was sent already. */
  readonly attempts?: Attempts;
}

export class Placement implements CallSurroundings {
  readonly clock: Clock;
  readonly deadlines: DeadlineQueue;
  readonly #options: PlacementOptions;
  readonly #pool: ConnectionPool;
  readonly #serviceConfig: ServiceConfigHolder;
  readonly #throttle: RetryThrottle;
  readonly #pending: PendingCalls;
  readonly #choice: EndpointChoice;
  readonly #replayBudget = new ReplayBudget();

  constructor(options: PlacementOptions) {
    this.clock = options.clock;
    this.deadlines = options.deadlines;
    this.#options = options;
    this.#pool = options.pool;
    this.#serviceConfig = options.serviceConfig;
    this.#throttle = new RetryThrottle(() => options.pool.okCalls());
    this.#pending = new PendingCalls({ ...options, describeWait: () => this.describeWait() });
    this.#choice = new EndpointChoice({ ...options, pending: this.#pending });
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
    if (state.type === "ready" && !callSignal?.aborted && isPlain(this.#serviceConfig.policyOf(method))) {
      picked = state.probe === undefined ? state.picker.pick() : this.#pickOrProbe(state, method);
      const caller = picked?.done === ignoreOutcome ? this.#pool.connection(picked.endpoint.id)?.caller : undefined;
      if (picked !== undefined && caller !== undefined) {
        // The call's end is nobody's business but the caller's: whose promise is the connection's own.
        const { id } = picked.endpoint;
        const givenMs = scope === undefined ? timeoutMs : scope.remainingMs();
        return caller.unaryCall(method, callSignal, wholeMs(givenMs), header, message, (error, remainingMs) => {
          const untilMs = scope === undefined ? this.#untilMs(remainingMs ?? timeoutMs) : scope.untilMs;
          const attempts = this.#attempts(method);
          const step = this.#firstFailed(attempts, id, error, untilMs, callSignal);
          if (step === "fail") {
            const isGivenUp = callSignal?.aborted === true && (callSignal === scope || isForeign(error, callSignal));
            const told = isGivenUp ? givenUp(callSignal, scope) : error;
            attempts.told(told, signal === undefined ? scope?.sharedReason : signal.reason, isGivenUp);
            scope?.fate.failedOnce(told);
            return told === error ? undefined : Promise.reject(told);
          }
          this.#logRepeat(method, id, attempts, step);
          const sending = new UnarySending(this.clock, method, header, message, contextValues);
          return this.place(sending, signal, { untilMs, attempts, step }, scope);
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

  /** Sends a call on one connection after another, as long as its attempts fail and may be made again. */
  async place<R>(
    sending: Sending<R>,
    givenSignal: AbortSignal | undefined,
    begun: Begun,
    scope: CallScope | undefined,
  ): Promise<R> {
    const signal = givenSignal ?? scope?.signal;
    let call = this.#placing(sending, signal, scope, begun);
    if (scope !== undefined) scope.attempts++;
    try {
      if (!this.#serviceConfig.isKnown && begun.attempts === undefined) {
        const startMs = this.clock.now();
        await this.#untilConfigKnown(call);
        call = this.#placing(sending, signal, scope, { ...begun, startMs });
      }
      const { policy } = call;
      if (policy?.hedging !== undefined && begun.attempts === undefined) {
        return await this.#hedge(policy.hedging, sending, call, begun);
      }
      return await this.#run(sending, call, begun);
    } catch (error) {
      const told = signal?.aborted ? givenUp(signal, scope) : ConnectError.from(error);
      const shared = givenSignal === undefined ? scope?.sharedReason : givenSignal.reason;
      call.attempts.told(told, shared, signal?.aborted ?? false);
      scope?.fate.failedOnce(told);
      sending.failed(told);
      throw told;
    } finally {
      if (scope !== undefined) scope.attempts--;
    }
  }

  /** A call and what holds for it now. One that began before its service config was known has the config's timeout from `startMs` on. */
  #placing(
    sending: Sending<unknown>,
    signal: AbortSignal | undefined,
    scope: CallScope | undefined,
    { untilMs, attempts, startMs }: Begun & { readonly startMs?: number },
  ): PlacedCall {
    const policy = this.#serviceConfig.policyOf(sending.method);
    const limitMs = policy?.timeoutMs !== undefined && startMs !== undefined ? startMs + policy.timeoutMs : undefined;
    return {
      signal,
      scope,
      untilMs: limitMs === undefined ? untilMs : Math.min(limitMs, untilMs ?? limitMs),
      attempts: attempts ?? this.#attempts(sending.method),
      policy,
      waits: sending.contextValues?.get(waitForReady) ?? policy?.waitForReady ?? this.#options.waitForReady,
      byteLength: () => sending.byteLength(),
      giveUpMs: undefined,
      backoff: undefined,
    };
  }

  /** Sends a call on one connection after another, as its attempts ask for. */
  async #run<R>(sending: Sending<R>, call: PlacedCall, { picked: firstPick, step: firstStep }: FirstStep): Promise<R> {
    const { attempts, signal, policy } = call;
    let next = firstPick;
    let step: NextStep = firstStep ?? "elsewhere";
    try {
      if (policy !== undefined) sending.limit(policy);
      for (;;) {
        if (typeof step === "number") await this.#choice.pause(call, step);
        this.#choice.demandTime(call);
        const picked = next ?? (await this.#choice.next(call));
        next = undefined;
        const startMs = this.clock.now();
        try {
          const response = await this.#send(sending, picked, call, startMs);
          return sending.answered(response, picked, startMs);
        } catch (thrown) {
          const error = ConnectError.from(thrown, signal?.aborted ? Code.Canceled : Code.Unknown);
          picked.done({ latencyMs: this.clock.now() - startMs, error });
          this.callFailed(picked.endpoint.id, error);
          // What it has waited so far counts, not what it took to be sent.
          if (call.giveUpMs !== undefined) call.giveUpMs += this.clock.now() - startMs;
          if (isForeign(error, signal)) {
            attempts.abandoned();
            throw error;
          }
          step = attempts.failed(picked.endpoint.id, error, this.#remainingMs(call.untilMs));
          if (step === "fail" || signal?.aborted || !sending.mayRepeat()) throw error;
          this.#logRepeat(sending.method, picked.endpoint.id, attempts, step);
        }
      }
    } catch (error) {
      // Every pick is told of an end.
      next?.done({ latencyMs: 0, error });
      throw error;
    }
  }

  /** Makes a call several times at once, a while apart, each time as if it were alone. The while is counted from where there is an endpoint. */
  async #hedge<R>(policy: HedgingPolicy, sending: Sending<R>, call: PlacedCall, { picked }: FirstStep): Promise<R> {
    let first: PickResult | undefined = picked ?? (await this.#choice.next(call));
    try {
      return await hedge({
        policy,
        sending,
        signal: call.signal,
        clock: { now: () => this.clock.now(), schedule: (delayMs, run) => this.#scheduleUntilClosed(delayMs, run) },
        throttle: this.#throttle,
        random: this.#options.random,
        attempts: call.attempts,
        remainingMs: () => this.#remainingMs(call.untilMs),
        run: (lane, attempts, signal) => {
          const begun = { picked: first };
          first = undefined;
          return this.#run(lane, { ...call, signal, attempts }, begun);
        },
      });
    } finally {
      first?.done({ latencyMs: 0 });
    }
  }

  /** As the clock's `schedule`, but runs at once when the transport is closed. */
  #scheduleUntilClosed(delayMs: number, run: () => void): () => void {
    const stop = () => {
      cancelTimer();
      stopListening();
    };
    const runOnce = () => {
      stop();
      run();
    };
    const cancelTimer = this.clock.schedule(delayMs, runOnce);
    const stopListening = this.#pool.onceClosed(runOnce);
    return stop;
  }

  /** The first calls wait for a service config that is on its way, as their endpoints do (see config-first.ts). */
  async #untilConfigKnown(call: PlacedCall): Promise<void> {
    if (this.#pool.state.type === "unresolved") this.#pool.start();
    while (!this.#serviceConfig.isKnown && this.#pool.state.type === "unresolved") {
      await this.#choice.wait(call, undefined);
      this.#choice.demandTime(call);
    }
  }

  /** Calls that wait for an endpoint. */
  get pendingCalls(): number {
    return this.#pending.count;
  }

  get serviceConfig(): ServiceConfigStatus | undefined {
    return this.#serviceConfig.status();
  }

  describeWait(): string {
    return describeWait(this.#pool.state, this.#options.resolver.description);
  }

  callFailed(endpointId: string, error: ConnectError): void {
    this.#pool.onCallFailed(endpointId, error, callFate(error));
  }

  // Attempts.

  #attempts(method: DescMethod): Attempts {
    const { random, retry } = this.#options;
    const { current } = this.#serviceConfig;
    const throttle = this.#throttle;
    throttle.configure(current?.retryThrottling ?? defaultThrottle);
    return new Attempts({ throttle, random }, retryPolicyOf(method, current?.policyOf(method), retry));
  }

  replayLimits(method: DescMethod): ReplayLimits {
    const { retry, retryBufferBytes } = this.#options;
    const policy = this.#serviceConfig.policyOf(method);
    const mayRunTwice = policy?.hedging !== undefined || retryPolicyOf(method, policy, retry) !== undefined;
    const maxBytes = mayRunTwice ? retryBufferBytes : Math.min(retryBufferBytes, refusalBytes);
    return { maxBytes, budget: this.#replayBudget };
  }

  /** The attempt on the fast path has failed. */
  #firstFailed(
    attempts: Attempts,
    endpointId: string,
    error: ConnectError,
    untilMs: number | undefined,
    signal: CallSignal | undefined,
  ): NextStep {
    this.callFailed(endpointId, error);
    attempts.sent = 1;
    if (isForeign(error, signal)) {
      attempts.abandoned();
      return "fail";
    }
    const step = attempts.failed(endpointId, error, this.#remainingMs(untilMs));
    return signal?.aborted ? "fail" : step;
  }

  #send<R>(sending: Sending<R>, picked: PickResult, call: PlacedCall, startMs: number): Promise<R> {
    const { id, url } = picked.endpoint;
    const connection = this.#pool.connection(id);
    if (connection === undefined) {
      throw markUnprocessed(new ConnectError(`the connection to ${url} was lost`, Code.Unavailable));
    }
    const { attempts, signal, untilMs } = call;
    attempts.sent++;
    attempts.tried.add(id);
    const remainingMs = untilMs === undefined ? undefined : untilMs - startMs;
    return sending.send(connection.transport, signal, wholeMs(remainingMs), attempts);
  }

  /** An endpoint that is to be tried again, where this call may try it; else the next. */
  #pickOrProbe({ probe, picker }: PoolState & { type: "ready" }, method: DescMethod): PickResult | undefined {
    const policy = retryPolicyOf(method, this.#serviceConfig.policyOf(method), this.#options.retry);
    return probe?.(policy !== undefined) ?? picker.pick();
  }

  #logRepeat(method: DescMethod, endpointId: string, { sent, lastError }: Attempts, step: NextStep): void {
    this.#options.logger.debug("a call is sent again", {
      method: `${method.parent.typeName}/${method.name}`,
      failedAt: endpointId,
      attempts: sent,
      ...(typeof step === "number" ? { afterMs: Math.round(step) } : {}),
      error: lastError,
    });
  }

  // Time.

  #untilMs(timeoutMs: number | undefined): number | undefined {
    return timeoutMs === undefined ? undefined : this.clock.now() + timeoutMs;
  }

  #remainingMs(untilMs: number | undefined): number | undefined {
    return untilMs === undefined ? undefined : untilMs - this.clock.now();
  }
}

function givenUp(signal: CallSignal, scope: CallScope | undefined): ConnectError {
  if (scope?.aborted && (scope === signal || scope.signal === signal)) return scope.abortError;
  return abortError(signal instanceof AbortSignal ? getAbortSignalReason(signal) : signal.reason);
}

/** Whether an attempt ended with its signal's reason, and not with word of its own: what that says of a call is said of another one. */
function isForeign(error: ConnectError, signal: CallSignal | undefined): boolean {
  return signal?.aborted === true && (error === signal.reason || !isMarked(error));
}

/** Whether calls need nothing that their connection does not do by itself. */
function isPlain(policy: MethodPolicy | undefined): boolean {
  return (
    policy === undefined ||
    (policy.hedging === undefined &&
      policy.retry?.perAttemptTimeoutMs === undefined &&
      policy.maxRequestBytes === undefined &&
      policy.maxResponseBytes === undefined)
  );
}

/** What an attempt tells its server of the time that is left: whole milliseconds, at least one. */
function wholeMs(remainingMs: number | undefined): number | undefined {
  return remainingMs === undefined ? undefined : Math.ceil(Math.max(1, remainingMs));
}
