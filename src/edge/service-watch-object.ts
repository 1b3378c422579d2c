// The Durable Object that holds a service's one blocking query and hands its snapshot to isolates, which cannot hold one.
// Imports nothing of Cloudflare's: any class with this constructor and `fetch` is a Durable Object.
// https://developers.cloudflare.com/durable-objects/api/base/

import { optionsOf } from "../consul/client-options.ts";
import { asConsulClient } from "../consul/consul-client.ts";
import type { Clock } from "../core/clock.ts";
import { describeValue } from "../core/describe-value.ts";
import { silentLogger } from "../core/logger.ts";
import { unixClock } from "../core/unix-clock.ts";
import { createConsulResolver } from "../resolver/consul-resolver.ts";
import { instanceQueryKey, resolveInstanceQuery } from "../resolver/instance-query.ts";
import type { ConsulServiceQuery } from "../resolver/service-query.ts";
import { createKeptWatch, type KeptWatch, type SnapshotStore } from "./kept-watch.ts";
import { type NamedObjectState, openObject, type Refusal } from "./object-options.ts";

/** What the object watches. */
export interface ServiceWatchOptions extends ConsulServiceQuery {
  /**
   * Milliseconds without a request after which the object stops to watch, > 0; the next request starts it again. An open query keeps
   * an object in memory, where its duration is charged for, and one of the agent's connections taken. Default 60000.
   */
  readonly idleMs?: number;
  /** Longest wait for Consul's first answer in milliseconds, > 0. Below the patience of those who ask, so that they are told the reason. Default 5000. */
  readonly waitTimeoutMs?: number;
  /** Longest wait of one blocking read in milliseconds, from 1000 to 60000. An agent that falls silent is noticed that much later. Default 10000. */
  readonly waitMs?: number;
  /** Its `now()` is Unix time. Default: the runtime's. */
  readonly clock?: Clock;
}

/** The part of Cloudflare's DurableObjectState that is used. */
export interface WatchObjectState extends NamedObjectState {
  readonly storage: SnapshotStore;
}

/** The object, as the runtime calls it. */
export interface WatchObject {
  /** Answers with the snapshot; see `serviceWatchObject`. */
  fetch(request: Request): Promise<Response>;
}

/** A class to export from a Worker. */
export type WatchObjectClass<Env> = new (state: WatchObjectState, env: Env) => WatchObject;

/**
 * Creates a Durable Object class that watches a service. `options` is asked once for each object, with the Worker's bindings
 * and the object's name (`idFromName`, `getByName`), "" where it has none:
 *
 * ```ts
 * export const HelloWatch = serviceWatchObject<Env>((env, name) => ({ service: name, consul: env.CONSUL }));
 * ```
 *
 * A GET, whatever its path, is answered with the snapshot in JSON: `endpoints`, `confirmedAtMs` (Unix milliseconds) and `stale`. While
 * the watch is live the list is confirmed now. While Consul is away the last list stands with its age, and one kept in the object's
 * storage outlives the object, unless its options ask something else by then. A list that shrinks to nothing has a grace of 90 s, in
 * which the last one stands as stale; then the answer is empty and says so by `isGraceOver`, so that nobody waits twice.
 *
 * Without any list the answer is 503, for options that are no good 500; both say why in plain text, without a secret. Of what `options`
 * itself throws only the name of the error is sent, as its text is yours, and bindings hold secrets: catch it there, and log it.
 * `createWatchObjectSource` is the other side. Throws TypeError where `options` is no function.
 */
export function serviceWatchObject<Env = unknown>(
  options: (env: Env, name: string) => ServiceWatchOptions,
): WatchObjectClass<Env> {
  if (typeof options !== "function") {
    throw new TypeError(
      `Cannot make a class that watches a service as "options" must be a function: received ${describeValue(options)}`,
    );
  }
  return class ServiceWatchObject implements WatchObject {
    readonly #state: WatchObjectState;
    readonly #env: Env;
    #watch: KeptWatch | Refusal | undefined;

    constructor(state: WatchObjectState, env: Env) {
      this.#state = state;
      this.#env = env;
    }

    async fetch(request: Request): Promise<Response> {
      if (request.method !== "GET") return plainText(405, "Only GET", { Allow: "GET" });
      this.#watch ??= openObject("the watch", options, this.#env, this.#state, (given) =>
        openWatch(given, this.#state.storage),
      );
      if ("refusal" in this.#watch) return plainText(500, this.#watch.refusal);
      try {
        return Response.json(await this.#watch.read(), { headers: { "Cache-Control": "no-store" } });
      } catch (error) {
        return plainText(503, error instanceof Error ? error.message : String(error));
      }
    }
  };
}

/** Throws TypeError or RangeError for bad options; no message repeats a secret. */
function openWatch(options: ServiceWatchOptions, store: SnapshotStore): KeptWatch {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`Cannot watch a service as its options must be an object: received ${describeValue(options)}`);
  }
  const {
    idleMs = 60_000,
    waitTimeoutMs = 5000,
    waitMs = 10_000,
    logger = silentLogger,
    clock: given = unixClock,
  } = options;
  checkPositive("idleMs", idleMs);
  checkPositive("waitTimeoutMs", waitTimeoutMs);
  const consul = asConsulClient(options.consul);
  const query = resolveInstanceQuery(options);
  // A clock of its own, as watches are shared by those who ask the same of the same clock: another object of this isolate, or
  // the Worker itself, must not wait on this object's I/O.
  const clock: Clock = { now: () => given.now(), schedule: (delayMs, callback) => given.schedule(delayMs, callback) };
  const resolver = createConsulResolver({ ...options, consul, waitMs, clock });
  const place = optionsOf(consul)?.place ?? consul.address;
  const key = JSON.stringify([place, instanceQueryKey(query), query.scheme]);
  return createKeptWatch({ resolver, key, store, clock, idleMs, waitTimeoutMs, logger });
}

function checkPositive(option: string, value: unknown): void {
  if (typeof value === "number" && value > 0) return;
  throw new RangeError(`Cannot watch a service as "${option}" must be > 0: received ${describeValue(value)}`);
}

function plainText(status: number, text: string, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(`${text}\n`, { status, headers: { "Content-Type": "text/plain; charset=utf-8", ...headers } });
}
