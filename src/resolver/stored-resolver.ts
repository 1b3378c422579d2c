// A Resolver that remembers: what another resolver finds is kept in a store, and listed from there while that one has not answered yet.
// Opens nothing by itself; its first true answer puts an end to what was stored.

import { type Clock, systemClock } from "../core/clock.ts";
import { describeValue } from "../core/describe-value.ts";
import type { Endpoint } from "../core/endpoint.ts";
import type { EndpointStore } from "../core/endpoint-store.ts";
import { isObject } from "../core/json-shape.ts";
import { type Logger, silentLogger } from "../core/logger.ts";
import { unixClock } from "../core/unix-clock.ts";
import { settledWithin } from "../core/until-settled.ts";
import type { Resolver, ResolverSnapshot } from "./resolver.ts";
import { createSnapshotFeed, type SnapshotFeed } from "./snapshot-feed.ts";
import { readStaticEndpoints } from "./static-endpoint.ts";

/** When what was stored is used. */
export interface StoredUse {
  /** How long the source of endpoints may be silent at first before the stored ones are used, in milliseconds; they are at once when it fails. Default 1000. */
  readonly storedAfterMs?: number;
  /** Endpoints that were confirmed longer ago, in milliseconds, are not used: others may have their addresses by now. Default 86400000, a day. */
  readonly storedMaxAgeMs?: number;
}

/** What is remembered of whom, and when it is used. */
export interface StoredResolverOptions extends StoredUse {
  /** Who knows the endpoints. */
  readonly resolver: Resolver;
  readonly store: EndpointStore;
  /** What the endpoints are kept under: the same for all who ask the same. Default: the resolver's description. */
  readonly key?: string;
  /** The scheme that all stored endpoints must have: nobody who can write to the store may talk a client out of TLS. Default: either. */
  readonly scheme?: "http" | "https";
  readonly logger?: Logger;
  readonly clock?: Clock;
  /** Unix time, by which the age of what is stored is told. */
  readonly wallClock?: Clock;
}

/** Saves of changes are at least this far apart. */
const saveEveryMs = 5000;
/** Where nothing changes, how often the store hears that the list is still confirmed. */
const confirmEveryMs = 300_000;
/** How long the last save may hold up whoever closes. */
const lastSaveMs = 2000;

type Settings = Required<Omit<StoredResolverOptions, "scheme">> & Pick<StoredResolverOptions, "scheme">;

/**
 * Creates a resolver that lists what `resolver` lists, and saves it. Until that one has answered for the first time, it lists what the store
 * has, marked stale and with its true age; after, what the store has counts for nothing. An empty list is never saved. A store
 * that fails is logged, and costs nothing else. Throws RangeError for times that are none, TypeError for a store without `load` and `save`.
 */
export function createStoredResolver(options: StoredResolverOptions): Resolver {
  const { resolver } = options;
  const settings: Settings = {
    resolver,
    store: options.store,
    key: options.key ?? resolver.description,
    ...(options.scheme === undefined ? {} : { scheme: options.scheme }),
    storedAfterMs: options.storedAfterMs ?? 1000,
    storedMaxAgeMs: options.storedMaxAgeMs ?? 86_400_000,
    logger: options.logger ?? silentLogger,
    clock: options.clock ?? systemClock,
    wallClock: options.wallClock ?? unixClock,
  };
  for (const name of ["storedAfterMs", "storedMaxAgeMs"] as const) {
    const value: unknown = settings[name];
    if (typeof value === "number" && value >= 0) continue;
    throw new RangeError(`Cannot store endpoints as "${name}" must be >= 0: received ${String(value)}`);
  }
  // Whoever calls from JavaScript may give a path: that would be found out, and logged, with every load and save.
  const store: unknown = settings.store;
  if (!isObject(store) || typeof store.load !== "function" || typeof store.save !== "function") {
    const received = describeValue(store);
    throw new TypeError(
      `Cannot store endpoints as "store" must have load and save, as fileStore(folder): received ${received}`,
    );
  }
  let life: Following | undefined;
  let listeners = 0;
  let released: Promise<void> = Promise.resolve();
  return {
    get description() {
      return resolver.description;
    },
    get latest() {
      return life?.latest;
    },
    subscribe(listener) {
      listeners++;
      life ??= new Following(settings);
      const following = life;
      const unsubscribe = following.feed.subscribe(listener);
      // After the first listener is in: what is known already comes within.
      following.start();
      let isLeft = false;
      return () => {
        unsubscribe();
        if (isLeft) return;
        isLeft = true;
        if (--listeners > 0) return;
        life = undefined;
        released = Promise.all([released, following.end()]).then(() => {});
      };
    },
    refresh: () => resolver.refresh(),
    async released() {
      await released;
      await resolver.released?.();
    },
  };
}

