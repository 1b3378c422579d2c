// Connect's Transport on fetch alone: every attempt goes to an endpoint of its own, and a call that did not come through may go to the next.
// @connectrpc/connect-web speaks the protocols; this file knows no socket and keeps nothing that could not outlive a request.

import type { DescMethod } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { getAbortSignalReason, runStreamingCall, runUnaryCall } from "@connectrpc/connect/protocol";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { callFate, markUnprocessed } from "../core/call-fate.ts";
import { explainDeadline, type PreparedCall, prepareCall } from "../transport/prepare-call.ts";
import { onceStreamEnds, replayFirst } from "../transport/streams.ts";
import { type EdgeTransportOptions, type ResolvedEdgeOptions, resolveEdgeOptions } from "./edge-options.ts";
import { type DiscoveryState, EndpointDiscovery } from "./endpoint-discovery.ts";
import { type AttemptFacts, createEndpointFetch } from "./endpoint-fetch.ts";
import { createEndpointTurn, markAnswered, markFailed } from "./endpoint-turn.ts";

/** Most endpoints that one call tries, as many as gRPC's clients do: https://github.com/grpc/proposal/blob/master/A6-client-retries.md#limits-on-retries-and-hedges */
const maxAttempts = 5;

/** A Transport that finds its endpoints. Owns nothing that needs closing. */
export interface EdgeTransport extends Transport {
  /** What the transport believes now: its endpoints, their age, whether that is stale. Reads nothing. */
  discovery(): DiscoveryState;
}

/**
 * Creates a transport over fetch: unary calls and server streaming, in Workers, in browsers, on Deno Deploy and everywhere else. Sends
 * nothing before the first call. Make one in each request where a runtime forbids to share promises between requests, and give all of them
 * one `cache`. A string is a target. Throws TypeError or RangeError on bad options.
 *
 * An attempt that gets no answer, or whose unary answer breaks off, fails with `unavailable`. A method that the proto marks
 * `NO_SIDE_EFFECTS` or `IDEMPOTENT` is then tried on the other endpoints, each once, five at most; so is any method where the failure proves
 * that no connection was made. When all have failed, or four of them, the snapshot is read anew once, and newcomers are tried;
 * not where it was read within the last second. The deadline covers it all.
 *
 * A stream that is left by `break` is not ended, as nobody tells a Transport of it: pass a `signal`, and abort that.
 */
export function createEdgeTransport(options: EdgeTransportOptions | string): EdgeTransport {
  return openEdgeTransport(options);
}

