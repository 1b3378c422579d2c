// Whose turn it is, across all transports that share a cache: the picker over the snapshot, and the endpoints that have just failed.
// Places no calls and waits for nothing.

import type { NewPicker, Picker, PickResult } from "../balancer/picker.ts";
import type { Clock } from "../core/clock.ts";
import type { Endpoint } from "../core/endpoint.ts";
import type { CacheEntry } from "./snapshot-cache.ts";

/** How long an endpoint that failed is avoided while there are others. */
const avoidMs = 5000;

/** The next endpoint for a call that has tried those of `tried`, by their ids; undefined where none is left. One that has just failed comes last. */
export function pickEndpoint(
  entry: CacheEntry,
  policy: NewPicker,
  tried: ReadonlyMap<string, Endpoint>,
  clock: Clock,
): PickResult | undefined {
  const picker = currentPicker(entry, policy);
  const avoided = avoidedIds(entry, clock.now());
  const preferred = avoided.length === 0 ? undefined : picker.pick(new Set([...tried.keys(), ...avoided]));
  return preferred ?? picker.pick(new Set(tried.keys()));
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
