// Connect's Transport on fetch alone: every attempt goes to an endpoint of its own, and a call that did not come through may go to the next.
// @connectrpc/connect-web speaks the protocols; this file knows no socket and keeps nothing that could not outlive a request.

import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { type Attempt, callEndpoints, type EdgeTransport } from "./call-endpoints.ts";
import { type EdgeTransportOptions, type ResolvedEdgeOptions, resolveEdgeOptions } from "./edge-options.ts";
import { type AttemptFacts, createEndpointFetch } from "./endpoint-fetch.ts";

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
  const transport = callEndpoints(resolved, {
    open: ({ url }, method) => openAttempt(url, method, resolved),
  });
  return {
    ...transport,
    async stream(method, signal, timeoutMs, header, input, contextValues) {
      if (method.methodKind !== "server_streaming") throw streamsRequests(method);
      return transport.stream(method, signal, timeoutMs, header, input, contextValues);
    },
  };
}

function openAttempt(url: string, method: DescMethod, options: ResolvedEdgeOptions): Attempt {
  const facts: AttemptFacts = { broke: false, isForeign: false };
  return {
    transport: openEndpoint(url, method, options, facts),
    judge: (error) => ({ error: nameEndpoint(error, url, facts), broke: facts.broke }),
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

/** Names the endpoint in the error of an answer that no Connect or gRPC-Web server gave. */
function nameEndpoint(error: ConnectError, url: string, { isForeign }: AttemptFacts): ConnectError {
  if (!isForeign) return error;
  const message = `${error.rawMessage}: ${url} did not answer as a Connect or gRPC-Web server does`;
  return new ConnectError(message, error.code, error.metadata, undefined, error);
}

function streamsRequests(method: DescMethod): ConnectError {
  return new ConnectError(
    `Cannot call ${method.parent.typeName}/${method.name} over fetch as it streams its requests: received ${method.methodKind}; fetch sends one request and reads a stream at most`,
    Code.Unimplemented,
  );
}
