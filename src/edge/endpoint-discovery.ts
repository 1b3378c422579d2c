// What one transport knows of its endpoints: the cached snapshot while it is young, refreshed behind the calls when it ages, waited for
// when it is too old or missing. Reads the source and writes the cache; places no calls.

import { Code, ConnectError } from "@connectrpc/connect";
import type { Endpoint } from "../core/endpoint.ts";
import { settledWithin, unlessAborted } from "../core/until-settled.ts";
import { emptyGraceMs } from "../resolver/empty-grace.ts";
import { sameInstances } from "../resolver/service-instance.ts";
import { describeError } from "../transport/describe-error.ts";
import type { ResolvedEdgeOptions } from "./edge-options.ts";
import { type EndpointSnapshot, parseSnapshot } from "./snapshot.ts";
import { type CacheEntry, cacheEntry, type ReadAttempt } from "./snapshot-cache.ts";

/** What a transport believes, and how sure it is. */
export interface DiscoveryState {
  /** Sorted by id. */
  readonly endpoints: readonly Endpoint[];
  /** Milliseconds since the source confirmed them; undefined while nothing is known. Always 0 for a fixed list. */
  readonly ageMs: number | undefined;
  /** Whether they are older than `maxAgeMs`, the last read failed, the source says so itself, or an empty answer is not believed yet. */
  readonly stale: boolean;
  /** Why the last read failed, by an Error that has name, message and code of what went wrong and nothing else. Absent after one that did not. */
  readonly lastError?: unknown;
}

/** How long a call may wait. */
export interface Patience {
  readonly signal: AbortSignal;
  /** Milliseconds to the call's deadline; undefined where it has none. */
  readonly remainingMs: number | undefined;
}

/** A read under way in this transport. */
interface Reading {
  /** Where its answer goes. */
  readonly entry: CacheEntry;
  /** Never rejects. */
  readonly done: Promise<void>;
  /** Whether it goes on when no call waits for it. */
  readonly isBackground: boolean;
  waiters: number;
  /** What it has failed with, as it was thrown: for the calls of this request. */
  error?: unknown;
  abandon(): void;
}

/** No read takes longer, whatever its source: no work of a Worker lasts longer after its response. https://developers.cloudflare.com/workers/runtime-apis/context/#waituntil */
const longestReadMs = 30_000;
/** How long another transport's attempt is left alone. Its request may have ended, and the attempt with it. */
const othersAttemptMs = 2000;
/** Longest wait for a read where there is a snapshot to fall back to: a source that hangs must not hold up every call. */
const freshWaitMs = 2000;
/** The pause after a read that failed, where a snapshot is at hand, and after one that told nothing new to calls whose endpoints all fail. */
const failurePauseMs = 1000;
/** How long an empty list counts as fresh: it serves nobody, and a service's first instance should not have to wait. */
const emptyFreshMs = 1000;

export class EndpointDiscovery {
  readonly #options: ResolvedEdgeOptions;
  #entry: CacheEntry;
  #identity: string | undefined;
  #reading: Reading | undefined;

  constructor(options: ResolvedEdgeOptions) {
    this.#options = options;
    this.#identity = options.source.identity;
    this.#entry = cacheEntry(options.cache, options.source);
    if (options.fixed !== undefined) this.#entry.snapshot ??= { endpoints: options.fixed, confirmedAtMs: 0 };
  }

