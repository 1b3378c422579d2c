// Strict round-robin: every ready endpoint in turn, whatever its weight. Keeps its place when the list changes.

import type { Endpoint } from "../core/endpoint.ts";
import { ignoreOutcome, type NewPicker, type Picker, type PickResult } from "./picker.ts";

class RoundRobinPicker implements Picker {
  readonly #results: readonly PickResult[];
  #next: number;

  constructor(ready: readonly Endpoint[], previous: Picker | undefined) {
    // The outcome of a call changes nothing here, so one result an endpoint serves all its picks.
    this.#results = ready.map((endpoint) => ({ endpoint, done: ignoreOutcome }));
    this.#next = previous instanceof RoundRobinPicker ? this.#resumeAt(previous) : 0;
  }

  pick(exclude?: ReadonlySet<string>): PickResult | undefined {
    const count = this.#results.length;
    for (let tried = 0; tried < count; tried++) {
      const result = this.#results[this.#next];
      this.#next = this.#next + 1 < count ? this.#next + 1 : 0;
      if (result !== undefined && !exclude?.has(result.endpoint.id)) return result;
    }
    return undefined;
  }

  /** Where the previous picker would have gone next: its next endpoint, or the first after it by id that is still there. */
  #resumeAt(previous: RoundRobinPicker): number {
    const nextId = previous.#results[previous.#next]?.endpoint.id;
    if (nextId === undefined) return 0;
    const index = this.#results.findIndex((result) => result.endpoint.id >= nextId);
    return index === -1 ? 0 : index;
  }
}

/**
 * The round-robin policy: calls go to the ready endpoints in the order of their ids, one each, then again from the start.
 * An update that keeps the list keeps the turn; weights and zones are ignored.
 */
export const roundRobin: NewPicker = (ready, previous) => new RoundRobinPicker(ready, previous);
