// lictor/edge's client over sockets in place of fetch: native gRPC, with every kind of streaming, on connections that live as long as the
// request. Puts discovery, connections and connector together.

import { type Clock, systemClock } from "../../core/clock.ts";
import { describeValue } from "../../core/describe-value.ts";
import { callEndpoints, type EdgeTransport } from "../call-endpoints.ts";
import { type EdgeCallOptions, type EdgeDiscoveryOptions, resolveEdgeOptions } from "../edge-options.ts";
import { ReachedEndpoints } from "./reached-endpoints.ts";
import { createTcpConnector, type TcpConnectorOptions } from "./tcp-connector.ts";

/** Whom to find, where, and how to call them. */
export interface EdgeTcpTransportOptions
  extends EdgeDiscoveryOptions,
    Pick<EdgeCallOptions, "interceptors" | "defaultTimeoutMs" | "balancer" | "logger">,
    TcpConnectorOptions {
  /**
   * Connections that are opened before the open ones are used again, an integer of at least 1. Default 1: what a request calls goes to one
   * endpoint, and the next request to the next one. Cloudflare allows a request six, those of fetch included. A call that is sent
   * elsewhere may open one more.
   */
  readonly maxConnections?: number;
  /** How long `close()` lets calls under way finish, in milliseconds, at least 0. Default 0: what nobody waits for is a stream that was left. */
  readonly closeGraceMs?: number;
}

/** A Transport that finds its endpoints and owns connections. Opens nothing before the first call. */
export interface EdgeTcpTransport extends EdgeTransport {
  /**
   * Takes no new calls (they fail with `canceled`), lets those under way finish for at most `closeGraceMs`, then closes every connection;
   * calls that it cuts fail with `unavailable`.
   * Waits for no peer. Idempotent: returns the same promise.
   */
  close(): Promise<void>;
  /** The same as `close()`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Creates a transport over Workers' sockets, for one request: all kinds of calls, by gRPC over HTTP/2. Make it in the request, give all of
 * them one `cache`, and close it when the request is done; what is left open ends with the request. A string is a target. Throws TypeError or
 * RangeError on bad options.
 *
 * A call that provably reached no server program is tried on other endpoints, each once, five at most; so is one whose connection broke, where
 * the proto marks its method `NO_SIDE_EFFECTS` or `IDEMPOTENT`. A stream is sent again only while nothing of the caller's messages was
 * read. When all have failed, or four of them, the snapshot is read anew once. The deadline covers it all.
 */
export function createEdgeTcpTransport(options: EdgeTcpTransportOptions | string): EdgeTcpTransport {
  const given: EdgeTcpTransportOptions = typeof options === "string" ? { target: options } : options;
  const { maxConnections = 1, closeGraceMs = 0 } = given;
  if (!Number.isInteger(maxConnections) || maxConnections < 1) {
    throw new RangeError(
      `Cannot create transport as "maxConnections" must be an integer of at least 1: received ${describeValue(maxConnections)}`,
    );
  }
  if (typeof closeGraceMs !== "number" || !(closeGraceMs >= 0)) {
    throw new RangeError(
      `Cannot create transport as "closeGraceMs" must be >= 0: received ${describeValue(closeGraceMs)}`,
    );
  }
  const { clock: givenClock, ...rest } = given;
  const resolved = resolveEdgeOptions({ ...rest, ...(givenClock && { clock: givenClock }) });
  const clock: Clock = givenClock ?? systemClock;
  const reached = new ReachedEndpoints({
    connector: createTcpConnector(given),
    balancer: resolved.balancer,
    maxConnections,
    clock,
  });
  const close = (): Promise<void> => reached.close(closeGraceMs);
  return { ...callEndpoints(resolved, reached), close, [Symbol.asyncDispose]: close };
}