  get state(): DiscoveryState {
    if (this.#options.fixed !== undefined) return { endpoints: this.#options.fixed, ageMs: 0, stale: false };
    const { snapshot, lastError, emptySinceMs } = this.#presentEntry();
    const ageMs = snapshot && Math.max(0, this.#options.clock.now() - snapshot.confirmedAtMs);
    const isOld = ageMs !== undefined && ageMs > this.#options.maxAgeMs;
    return {
      endpoints: snapshot?.endpoints ?? [],
      ageMs,
      stale: isOld || snapshot?.stale === true || lastError !== undefined || emptySinceMs !== undefined,
      ...(lastError !== undefined && { lastError }),
    };
  }

  /**
   * Resolves with what the cache holds when there is a snapshot in it to call by. Rejects with `unavailable` where the source cannot be read
   * and nothing is known of before, and with the signal's reason.
   */
  async ensure(patience: Patience): Promise<CacheEntry> {
    if (this.#options.fixed !== undefined) return this.#entry;
    const entry = this.#presentEntry();
    const { snapshot } = entry;
    const ageMs = snapshot === undefined ? Number.POSITIVE_INFINITY : this.#elapsed(snapshot.confirmedAtMs);
    if (ageMs <= this.#freshMs(entry)) return entry;
    const mayBegin = snapshot === undefined || this.#mayBegin(entry);
    const canServe = snapshot !== undefined && snapshot.endpoints.length > 0;
    if (canServe && ageMs <= this.#options.maxStaleMs) {
      if (mayBegin && this.#readingOf(entry) === undefined) this.#begin(entry, true);
      return entry;
    }
    // Where somebody else is at it, or has just failed, what is known serves.
    const reading = this.#readingOf(entry) ?? (mayBegin ? this.#begin(entry, false) : undefined);
    const isOver = reading === undefined || (await this.#wait(reading, patience, snapshot !== undefined));
    const { snapshot: known, lastError } = entry;
    // Of an empty list, why it cannot be read anew says more.
    if (known !== undefined && (known.endpoints.length > 0 || lastError === undefined)) return entry;
    throw isOver
      ? this.#failure(reading?.error ?? lastError)
      : new ConnectError(`gave up ${this.describeWait()}`, Code.Unavailable);
  }

  /**
   * Reads anew once, for a call whose endpoints have all failed since `sinceMs`. Does nothing where somebody has read since then or is
   * about to, or where the source has answered or failed just now. Rejects with the signal's reason only.
   */
  async reread(entry: CacheEntry, patience: Patience, sinceMs: number): Promise<void> {
    if (this.#options.fixed !== undefined) return;
    const { attempt } = entry;
    const isTime =
      attempt?.state === "answered"
        ? attempt.beganAtMs <= sinceMs && this.#elapsed(attempt.sinceMs) >= failurePauseMs
        : this.#mayBegin(entry);
    const reading = this.#readingOf(entry) ?? (isTime ? this.#begin(entry, false) : undefined);
    if (reading !== undefined) await this.#wait(reading, patience, true);
  }

  /** What a call waits for, as messages have it. */
  describeWait(): string {
    const { lastError } = this.#presentEntry();
    const because = lastError === undefined ? "" : `: ${describeError(lastError)}`;
    return `waiting for the first answer about ${this.#options.source.description}${because}`;
  }

  #failure(error: unknown): ConnectError {
    return new ConnectError(
      `no answer about ${this.#options.source.description}: ${describeError(error)}`,
      Code.Unavailable,
      undefined,
      undefined,
      error,
    );
  }

  /** What the cache holds of the source as it is now: whose rights it uses may change, and with them what it is known by. */
  #presentEntry(): CacheEntry {
    const { source, cache } = this.#options;
    const { identity } = source;
    // Looked up where it has changed only: the cache may have let go of what this transport uses.
    if (identity !== this.#identity) {
      this.#identity = identity;
      this.#entry = cacheEntry(cache, source);
    }
    return this.#entry;
  }

  #readingOf(entry: CacheEntry): Reading | undefined {
    return this.#reading?.entry === entry ? this.#reading : undefined;
  }

  /** Age up to which what is known is taken as it is. */
  #freshMs({ snapshot }: CacheEntry): number {
    const { maxAgeMs } = this.#options;
    return snapshot?.endpoints.length === 0 ? Math.min(maxAgeMs, emptyFreshMs) : maxAgeMs;
  }

  /** Time since then. A clock that was set back tells nothing of it. */
  #elapsed(atMs: number): number {
    const elapsedMs = this.#options.clock.now() - atMs;
    return elapsedMs >= 0 ? elapsedMs : Number.POSITIVE_INFINITY;
  }

  /** Whether it is time for an attempt, seeing what became of the newest one, here or in another transport. */
  #mayBegin(entry: CacheEntry): boolean {
    const { attempt } = entry;
    switch (attempt?.state) {
      case undefined:
      case "abandoned":
        return true;
      case "pending":
        return this.#elapsed(attempt.beganAtMs) >= othersAttemptMs;
      case "failed":
        return this.#elapsed(attempt.sinceMs) >= failurePauseMs;
      case "answered":
        // A source may itself hold what is old: it need not be asked more often for that.
        return this.#elapsed(attempt.sinceMs) > this.#freshMs(entry);
    }
  }

  #begin(entry: CacheEntry, isBackground: boolean): Reading {
    const { source, clock, waitUntil, logger } = this.#options;
    const controller = new AbortController();
    const number = (entry.attempt?.number ?? 0) + 1;
    const attempt: ReadAttempt = { number, beganAtMs: clock.now(), state: "pending", sinceMs: clock.now() };
    entry.attempt = attempt;
    const end = (state: ReadAttempt["state"]) => {
      cancelTimer();
      attempt.state = state;
      attempt.sinceMs = clock.now();
      if (this.#reading === reading) this.#reading = undefined;
    };
    const cancelTimer = clock.schedule(longestReadMs, () =>
      controller.abort(new Error(`no answer within ${longestReadMs} ms`)),
    );
    const read = async () => parseSnapshot(await source.read(controller.signal, entry.warned));
    const done = unlessAborted(read(), controller.signal).then(
      (snapshot) => {
        end("answered");
        this.#take(entry, snapshot, number);
      },
      (error: unknown) => {
        if (attempt.state === "abandoned") return;
        end("failed");
        reading.error = error;
        if (number > entry.answeredNumber) this.#keep(entry, error);
      },
    );
    const reading: Reading = {
      entry,
      done,
      isBackground: isBackground || waitUntil !== undefined,
      waiters: 0,
      abandon: () => {
        end("abandoned");
        controller.abort(new Error("nobody waits for the answer any more"));
      },
    };
    this.#reading = reading;
    const hold = async () => waitUntil?.(done);
    hold().catch((error: unknown) => {
      logger.warn("Cannot keep the runtime waiting for a read: waitUntil has failed", { error });
    });
    return reading;
  }

  /** Resolves with whether the read has ended in time. A caller that is gone takes the read along only where nobody else wants it. */
  async #wait(reading: Reading, { signal, remainingMs }: Patience, hasFallback: boolean): Promise<boolean> {
    const { waitTimeoutMs, clock } = this.#options;
    // Without anything to fall back to, a deadline is what ends the wait; with something, half of it is kept for the call itself.
    const longestMs = hasFallback
      ? Math.min(waitTimeoutMs, freshWaitMs, (remainingMs ?? Number.POSITIVE_INFINITY) / 2)
      : remainingMs === undefined
        ? waitTimeoutMs
        : undefined;
    reading.waiters++;
    try {
      return await settledWithin(reading.done, longestMs, clock, signal);
    } catch (error) {
      if (reading.waiters === 1 && !reading.isBackground) reading.abandon();
      throw error;
    } finally {
      reading.waiters--;
    }
  }

