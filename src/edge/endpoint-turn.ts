// Whose turn it is, across all transports that share a cache: the picker over the snapshot, and the endpoints that have just failed.
// Places no calls and waits for nothing.

import type { NewPicker, Picker, PickResult } from "../balancer/picker.ts";
import type { Clock } from "../core/clock.ts";
import type { Endpoint } from "../core/endpoint.ts";
import type { CacheEntry } from "./snapshot-cache.ts";

/** How long an endpoint that failed is avoided while there are others. */
const avoidMs = 5000;

/** The endpoints of one call, one after another. */
export interface EndpointTurn {
  /** Those that were picked, by id. */
  readonly tried: ReadonlyMap<string, Endpoint>;
  /**
   * The next endpoint, none twice; undefined where none is left. Those that had failed shortly before the call come last. `failure` is what
   * a picker is told that picks again what it must not.
   */
  next(failure: unknown): PickResult | undefined;
  /** Counts an endpoint as picked that was not picked here. */
  take(endpoint: Endpoint): void;
  /** Lets an instance be picked that came back elsewhere under its old id: it is a newcomer. */
  forgetMoved(): void;
}

/** Begins the turn of a call. */
export function createEndpointTurn(entry: CacheEntry, policy: NewPicker, clock: Clock): EndpointTurn {
  const tried = new Map<string, Endpoint>();
  const failedIds = avoidedIds(entry, clock.now());

  const pick = (excluded: ReadonlySet<string>, failure: unknown): PickResult | undefined => {
    const result = currentPicker(entry, policy).pick(excluded);
    if (result === undefined || !tried.has(result.endpoint.id)) return result;
    // A picker that does not heed `exclude`: it has nobody else. Every pick's `done` is called.
    result.done({ latencyMs: 0, error: failure });
    return undefined;
  };

  return {
    tried,
    next(failure) {
      const preferred = failedIds.length === 0 ? undefined : pick(new Set([...tried.keys(), ...failedIds]), failure);
      const result = preferred ?? pick(new Set(tried.keys()), failure);
      if (result === undefined) return undefined;
      tried.set(result.endpoint.id, result.endpoint);
      return result;
    },
    take(endpoint) {
      tried.set(endpoint.id, endpoint);
    },
    forgetMoved() {
      for (const { id, url } of entry.snapshot?.endpoints ?? []) if (tried.get(id)?.url !== url) tried.delete(id);
    },
  };
}

/** An endpoint could not be reached, or broke off. */
export function markFailed(entry: CacheEntry, id: string, clock: Clock): void {
  entry.failedAtMs.set(id, clock.now());
}

/** An endpoint has answered. */
export function markAnswered(entry: CacheEntry, id: string): void {
  entry.failedAtMs.delete(id);
}

function currentPicker(entry: CacheEntry, policy: NewPicker): Picker {
  const endpoints = entry.snapshot?.endpoints ?? [];
  const { turn } = entry;
  if (turn !== undefined && turn.endpoints === endpoints && turn.policy === policy) return turn.picker;
  const picker = policy(endpoints, turn?.picker);
  entry.turn = { picker, endpoints, policy };
  return picker;
}

function avoidedIds({ failedAtMs }: CacheEntry, nowMs: number): readonly string[] {
  for (const [id, atMs] of failedAtMs) {
    // Later than now: the clock was set back.
    if (nowMs - atMs >= avoidMs || atMs > nowMs) failedAtMs.delete(id);
  }
  return [...failedAtMs.keys()];
}
