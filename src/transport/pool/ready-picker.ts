// The picker over those that are ready: without the ones that answer badly, without those with a warning while enough others pass, and with a small
// share for those that are cold. Follows connections, and opens none.

import type { NewPicker, Picker, PickResult } from "../../balancer/picker.ts";
import type { CallFate } from "../../core/call-fate.ts";
import type { Clock } from "../../core/clock.ts";
import type { Endpoint } from "../../core/endpoint.ts";
import type { Logger } from "../../core/logger.ts";
import type { Random } from "../../core/random.ts";
import { OutlierDetection, type OutlierStanding } from "../outlier/outlier-detection.ts";
import type { ResolvedOutlierDetection } from "../outlier/outlier-options.ts";
import type { Watched } from "../outlier/track.ts";
import { healthTier } from "./health-tiers.ts";
import { SlowStart } from "./slow-start.ts";

/** What a ready picker is made with. */
export interface ReadyPickerOptions {
  readonly balancer: NewPicker;
  readonly outlierDetection: ResolvedOutlierDetection | undefined;
  /** How long the share of an endpoint grows that joins others, and of one that is back after an ejection; 0: it has all of it at once. */
  readonly slowStartMs: { readonly joined: number; readonly returned: number };
  readonly minPassingPercent: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Finds an endpoint's connection by its id. */
export type FindWatched = (endpointId: string) => Watched | undefined;

export class ReadyPicker {
  /** What to pick with now; undefined before the first list. Of an empty list, it picks nothing. */
  picker: Picker | undefined;
  readonly #options: ReadyPickerOptions;
  readonly #find: FindWatched;
  readonly #onChange: () => void;
  readonly #outliers: OutlierDetection;
  readonly #slowStart: SlowStart;
  /** The lists of the last time: what was given, and what the balancer saw of it. */
  #ready: readonly Endpoint[] = [];
  #known = 0;
  #listed: readonly Endpoint[] | undefined;
  #balanced: Picker | undefined;
  #isListing = false;

  /** `onChange` is called whenever `picker` or `hasProbes` has changed by itself, not from within `list`. */
  constructor(options: ReadyPickerOptions, find: FindWatched, onChange: () => void) {
    const { clock, random, logger } = options;
    this.#options = options;
    this.#find = find;
    this.#onChange = onChange;
    this.#slowStart = new SlowStart(clock, random, () => this.#changed());
    this.#outliers = new OutlierDetection(options.outlierDetection, {
      clock,
      random,
      logger,
      onChange: () => this.#changed(),
      onReturn: ({ endpoint }) => this.#slowStart.begin(endpoint.id, options.slowStartMs.returned),
      onSleep: () => this.#changed(),
    });
  }

  /** Makes the picker over these, of `known` endpoints in all. */
  list(ready: readonly Endpoint[], known: number): void {
    this.#ready = ready;
    this.#known = known;
    this.#isListing = true;
    const listed = this.#choose();
    if (this.#listed === undefined || !isSame(listed, this.#listed)) {
      this.#balanced = this.#options.balancer(listed, this.#balanced);
      this.#listed = listed;
    }
    this.picker = this.#dress(this.#balanced);
    this.#isListing = false;
  }

  /** An endpoint is known from now on, by its connection. */
  add(watched: Watched): void {
    this.#outliers.add(watched);
  }

  remove(watched: Watched): void {
    this.#slowStart.end(watched.endpoint.id);
    this.#outliers.remove(watched);
  }

  /** Its connection came about, or was lost. `isJoining`: others are in use already. */
  onState(watched: Watched, isJoining: boolean): void {
    if (watched.state === "ready" && isJoining)
      this.#slowStart.begin(watched.endpoint.id, this.#options.slowStartMs.joined);
    this.#outliers.onState(watched);
  }

  onCallFailed(watched: Watched, error: unknown, fate: CallFate): void {
    this.#outliers.onCallFailed(watched, error, fate);
  }

  /** Other ways to find outliers, from now on; undefined: none. */
  configureOutliers(options: ResolvedOutlierDetection | undefined): void {
    this.#outliers.configure(options);
  }

  get hasProbes(): boolean {
    return this.#outliers.hasProbes;
  }

  probe(mayRepeat: boolean): PickResult | undefined {
    return this.#outliers.probe(mayRepeat);
  }

  /** What is held against an endpoint, if anything. */
  standing(watched: Watched): OutlierStanding | undefined {
    return this.#outliers.standing(watched);
  }

  close(): void {
    this.#outliers.close();
    this.#slowStart.close();
  }

  #choose(): readonly Endpoint[] {
    const ready = this.#ready;
    const isWell = ({ id }: Endpoint) => {
      const watched = this.#find(id);
      return watched === undefined || !this.#outliers.isEjected(watched);
    };
    const well = ready.every(isWell) ? ready : ready.filter(isWell);
    // Those that are left out are better than nobody.
    const { minPassingPercent } = this.#options;
    return healthTier(well.length === 0 ? ready : well, this.#known, minPassingPercent);
  }

  #dress(balanced: Picker | undefined): Picker | undefined {
    if (balanced === undefined || this.#listed === undefined) return balanced;
    const picker = this.#slowStart.wrap(balanced, this.#listed);
    if (!this.#outliers.isAsleep) return picker;
    return {
      pick: (exclude) => {
        // The first call after a while.
        this.#outliers.wake();
        this.#changed();
        return picker.pick(exclude);
      },
    };
  }

  #changed(): void {
    if (this.#isListing || this.#listed === undefined) return;
    this.list(this.#ready, this.#known);
    this.#onChange();
  }
}

function isSame(a: readonly Endpoint[], b: readonly Endpoint[]): boolean {
  return a === b || (a.length === b.length && a.every((endpoint, i) => endpoint === b[i]));
}
