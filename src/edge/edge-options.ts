// What an edge transport can be told, checked and completed in one place before anything is sent.

import type { Interceptor } from "@connectrpc/connect";
import type { NewPicker } from "../balancer/picker.ts";
import { roundRobin } from "../balancer/round-robin.ts";
import type { ConsulClient, ConsulClientOptions } from "../consul/consul-client.ts";
import type { Clock } from "../core/clock.ts";
import { describeValue } from "../core/describe-value.ts";
import type { Endpoint } from "../core/endpoint.ts";
import { isBoolean, isObject } from "../core/json-shape.ts";
import { type Logger, silentLogger } from "../core/logger.ts";
import { unixClock } from "../core/unix-clock.ts";
import type { InstanceQuery } from "../resolver/instance-query.ts";
import { mergeTarget } from "../resolver/merge-target.ts";
import { describeStaticEndpoints, readStaticEndpoints, type StaticEndpoint } from "../resolver/static-endpoint.ts";
import { checkDefaultTimeout } from "../transport/call/call-bounds.ts";
import { createConsulSource } from "./consul-source.ts";
import type { SnapshotSource } from "./snapshot.ts";
import { createSnapshotCache, type SnapshotCache } from "./snapshot-cache.ts";

/** The part of `fetch` that calls use; `globalThis.fetch` satisfies it. Must honour `signal`, need not follow redirects. */
export type FetchFunction = (url: string, init: RequestInit) => Promise<Response>;

/**
 * Where the servers are: what Consul lists (`service` or `target`, or both where the target names no service), or `endpoints`, or a
 * `source`.
 */
export interface EdgeDiscoveryOptions extends Omit<InstanceQuery, "service"> {
  /** As gRPC users write it: `consul://host:8500/HelloService?tag=v2&dc=dc1&scheme=https`; see `parseTarget`. It has no `wait` here, as nothing watches. What it says, no option may say too. */
  readonly target?: string;
  /** Name in Consul, compared without regard to case. */
  readonly service?: string;
  /**
   * The agent to ask, or the gateway before it: an address with or without a path prefix, options (headers, token, fetch), or a client.
   * Default `http://127.0.0.1:8500`. A `token` function is asked with every call, and a `fetch` function made anew in every request makes the
   * cache useless: see `createConsulSource`.
   */
  readonly consul?: ConsulClient | ConsulClientOptions | string;
  /** A fixed list. Nothing is read then. */
  readonly endpoints?: readonly StaticEndpoint[];
  /** Whatever else knows: a KV store, signed JSON over HTTPS, a Durable Object. */
  readonly source?: SnapshotSource;
  /** What outlives the transport: see `createSnapshotCache`. Default: one of the transport's own. */
  readonly cache?: SnapshotCache;
  /**
   * Age in milliseconds up to which a snapshot is taken as it is, at least 0. An older one is refreshed in the background while it serves;
   * an empty one, which serves nobody, is fresh for 1000 ms at most. Default 5000.
   */
  readonly maxAgeMs?: number;
  /** Age in milliseconds beyond which a call first waits for the refresh, at least `maxAgeMs`; where that fails, the old snapshot serves. Default 60000. */
  readonly maxStaleMs?: number;
  /**
   * How long a call without a deadline waits for the first snapshot, in milliseconds, at least 0. Default 10000. Where there is an old
   * one to fall back to, no call waits longer than 2000 ms, or half of its deadline.
   */
  readonly waitTimeoutMs?: number;
  /**
   * Told of every read, once: `(refresh) => ctx.waitUntil(refresh)`. What it is given never rejects; what it throws, or rejects with, is
   * logged. Without it a Worker's runtime ends a background read with the response.
   */
  readonly waitUntil?: (refresh: Promise<unknown>) => void;
}