  #take(entry: CacheEntry, answer: EndpointSnapshot, number: number): void {
    const { clock, logger, source } = this.#options;
    // Overtaken by an attempt of another transport that began later.
    if (number < entry.answeredNumber) return;
    const nowMs = clock.now();
    const before = entry.snapshot;
    const fields = { source: source.description };
    entry.answeredNumber = number;
    if (entry.lastError !== undefined) logger.info("Endpoints can be read again", fields);
    entry.lastError = undefined;
    // A store that lags, or whoever lost its last word. Where our own clock was set back, its times say nothing.
    if (before !== undefined && answer.confirmedAtMs < before.confirmedAtMs && before.confirmedAtMs <= nowMs) {
      if (answer.stale === true) entry.snapshot = { ...before, stale: true };
      return;
    }
    if (answer.endpoints.length === 0 && answer.isGraceOver !== true && (before?.endpoints.length ?? 0) > 0) {
      if (entry.emptySinceMs === undefined) {
        logger.warn("The source lists no endpoints any more: the last known stand for a while", fields);
      }
      // Where the clock was set back, the grace begins anew.
      entry.emptySinceMs = Math.min(entry.emptySinceMs ?? nowMs, nowMs);
      if (nowMs - entry.emptySinceMs < emptyGraceMs) return;
    }
    entry.emptySinceMs = undefined;
    const isKnown = before !== undefined && sameInstances(before.endpoints, answer.endpoints);
    if (!isKnown) logger.info("Endpoints have changed", { ...fields, endpoints: answer.endpoints.length });
    // Another machine's clock may be ahead: nothing is confirmed later than it was read.
    entry.snapshot = {
      ...answer,
      endpoints: isKnown ? before.endpoints : answer.endpoints,
      confirmedAtMs: Math.min(answer.confirmedAtMs, nowMs),
    };
  }

  #keep(entry: CacheEntry, error: unknown): void {
    const { logger, source } = this.#options;
    if (entry.lastError === undefined) {
      const message =
        entry.snapshot === undefined ? "Cannot read endpoints" : "Cannot read endpoints: the last known stand";
      logger.warn(message, { source: source.description, error });
    }
    entry.lastError = plainError(error);
  }
}

/** What may be kept beyond the request: on an error of the runtime's, or of the user's, may hang what belongs to it. */
function plainError(error: unknown): Error {
  const plain = new Error(describeError(error));
  if (!(error instanceof Error)) return plain;
  Object.defineProperty(plain, "name", { value: String(error.name), configurable: true, writable: true });
  const code: unknown = "code" in error ? error.code : undefined;
  return typeof code === "string" || typeof code === "number" ? Object.assign(plain, { code }) : plain;
}