/** From the first listener to the last. */
class Following {
  readonly feed: SnapshotFeed<ResolverSnapshot>;
  readonly #settings: Settings;
  #unsubscribe: (() => void) | undefined;
  /** The resolver has spoken: the store has nothing to say any more. */
  #isAnswered = false;
  /** The resolver has failed, or been silent for long. */
  #isOverdue = false;
  #stored: ResolverSnapshot | undefined;
  #cancelWait: (() => void) | undefined;
  /** What is to be saved next. */
  #unsaved: ResolverSnapshot | undefined;
  #savedConfirmedAtMs = Number.NEGATIVE_INFINITY;
  #saving: Promise<void> | undefined;
  #cancelSave: (() => void) | undefined;
  /** The last save was a moment ago. */
  #isResting = false;
  #hasComplained = false;
  #isOver = false;

  constructor(settings: Settings) {
    this.#settings = settings;
    this.feed = createSnapshotFeed((error) => settings.logger.error("A listener of endpoints has failed", { error }));
  }

  /** The resolver's newest, or what stands in for it. */
  get latest(): ResolverSnapshot | undefined {
    return this.#isAnswered ? (this.#settings.resolver.latest ?? this.feed.latest) : this.feed.latest;
  }

  start(): void {
    if (this.#unsubscribe !== undefined) return;
    this.#unsubscribe = () => {};
    const { resolver, clock, storedAfterMs } = this.#settings;
    this.#unsubscribe = resolver.subscribe({
      onSnapshot: (snapshot) => this.#onSnapshot(snapshot),
      onError: (error) => {
        this.feed.fail(error);
        this.#onOverdue();
      },
    });
    if (this.#isAnswered) return;
    this.#cancelWait = clock.schedule(storedAfterMs, () => this.#onOverdue());
    void this.#load();
  }

  /** Lets the resolver go, and saves what it said last; resolves when that is done, or takes too long. */
  async end(): Promise<void> {
    this.#noteConfirmed();
    this.#isOver = true;
    this.#unsubscribe?.();
    this.#cancelWait?.();
    this.#cancelSave?.();
    this.#isResting = false;
    if (this.#saving === undefined && this.#unsaved === undefined) return;
    await settledWithin(this.#saveRest(), lastSaveMs, this.#settings.clock);
  }

  #onSnapshot(snapshot: ResolverSnapshot): void {
    const { logger, resolver } = this.#settings;
    if (!this.#isAnswered && this.feed.latest !== undefined) {
      logger.info("stored endpoints are not needed any more", { resolver: resolver.description });
    }
    this.#isAnswered = true;
    this.#cancelWait?.();
    this.#stored = undefined;
    this.#note(snapshot);
    this.feed.publish(snapshot);
  }

  // What is stored.

  #onOverdue(): void {
    this.#isOverdue = true;
    this.#listStored();
  }

  async #load(): Promise<void> {
    const { store, key, scheme, clock, wallClock, logger, storedMaxAgeMs } = this.#settings;
    try {
      const loaded = await store.load(key);
      if (loaded === undefined) return;
      const { endpoints, confirmedAtMs } = readStored(loaded, scheme);
      if (endpoints.length === 0) return;
      const sinceMs = wallClock.now() - confirmedAtMs;
      const ageMs = Math.max(0, sinceMs);
      // Confirmed far in the future: by a clock that was wrong, then or now. How old they are nobody knows.
      if (Math.abs(sinceMs) > storedMaxAgeMs) {
        logger.info("stored endpoints are too old to be used", { key, ageMs: Math.round(sinceMs) });
        return;
      }
      this.#stored = { endpoints, stale: true, confirmedAtMs: clock.now() - ageMs, source: "store" };
    } catch (error) {
      logger.warn("stored endpoints cannot be read", { key, error });
      return;
    }
    if (this.#isOverdue) this.#listStored();
  }