/** How calls are made, whatever the endpoints. */
export interface EdgeCallOptions {
  /** Default `connect`. */
  readonly protocol?: "connect" | "grpc-web";
  /** Protobuf's binary format; `false` sends JSON. Default true. */
  readonly useBinaryFormat?: boolean;
  /** Sends calls of methods without side effects by HTTP GET, which caches and browsers' preflights understand. Connect only, and unary only. Default false. */
  readonly useHttpGet?: boolean;
  /** Around every call, outermost first. They run once a call, before an endpoint is picked. */
  readonly interceptors?: readonly Interceptor[];
  /** Deadline in milliseconds of calls that name none, at most 2147483647. It covers all attempts. Default: no deadline. */
  readonly defaultTimeoutMs?: number;
  /** Balancing policy. Its picker must be plain data. Default: strict round-robin. */
  readonly balancer?: NewPicker;
  /** What sends calls. Gets method, headers, body, signal and `redirect: "manual"`, nothing else. Default: the runtime's. Consul's own is in `consul`. */
  readonly fetch?: FetchFunction;
  /** Told of changes of state. Silent by default. */
  readonly logger?: Logger;
  /** Its `now()` is Unix time. Default: the runtime's. */
  readonly clock?: Clock;
}

/** Whom to find, where, and how to call them. */
export interface EdgeTransportOptions extends EdgeDiscoveryOptions, EdgeCallOptions {}

/** Options with nothing left open. */
export interface ResolvedEdgeOptions {
  readonly source: SnapshotSource;
  /** The list where it is always the same: the source is not read then. */
  readonly fixed: readonly Endpoint[] | undefined;
  /** Where what is known of the source outlives the transport. */
  readonly cache: SnapshotCache;
  readonly maxAgeMs: number;
  readonly maxStaleMs: number;
  readonly waitTimeoutMs: number;
  readonly waitUntil: EdgeDiscoveryOptions["waitUntil"];
  readonly protocol: "connect" | "grpc-web";
  readonly useBinaryFormat: boolean;
  readonly useHttpGet: boolean;
  readonly interceptors: readonly Interceptor[];
  readonly defaultTimeoutMs: number | undefined;
  readonly balancer: NewPicker;
  readonly fetch: FetchFunction;
  readonly logger: Logger;
  readonly clock: Clock;
}

/** Late-bound, so that a fetch that is instrumented later is used too; called as a method of the global object, as browsers and workerd want it. */
const runtimeFetch: FetchFunction = (url, init) => globalThis.fetch(url, init);

/**
 * Checks and completes options. Throws TypeError or RangeError; no message repeats a secret. Where no option names a service, target, list
 * or source, the service is `defaultService`.
 */
export function resolveEdgeOptions(options: EdgeTransportOptions, defaultService?: string): ResolvedEdgeOptions {
  const { maxAgeMs = 5000, maxStaleMs = 60_000, waitTimeoutMs = 10_000, defaultTimeoutMs } = options;
  const { protocol = "connect", useBinaryFormat = true, useHttpGet = false, fetch = runtimeFetch } = options;
  const { interceptors = [], cache = createSnapshotCache() } = options;
  for (const [name, value] of Object.entries({ maxAgeMs, maxStaleMs, waitTimeoutMs })) {
    if (!(typeof value === "number" && value >= 0)) throw outside(name, "must be >= 0", value);
  }
  // With the default alone, a greater maximum age says the same of both.
  if (options.maxStaleMs !== undefined && maxStaleMs < maxAgeMs) {
    throw outside("maxStaleMs", `must be at least "maxAgeMs", which is ${maxAgeMs}`, maxStaleMs);
  }
  checkDefaultTimeout(defaultTimeoutMs);
  if (protocol !== "connect" && protocol !== "grpc-web") {
    throw refusal("protocol", "must be connect or grpc-web", JSON.stringify(protocol));
  }
  for (const [name, value] of Object.entries({ useBinaryFormat, useHttpGet })) {
    if (!isBoolean(value)) throw refusal(name, "must be true or false", JSON.stringify(value));
  }
  if (useHttpGet && protocol !== "connect") {
    throw refusal(
      "useHttpGet",
      "must be left out where the protocol is grpc-web, which has no GET",
      String(useHttpGet),
    );
  }
  for (const name of ["fetch", "waitUntil", "balancer"] as const) {
    const value = options[name];
    if (value !== undefined && typeof value !== "function") throw refusal(name, "must be a function", typeof value);
  }
  if (!Array.isArray(interceptors) || interceptors.some((interceptor) => typeof interceptor !== "function")) {
    throw refusal("interceptors", "must be a list of functions", typeof interceptors);
  }
  checkMembers("clock", options.clock, ["now", "schedule"]);
  checkMembers("logger", options.logger, ["debug", "info", "warn", "error"]);
  const { source, fixed } = resolveSource(options, defaultService);
  return {
    source,
    fixed,
    cache,
    maxAgeMs,
    maxStaleMs: Math.max(maxStaleMs, maxAgeMs),
    waitTimeoutMs,
    waitUntil: options.waitUntil,
    protocol,
    useBinaryFormat,
    useHttpGet,
    interceptors,
    defaultTimeoutMs,
    balancer: options.balancer ?? roundRobin,
    fetch,
    logger: options.logger ?? silentLogger,
    clock: options.clock ?? unixClock,
  };
}