/** `createEdgeTransport` where a service may go unnamed: it is `defaultService` then. For clients of one service. */
export function openEdgeTransport(
  options: EdgeTransportOptions | string | undefined,
  defaultService?: string,
): EdgeTransport {
  const given = typeof options === "string" ? { target: options } : options;
  const resolved = resolveEdgeOptions(given ?? {}, defaultService);
  const { clock, balancer, source } = resolved;
  const discovery = new EndpointDiscovery(resolved);

  /** Runs `attempt` on one endpoint after another, as long as attempts fail and may be repeated. */
  async function tryEndpoints<R>(
    call: PreparedCall,
    signal: AbortSignal,
    attempt: (transport: Transport, done: (error?: unknown) => void) => Promise<R>,
  ): Promise<R> {
    const patience = () => ({ signal, remainingMs: call.deadline?.remainingMs() });
    call.isWaiting = true;
    const entry = await discovery.ensure(patience());
    call.isWaiting = false;
    const startMs = clock.now();
    const turn = createEndpointTurn(entry, balancer, clock);
    let hasReread = false;
    let failure: ConnectError | undefined;
    for (;;) {
      if (signal.aborted) throw getAbortSignalReason(signal);
      if (failure !== undefined && turn.picked >= maxAttempts) throw failure;
      // The last attempt is kept for what reading anew may show.
      const picked = turn.picked === maxAttempts - 1 && !hasReread ? undefined : turn.next(failure);
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
      const { endpoint } = picked;
      const facts: AttemptFacts = { broke: false, isForeign: false };
      const attemptStartMs = clock.now();
      const done = (error?: unknown) => {
        if (facts.broke) markFailed(entry, endpoint.id, clock);
        else if (error === undefined) markAnswered(entry, endpoint.id);
        picked.done({ latencyMs: clock.now() - attemptStartMs, ...(error !== undefined && { error }) });
      };
      try {
        return await attempt(openEndpoint(endpoint.url, call.method, resolved, facts), done);
      } catch (error) {
        const told = nameEndpoint(ConnectError.from(error), endpoint.url, facts);
        done(told);
        if (signal.aborted || !mayRepeat(call.method, told, facts)) throw told;
        failure = summarize(told, failure, turn.picked, source.description);
      }
    }
  }

  const explain = (error: unknown, call: PreparedCall) => explainDeadline(error, call, () => discovery.describeWait());

  return {
    async unary(method, signal, timeoutMs, header, message, contextValues) {
      const call = prepareCall({ method, signal, timeoutMs, header, contextValues }, resolved);
      return runUnaryCall({
        ...call.run,
        req: { ...call.request, stream: false, method, message },
        next: ({ method, signal, header, message, contextValues }) =>
          tryEndpoints(call, signal, async (transport, done) => {
            const remainingMs = call.deadline?.remainingMs();
            const response = await transport.unary(method, signal, remainingMs, header, message, contextValues);
            done();
            return response;
          }),
      }).catch((error) => explain(error, call));
    },
    async stream(method, signal, timeoutMs, header, input, contextValues) {
      if (method.methodKind !== "server_streaming") throw streamsRequests(method);
      const call = prepareCall({ method, signal, timeoutMs, header, contextValues }, resolved);
      return runStreamingCall({
        ...call.run,
        req: { ...call.request, stream: true, method, message: input },
        next: ({ method, signal, header, message, contextValues }) => {
          const requests = replayFirst(message);
          return tryEndpoints(call, signal, async (transport, done) => {
            const remainingMs = call.deadline?.remainingMs();
            const response = await transport.stream(method, signal, remainingMs, header, requests, contextValues);
            return { ...response, message: onceStreamEnds(response.message, signal, done) };
          });
        },
      }).catch((error) => explain(error, call));
    },
    discovery: () => discovery.state,
  };
}

/** connect-web's transport to one endpoint, for one attempt. Costs no connection: the runtime's fetch keeps those. */
function openEndpoint(
  baseUrl: string,
  method: DescMethod,
  options: ResolvedEdgeOptions,
  facts: AttemptFacts,
): Transport {
  const { protocol, useBinaryFormat, useHttpGet } = options;
  const fetch = createEndpointFetch(baseUrl, method.methodKind !== "unary", options.fetch, facts);
  return protocol === "connect"
    ? createConnectTransport({ baseUrl, useBinaryFormat, useHttpGet, fetch })
    : createGrpcWebTransport({ baseUrl, useBinaryFormat, fetch });
}

/**
 * Whether a failed attempt may be made again elsewhere.
 * https://protobuf.dev/reference/protobuf/google.protobuf/#idempotency-level has what a method may promise.
 */
function mayRepeat({ idempotency }: DescMethod, error: ConnectError, facts: AttemptFacts): boolean {
  if (callFate(error) === "unprocessed") return true;
  return facts.broke && idempotency !== MethodOptions_IdempotencyLevel.IDEMPOTENCY_UNKNOWN;
}

/** Names the endpoint in the error of an answer that no Connect or gRPC-Web server gave. */
function nameEndpoint(error: ConnectError, url: string, { isForeign }: AttemptFacts): ConnectError {
  if (!isForeign) return error;
  const message = `${error.rawMessage}: ${url} did not answer as a Connect or gRPC-Web server does`;
  return new ConnectError(message, error.code, error.metadata, undefined, error);
}

/** The error of a call that failed at several endpoints. It was not processed only where no attempt was. */
function summarize(
  last: ConnectError,
  before: ConnectError | undefined,
  count: number,
  description: string,
): ConnectError {
  if (before === undefined) return last;
  const message = `none of ${count} endpoints tried of ${description} has answered, the last one: ${last.rawMessage}`;
  const error = new ConnectError(message, last.code, last.metadata, undefined, last);
  return callFate(before) === "unprocessed" && callFate(last) === "unprocessed" ? markUnprocessed(error) : error;
}

function streamsRequests(method: DescMethod): ConnectError {
  return new ConnectError(
    `Cannot call ${method.parent.typeName}/${method.name} over fetch as it streams its requests: received ${method.methodKind}; fetch sends one request and reads a stream at most`,
    Code.Unimplemented,
  );
}
