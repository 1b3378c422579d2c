// One blocking query per service, agent and query, shared by everyone in the process who asks the same.
// Reads Consul and nothing else; turns no instance into a URL.

import { type BlockingQuery, followQuery } from "../consul/blocking-query.ts";
import { confirmedAt, createLeaderlessReads } from "../consul/leaderless-reads.ts";
import type { QueryOptions, QueryResult } from "../consul/query.ts";
import type { LogFields, Logger } from "../core/logger.ts";
import { warnOfAnswer, whyEmpty } from "./answer-warnings.ts";
import { healthOptions, instanceQueryKey } from "./instance-query.ts";
import { readInstances, type ServiceInstance, sameInstance, sameInstances } from "./service-instance.ts";
import type { ResolvedServiceQuery } from "./service-query.ts";
import { createSnapshotFeed, type FeedListener, type SnapshotFeed } from "./snapshot-feed.ts";

/** All instances known now. An instance that says what it said before is the same object as before. */
export interface WatchSnapshot {
  /** Sorted by id, ids unique; may be empty. */
  readonly instances: readonly ServiceInstance[];
  /** True while Consul cannot be reached, or has no leader. */
  readonly stale: boolean;
  /** Of an empty list: why it may not be the whole truth. */
  readonly whyEmpty?: string;
  /** When Consul last said so, by the query's clock. */
  readonly confirmedAtMs: number;
}

/**
 * The one piece of state that this package shares across its users. An agent allows 200 connections per client address, each
 * blocking query holds one, and an aborted one holds it until its wait is over (measured on Consul 1.8.7): a process with
 * a client per request handler would lock itself out. A watch is here only while somebody listens.
 */
const watches = new Map<string, SharedWatch>();

/**
 * Follows a service until the returned function is called. The listener is told the latest snapshot at once where the watch
 * runs already, then every snapshot whose instances or staleness differ, and every failed read.
 */
export function followService(query: ResolvedServiceQuery, listener: FeedListener<WatchSnapshot>): () => void {
  const key = keyOf(query);
  let watch = watches.get(key);
  if (watch === undefined) {
    watch = new SharedWatch(query, () => watches.delete(key));
    watches.set(key, watch);
  }
  return watch.subscribe(listener, query.logger);
}

/** Asks Consul once, now, where somebody follows this query; resolves when that is done, whether or not it worked. */
export async function refreshService(query: ResolvedServiceQuery): Promise<void> {
  await watches.get(keyOf(query))?.refresh();
}

/** What is known now, and when it was confirmed; undefined where nobody follows this query, or before its first answer. */
export function latestOfService(query: ResolvedServiceQuery): WatchSnapshot | undefined {
  return watches.get(keyOf(query))?.latest;
}

