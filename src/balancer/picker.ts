// The Picker contract: which endpoint a call goes to. Implementations: round-robin.ts.

import type { Endpoint } from "../core/endpoint.ts";

/** How a call that a picker placed has ended. */
export interface CallOutcome {
  /** The error the call ended with (a ConnectError at this level); absent on success. */
  readonly error?: unknown;
  /** From pick to end, in milliseconds. */
  readonly latencyMs: number;
}

/** One choice. */
export interface PickResult {
  readonly endpoint: Endpoint;
  /**
   * Reports how the call ended. Called exactly once for every pick, but for `ignoreOutcome`; of a stream, when it was read to its end or
   * its signal has aborted. Must not throw. A policy that learns nothing from outcomes has `ignoreOutcome` here: its calls
   * cost less, as nobody needs to wait for their end.
   */
  done(outcome: CallOutcome): void;
}

/** The `done` of picks whose policy does not care how calls end. It may be called or not. */
export function ignoreOutcome(): void {}

/** Chooses endpoints for calls. Fixed over its list; replaced when the list changes. Never blocks. */
export interface Picker {
  /** One choice; `exclude` names endpoints already tried by this call. Returns undefined when none is left. */
  pick(exclude?: ReadonlySet<string>): PickResult | undefined;
}

/**
 * A balancing policy: builds the picker for a list of ready endpoints (sorted by id, may be empty). The previous picker is
 * handed over so that counters survive an update.
 */
export type NewPicker = (ready: readonly Endpoint[], previous: Picker | undefined) => Picker;