  #listStored(): void {
    const stored = this.#stored;
    if (stored === undefined || this.#isAnswered || this.#isOver) return;
    this.#stored = undefined;
    this.#settings.logger.warn("no answer yet: stored endpoints are used", {
      resolver: this.#settings.resolver.description,
      endpoints: stored.endpoints.length,
      ageMs: Math.round(this.#settings.clock.now() - stored.confirmedAtMs),
    });
    this.feed.publish(stored);
  }

  // What is to be stored.

  /** Takes note of an answer that is worth keeping. */
  #note(snapshot: ResolverSnapshot): void {
    if (snapshot.stale || snapshot.endpoints.length === 0) return;
    this.#unsaved = snapshot;
    this.#save();
  }

  /** Takes note where the list of the last save was confirmed since. */
  #noteConfirmed(): void {
    const { latest } = this.#settings.resolver;
    if (this.#isAnswered && latest !== undefined && latest.confirmedAtMs > this.#savedConfirmedAtMs) this.#note(latest);
  }

  /** Saves what is unsaved, unless something is being saved, or was a moment ago. */
  #save(): void {
    const snapshot = this.#unsaved;
    if (snapshot === undefined || this.#saving !== undefined || this.#isResting) return;
    this.#cancelSave?.();
    this.#unsaved = undefined;
    this.#savedConfirmedAtMs = snapshot.confirmedAtMs;
    this.#saving = this.#write(snapshot).finally(() => {
      this.#saving = undefined;
      if (!this.#isOver) this.#rest();
    });
  }

  #rest(): void {
    const { clock } = this.#settings;
    this.#isResting = true;
    this.#cancelSave = clock.schedule(saveEveryMs, () => {
      this.#isResting = false;
      this.#cancelSave = clock.schedule(confirmEveryMs - saveEveryMs, () => this.#noteConfirmed());
      this.#save();
    });
  }

  async #saveRest(): Promise<void> {
    await this.#saving;
    this.#save();
    await this.#saving;
  }

  async #write({ endpoints, confirmedAtMs }: ResolverSnapshot): Promise<void> {
    const { store, key, clock, wallClock, logger } = this.#settings;
    const ageMs = clock.now() - confirmedAtMs;
    const unixMs = Math.round(wallClock.now() - ageMs);
    try {
      await store.save(key, { version: 1, confirmedAtMs: unixMs, endpoints: endpoints.map(plain) });
      this.#hasComplained = false;
    } catch (error) {
      // Once, until it works again.
      if (!this.#hasComplained) logger.warn("endpoints cannot be stored", { key, error });
      this.#hasComplained = true;
    }
  }
}

/** What belongs to an endpoint, and nothing else that a resolver of the user's hung on it. */
function plain({ id, url, weight, health, zone, tags, meta }: Endpoint): Endpoint {
  return { id, url, weight, health, zone, tags, meta };
}

/** Throws TypeError or RangeError for what this version has not saved. */
function readStored(
  loaded: unknown,
  scheme: "http" | "https" | undefined,
): { endpoints: readonly Endpoint[]; confirmedAtMs: number } {
  if (!isObject(loaded) || loaded.version !== 1) {
    throw new TypeError("Cannot use stored endpoints as they are of another version");
  }
  const { confirmedAtMs, endpoints } = loaded;
  if (typeof confirmedAtMs !== "number" || !Number.isFinite(confirmedAtMs)) {
    throw new TypeError("Cannot use stored endpoints as they do not say when they were confirmed");
  }
  const read = readStaticEndpoints(endpoints);
  if (scheme !== undefined && read.some(({ url }) => !url.startsWith(`${scheme}://`))) {
    throw new TypeError(`Cannot use stored endpoints as all must be ${scheme}: received another`);
  }
  return { endpoints: read, confirmedAtMs };
}
