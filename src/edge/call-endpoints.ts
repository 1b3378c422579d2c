// Calls that look for their endpoint: each is tried on one after another, in the turn that all transports of a cache share, as long as
// attempts fail and may be repeated. How an endpoint is reached is another's to say; this file knows neither fetch nor sockets.

import type { DescMethod } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { getAbortSignalReason, runStreamingCall, runUnaryCall } from "@connectrpc/connect/protocol";
import type { PickResult } from "../balancer/picker.ts";
import { callFate, markMaybeProcessed } from "../core/call-fate.ts";
import type { Endpoint } from "../core/endpoint.ts";
import { FateOfAll } from "../core/fate-of-all.ts";
import { onceStreamEnds, openedOnce, replayFirst, unlessRead } from "../transport/call/streams.ts";
import type { ResolvedEdgeOptions } from "./edge-options.ts";
import { type DiscoveryState, EndpointDiscovery } from "./endpoint-discovery.ts";
import { createEndpointTurn, markAnswered, markFailed } from "./endpoint-turn.ts";
import { explainDeadline, type PreparedCall, prepareCall } from "./prepare-call.ts";

/** Most endpoints that one call tries, as many as gRPC's clients do: https://github.com/grpc/proposal/blob/master/A6-client-retries.md#limits-on-retries-and-hedges */
const maxAttempts = 5;

/** A Transport that finds its endpoints. Owns nothing that needs closing. */
export interface EdgeTransport extends Transport {
  /** What the transport believes now: its endpoints, their age, whether that is stale. Reads nothing. */
  discovery(): DiscoveryState;
}

/** One attempt of a call. */
export interface Attempt {
  readonly transport: Transport;
  /** What its failure means. */
  judge(error: ConnectError): Failure;
  /** It is over, a stream where it was read to its end or its signal has aborted. Once. */
  end?(): void;
}

/** How an attempt has failed. */
export interface Failure {
  /** What the caller is told. */
  readonly error: ConnectError;
  /** There was no answer, or it broke off: the endpoint is avoided for a while. */
  readonly broke: boolean;
}

/** How endpoints are reached. */
export interface EndpointReach {
  /**
   * An endpoint of `endpoints`, and none of `tried`, that is to be used before the next in turn, as it is reached already. Undefined where
   * there is none.
   */
  pickReached?(endpoints: readonly Endpoint[], tried: ReadonlyMap<string, Endpoint>): PickResult | undefined;
  /** Whether an endpoint is reached still. */
  isReached?(endpoint: Endpoint): boolean;
  /** Begins an attempt. Rejects with an unprocessed ConnectError where the endpoint cannot be reached, or with the reason of the signal. */
  open(endpoint: Endpoint, method: DescMethod, signal: AbortSignal): Attempt | Promise<Attempt>;
}

