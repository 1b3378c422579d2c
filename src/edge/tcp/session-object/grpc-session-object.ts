// The Durable Object that keeps gRPC connections to a service's instances, and makes the calls of Workers, which cannot keep any.
// Imports nothing of Cloudflare's: any class with this constructor and `fetch` is a Durable Object.
// https://developers.cloudflare.com/durable-objects/api/base/

import { Code, ConnectError } from "@connectrpc/connect";
import { type Clock, systemClock } from "../../../core/clock.ts";
import { describeValue } from "../../../core/describe-value.ts";
import { createConsulResolver } from "../../../resolver/consul-resolver.ts";
import { mergeTarget } from "../../../resolver/merge-target.ts";
import type { Resolver } from "../../../resolver/resolver.ts";
import type { ConsulServiceQuery } from "../../../resolver/service-query.ts";
import type { StaticEndpoint } from "../../../resolver/static-endpoint.ts";
import { createStaticResolver } from "../../../resolver/static-resolver.ts";
import { type BalancingOptions, createBalancedTransport } from "../../../transport/balanced-transport.ts";
import { type NamedObjectState, openObject, type Refusal } from "../../object-options.ts";
import { createTcpConnector, type TcpConnectorOptions } from "../tcp-connector.ts";
import { answerCall } from "./answer-call.ts";
import { IdleTransport } from "./idle-transport.ts";
import { someEndpoints } from "./some-endpoints.ts";
import { lastFrame, wireType, writeFrames } from "./wire.ts";

/** Whom the object calls, and how. The servers are what Consul lists (`service` or `target`), or `endpoints`. */
export interface SessionObjectOptions
  extends Omit<BalancingOptions, "interceptors" | "defaultTimeoutMs" | "clock">,
    Partial<Omit<ConsulServiceQuery, "clock">>,
    TcpConnectorOptions {
  /** Instead of the service: `consul://host:8500/HelloService?tag=v2`, see `parseTarget`. What it says, no option may say too. */
  readonly target?: string;
  /** A fixed list. */
  readonly endpoints?: readonly StaticEndpoint[];
  /**
   * Endpoints that the object connects to, an integer of at least 1; which ones depends on its name. Default 5: Cloudflare allows six
   * connections, and Consul's blocking query holds one.
   */
  readonly maxConnections?: number;
  /**
   * Milliseconds without a call after which the object closes its connections and stops to watch, > 0; the next call opens them again. They
   * keep the object in memory, where its duration is charged for. Default 60000.
   */
  readonly idleMs?: number;
}

/** The object, as the runtime calls it. */
export interface SessionObject {
  /** Makes one call; see `grpcSessionObject`. */
  fetch(request: Request): Promise<Response>;
}

/** A class to export from a Worker. */
export type SessionObjectClass<Env> = new (state: NamedObjectState, env: Env) => SessionObject;

/**
 * Creates a Durable Object class that keeps connections to the instances of a service, balances over them, and calls them by gRPC for whoever
 * has a stub of the object: `createSessionObjectTransport` is the other side. `options` is asked once for each object, with the Worker's
 * bindings and the object's name (`idFromName`, `getByName`), "" where it has none:
 *
 * ```ts
 * export const HelloSessions = grpcSessionObject<Env>((env, name) => ({ service: name, consul: env.CONSUL }));
 * ```
 *
 * Any method of any service may be called; messages pass through unread, so that the object needs to know no proto. Calls wait for a
 * connection, balance and move on to other endpoints as those of `createBalancedTransport` do; the caller's deadline, its abort and
 * its end are the call's. Interceptors and default deadlines are the Worker's side's.
 *
 * With options that are no good every call fails with `failed_precondition`, and says why without a secret. Of what `options` itself throws
 * only the name of the error is told, as its text is yours, and bindings hold secrets: catch it there, and log it. Throws TypeError
 * where `options` is no function.
 */
export function grpcSessionObject<Env = unknown>(
  options: (env: Env, name: string) => SessionObjectOptions,
): SessionObjectClass<Env> {
  if (typeof options !== "function") {
    throw new TypeError(
      `Cannot make a class that keeps sessions as "options" must be a function: received ${describeValue(options)}`,
    );
  }
  return class GrpcSessionObject implements SessionObject {
    readonly #state: NamedObjectState;
    readonly #env: Env;
    #kept: IdleTransport | Refusal | undefined;

    constructor(state: NamedObjectState, env: Env) {
      this.#state = state;
      this.#env = env;
    }

    async fetch(request: Request): Promise<Response> {
      if (request.method !== "POST" || request.headers.get("content-type") !== wireType) {
        const text = "Only calls of createSessionObjectTransport\n";
        return new Response(text, { status: 415, headers: { "Content-Type": "text/plain; charset=utf-8" } });
      }
      this.#kept ??= openObject("the sessions", options, this.#env, this.#state, openSessions);
      const kept = this.#kept;
      if ("refusal" in kept) return refuse(kept.refusal);
      return answerCall(request, kept.enter(), () => kept.leave());
    }
  };
}

/** Throws TypeError or RangeError for bad options; no message repeats a secret. */
function openSessions(options: SessionObjectOptions, name: string): IdleTransport {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`Cannot keep sessions as their options must be an object: received ${describeValue(options)}`);
  }
  const { idleMs = 60_000, maxConnections = 5, clock: given = systemClock } = options;
  if (typeof idleMs !== "number" || !(idleMs > 0)) {
    throw new RangeError(`Cannot keep sessions as "idleMs" must be > 0: received ${describeValue(idleMs)}`);
  }
  if (!Number.isInteger(maxConnections) || maxConnections < 1) {
    throw new RangeError(
      `Cannot keep sessions as "maxConnections" must be an integer of at least 1: received ${describeValue(maxConnections)}`,
    );
  }
  // A clock of its own, as watches are shared by those who ask the same of the same clock: another object of this isolate must not wait on
  // this one's I/O.
  const clock: Clock = { now: () => given.now(), schedule: (delayMs, callback) => given.schedule(delayMs, callback) };
  const resolver = someEndpoints(openResolver(options, clock), maxConnections, name);
  const connector = createTcpConnector({ ...options, clock });
  const open = () => createBalancedTransport({ ...options, interceptors: [], resolver, connector, clock });
  // What is wrong with the options shall show at once.
  void open().close();
  return new IdleTransport({ open, idleMs, clock });
}

function openResolver(options: SessionObjectOptions, clock: Clock): Resolver {
  const { endpoints, target, service, waitMs = 10_000 } = options;
  if ((endpoints === undefined) === (target === undefined && service === undefined)) {
    throw new TypeError(
      'Cannot keep sessions as either "service" or "target", or else "endpoints", must say where the servers are',
    );
  }
  if (endpoints !== undefined) return createStaticResolver(endpoints, { clock });
  return createConsulResolver({ ...options, waitMs, ...mergeTarget(options), clock });
}

function refuse(reason: string): Response {
  const body = writeFrames(lastFrame(new ConnectError(reason, Code.FailedPrecondition)));
  return new Response(body, { headers: { "content-type": wireType } });
}