class SharedWatch {
  readonly #settings: ResolvedServiceQuery;
  readonly #onIdle: () => void;
  readonly #feed: SnapshotFeed<WatchSnapshot> = createSnapshotFeed((error) =>
    this.#log("error", "A listener of instances has failed", { error }),
  );
  /** A logger per subscription; each distinct one is told once. */
  readonly #loggers = new Map<object, Logger>();
  #query: BlockingQuery | undefined;
  #lost = false;
  /** What the last answer was warned of. */
  readonly #warned = new Set<string>();

  constructor(settings: ResolvedServiceQuery, onIdle: () => void) {
    this.#settings = settings;
    this.#onIdle = onIdle;
  }

  subscribe(listener: FeedListener<WatchSnapshot>, logger: Logger): () => void {
    const subscription = {};
    this.#loggers.set(subscription, logger);
    this.#query ??= this.#follow();
    const unsubscribe = this.#feed.subscribe(listener);
    return () => {
      unsubscribe();
      if (!this.#loggers.delete(subscription) || this.#loggers.size > 0) return;
      this.#onIdle();
      this.#query?.close();
    };
  }

  get latest(): WatchSnapshot | undefined {
    return this.#feed.latest;
  }

  async refresh(): Promise<void> {
    await this.#query?.refresh();
  }

  #follow(): BlockingQuery {
    const { client, service, passingOnly, ...rest } = this.#settings;
    const fixed = healthOptions(this.#settings);
    const readOnce = async (options: QueryOptions): Promise<QueryResult<readonly ServiceInstance[]>> => {
      const result = await client.health.service(service, { ...fixed, ...options });
      const unusable = new Map<string, string>();
      const data = readInstances(
        result.data,
        passingOnly,
        (id, reason) => unusable.set(id, reason),
        (id) => this.#feed.latest?.instances.some((instance) => instance.id === id) === true,
      );
      if (options.signal?.aborted !== true) {
        warnOfAnswer({ ...result, unusable, instances: data.length }, this.#warned, (message, fields) =>
          this.#log("warn", message, fields),
        );
      }
      return { ...result, data };
    };
    const { clock } = rest;
    return followQuery<readonly ServiceInstance[]>({
      read:
        rest.consistency === "default"
          ? createLeaderlessReads({ read: readOnce, onLeader: (hasLeader) => this.#onLeader(hasLeader), clock })
          : readOnce,
      same: sameInstances,
      onResult: (result, changed) => this.#onResult(result, changed),
      onError: (error) => this.#onError(error),
      waitMs: rest.waitMs,
      clock,
      random: rest.random,
    });
  }

  #onLeader(hasLeader: boolean): void {
    if (hasLeader) this.#log("info", "Consul has a leader again");
    else this.#log("warn", "Consul has no leader: instances are those that any server knows");
  }

  #onResult(result: QueryResult<readonly ServiceInstance[]>, changed: boolean): void {
    const answer = result.data;
    const nowMs = this.#settings.clock.now();
    const asOfMs = confirmedAt(result, nowMs);
    const stale = result.knownLeader === false;
    const why = answer.length === 0 ? whyEmpty(result) : undefined;
    const aboutIt = {
      stale,
      // What is not known must not be shown as a time.
      confirmedAtMs: Number.isFinite(asOfMs) ? asOfMs : nowMs,
      ...(why === undefined ? {} : { whyEmpty: why }),
    };
    const before = this.#feed.latest;
    if (this.#lost) {
      this.#lost = false;
      this.#log("info", "Consul is back");
    }
    if (before !== undefined && !changed) {
      const confirmed = { instances: before.instances, ...aboutIt };
      if (before.stale !== stale || before.whyEmpty !== why) this.#feed.publish(confirmed);
      else this.#feed.amend(confirmed);
      return;
    }
    const known = new Map(before?.instances.map((instance) => [instance.id, instance]));
    const instances = answer.map((instance) => {
      const old = known.get(instance.id);
      return old !== undefined && sameInstance(old, instance) ? old : instance;
    });
    this.#log("info", instances.length === 0 ? "No instances can be called" : "Instances have changed", {
      ...(why === undefined ? {} : { perhaps: why }),
      instances: instances.length,
      added: instances.filter(({ id }) => !known.has(id)).map(({ id }) => id),
      removed: [...known.keys()].filter((id) => !instances.some((instance) => instance.id === id)),
    });
    this.#feed.publish({ instances, ...aboutIt });
  }

  #onError(error: unknown): void {
    const before = this.#feed.latest;
    if (!this.#lost) {
      this.#lost = true;
      const message =
        before === undefined
          ? "Cannot read instances from Consul, trying on"
          : "Lost Consul: the last known instances stand";
      this.#log("warn", message, { error });
    }
    if (before !== undefined && !before.stale) this.#feed.publish({ ...before, stale: true });
    this.#feed.fail(error);
  }

  #log(level: "info" | "warn" | "error", message: string, fields: LogFields = {}): void {
    const { service, client } = this.#settings;
    for (const logger of new Set(this.#loggers.values())) {
      logger[level](message, { service, consul: client.address, ...fields });
    }
  }
}

/** Equal for queries that one watch can serve: the same rights, instances, pace and sources of time and chance. */
function keyOf(query: ResolvedServiceQuery): string {
  const { client, waitMs, clock, random } = query;
  return JSON.stringify([client.identity, instanceQueryKey(query), waitMs, numberOf(clock), numberOf(random)]);
}

const numbers = new WeakMap<object, number>();
let lastNumber = 0;

/** A number that stands for an object's identity. */
function numberOf(object: object): number {
  let number = numbers.get(object);
  if (number === undefined) {
    number = ++lastNumber;
    numbers.set(object, number);
  }
  return number;
}