/** What only Consul can be asked. The compiler demands an entry for each option of InstanceQuery. */
const consulOnly: Readonly<Record<"consul" | Exclude<keyof InstanceQuery, "service">, true>> = {
  consul: true,
  passingOnly: true,
  tags: true,
  filter: true,
  near: true,
  datacenter: true,
  consistency: true,
  scheme: true,
};

function resolveSource(
  options: EdgeTransportOptions,
  defaultService: string | undefined,
): Pick<ResolvedEdgeOptions, "source" | "fixed"> {
  const { target, service, endpoints, source, consul, logger, clock } = options;
  const namesService = target !== undefined || service !== undefined;
  const given = Object.entries({ target, service, endpoints, source }).flatMap(([name, value]) =>
    value === undefined ? [] : [`"${name}"`],
  );
  const isUnsaid = given.length === 0 && defaultService === undefined;
  const answers = [namesService, endpoints !== undefined, source !== undefined].filter(Boolean).length;
  if (isUnsaid || answers > 1) {
    throw new TypeError(
      `Cannot create transport as "service" or "target", or else "endpoints", or else "source" must say where the servers are: received ${given.join(" and ") || "none"}`,
    );
  }
  if (endpoints !== undefined || source !== undefined) {
    const misplaced = Object.entries(options).find(
      ([name, value]) => value !== undefined && Object.hasOwn(consulOnly, name),
    );
    if (misplaced !== undefined) {
      throw new TypeError(
        `Cannot create transport as "${misplaced[0]}" is asked of Consul: received it beside ${given.join()}`,
      );
    }
  }
  if (endpoints !== undefined) {
    const fixed = readStaticEndpoints(endpoints);
    return { source: fixedSource(fixed), fixed };
  }
  if (source !== undefined) {
    if (typeof source?.read !== "function" || typeof source.description !== "string") {
      throw refusal("source", 'must have a "description" and a function "read"', describeValue(source));
    }
    return { source, fixed: undefined };
  }
  if (consul !== undefined && typeof consul !== "string" && !isObject(consul)) {
    throw refusal("consul", "must be an address, options or a client", describeValue(consul));
  }
  const { waitMs, ...query } = mergeTarget(options, defaultService);
  if (waitMs !== undefined) {
    throw new TypeError(
      `Cannot create transport as a target must have no "wait" here, where nothing watches; "maxAgeMs" says how old a list may be: received ${waitMs} ms`,
    );
  }
  return {
    source: createConsulSource({ ...query, ...(logger && { logger }), ...(clock && { clock }) }),
    fixed: undefined,
  };
}

/** What a list that is always the same is known by: transports of the same list share whose turn it is. */
function fixedSource(endpoints: readonly Endpoint[]): SnapshotSource {
  return {
    description: describeStaticEndpoints(endpoints),
    identity: JSON.stringify(["static", endpoints]),
    read: () => Promise.resolve({ endpoints, confirmedAtMs: 0 }),
  };
}

function checkMembers(option: string, value: unknown, functions: readonly string[]): void {
  if (value === undefined) return;
  if (isObject(value) && functions.every((name) => typeof value[name] === "function")) return;
  throw refusal(option, `must have the functions ${functions.join(", ")}`, describeValue(value));
}

function refusal(option: string, rule: string, received: string): TypeError {
  return new TypeError(`Cannot create transport as "${option}" ${rule}: received ${received}`);
}

function outside(option: string, rule: string, received: unknown): RangeError {
  return new RangeError(`Cannot create transport as "${option}" ${rule}: received ${received}`);
}