/** Creates a transport over `reach`. Sends nothing before the first call. */
export function callEndpoints(options: ResolvedEdgeOptions, reach: EndpointReach): EdgeTransport {
  const { clock, balancer, source } = options;
  const discovery = new EndpointDiscovery(options);

  /** Runs `attempt` on one endpoint after another. */
  async function tryEndpoints<R>(
    call: PreparedCall,
    signal: AbortSignal,
    attempt: (transport: Transport, done: (error?: unknown) => void) => Promise<R>,
    isRepeatable: () => boolean = () => true,
  ): Promise<R> {
    const patience = () => ({ signal, remainingMs: call.deadline?.remainingMs() });
    call.isWaiting = true;
    const entry = await discovery.ensure(patience());
    call.isWaiting = false;
    const startMs = clock.now();
    const turn = createEndpointTurn(entry, balancer, clock);
    let attempts = 0;
    let hasReread = false;
    let failure: ConnectError | undefined;
    const pick = (): PickResult | undefined => {
      const reached = reach.pickReached?.(entry.snapshot?.endpoints ?? [], turn.tried);
      if (reached !== undefined) return reached;
      // The last attempt is kept for what reading anew may show.
      return attempts === maxAttempts - 1 && !hasReread ? undefined : turn.next(failure);
    };
    for (;;) {
      if (signal.aborted) throw getAbortSignalReason(signal);
      if (failure !== undefined && attempts >= maxAttempts) throw failure;
      const picked = pick();
      if (picked === undefined) {
        if (failure === undefined) {
          throw new ConnectError(`no instance to call: ${source.description} lists none`, Code.Unavailable);
        }
        if (hasReread) throw failure;
        hasReread = true;
        await discovery.reread(entry, patience(), startMs);
        turn.forgetMoved();
        continue;
      }
      attempts++;
      const { endpoint } = picked;
      const attemptStartMs = clock.now();
      let opened: Attempt | undefined;
      const done = (error?: unknown, broke = false) => {
        opened?.end?.();
        if (broke) markFailed(entry, endpoint.id, clock);
        else if (error === undefined) markAnswered(entry, endpoint.id);
        picked.done({ latencyMs: clock.now() - attemptStartMs, ...(error !== undefined && { error }) });
      };
      const judge = (thrown: unknown): Failure => {
        const error = ConnectError.from(thrown);
        return opened?.judge(error) ?? { error, broke: callFate(error) === "unprocessed" };
      };
      try {
        opened = await reach.open(endpoint, call.method, signal);
        return await attempt(opened.transport, (error) => done(error, error !== undefined && judge(error).broke));
      } catch (thrown) {
        const { error, broke } = judge(thrown);
        done(error, broke);
        if (signal.aborted || !mayRepeat(call.method, error, broke) || !isRepeatable()) throw error;
        failure = summarize(error, failure, attempts, source.description);
        // What was reached before and is no more tells nothing of the endpoint.
        if (reach.isReached?.(endpoint) === true) turn.take(endpoint);
      }
    }
  }

  const explain = (error: unknown, call: PreparedCall, fate: FateOfAll) =>
    explainDeadline(fate.told(ConnectError.from(error)), call, () => discovery.describeWait());

  return {
    async unary(method, signal, timeoutMs, header, message, contextValues) {
      const call = prepareCall({ method, signal, timeoutMs, header, contextValues }, options);
      const fate = new FateOfAll();
      return runUnaryCall({
        ...call.run,
        req: { ...call.request, stream: false, method, message },
        next: ({ method, signal, header, message, contextValues }) => {
          const answer = tryEndpoints(call, signal, async (transport, done) => {
            const remainingMs = call.deadline?.remainingMs();
            const response = await transport.unary(method, signal, remainingMs, header, message, contextValues);
            done();
            return response;
          });
          return asked(fate, answer);
        },
      }).catch((error) => explain(error, call, fate));
    },
    async stream(method, signal, timeoutMs, header, input, contextValues) {
      const call = prepareCall({ method, signal, timeoutMs, header, contextValues }, options);
      const fate = new FateOfAll();
      return runStreamingCall({
        ...call.run,
        req: { ...call.request, stream: true, method, message: openedOnce(input) },
        next: ({ method, signal, header, message, contextValues }) => {
          const { requests, isRepeatable } = repeatable(method, message);
          const answer = tryEndpoints(
            call,
            signal,
            async (transport, done) => {
              const remainingMs = call.deadline?.remainingMs();
              const response = await transport.stream(method, signal, remainingMs, header, requests, contextValues);
              return { ...response, message: onceStreamEnds(response.message, signal, done) };
            },
            isRepeatable,
          );
          return asked(fate, answer);
        },
      }).catch((error) => explain(error, call, fate));
    },
    discovery: () => discovery.state,
  };
}

/** One time that interceptors asked for the call. */
function asked<R>(fate: FateOfAll, answer: Promise<R>): Promise<R> {
  fate.asked();
  answer.catch((error) => fate.failedOnce(error));
  return answer;
}

/** The caller's messages for any number of attempts, and whether there may be another: one message is kept, of more what was read is gone. */
function repeatable<T>({ methodKind }: DescMethod, message: AsyncIterable<T>) {
  if (methodKind === "server_streaming") return { requests: replayFirst(message), isRepeatable: () => true };
  const messages = unlessRead(message);
  return { requests: messages.iterable, isRepeatable: () => !messages.wasRead() };
}

/**
 * Whether a failed attempt may be made again elsewhere.
 * https://protobuf.dev/reference/protobuf/google.protobuf/#idempotency-level has what a method may promise.
 */
function mayRepeat({ idempotency }: DescMethod, error: ConnectError, broke: boolean): boolean {
  if (callFate(error) === "unprocessed") return true;
  return broke && idempotency !== MethodOptions_IdempotencyLevel.IDEMPOTENCY_UNKNOWN;
}

/** The error of a call that failed at several endpoints: its fate is the last one's, but that it was not processed only where no attempt was. */
function summarize(
  last: ConnectError,
  before: ConnectError | undefined,
  count: number,
  description: string,
): ConnectError {
  if (before === undefined) return last;
  const message = `none of ${count} endpoints tried of ${description} has answered, the last one: ${last.rawMessage}`;
  const error = new ConnectError(message, last.code, last.metadata, undefined, last);
  return callFate(last) === "unprocessed" && callFate(before) !== "unprocessed" ? markMaybeProcessed(error) : error;
}
