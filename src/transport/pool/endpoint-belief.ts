// What is believed of a resolver's answers: which endpoints are in use, and which of those only because their connections work though
// the last answer lacks them. Decides by answers, time and what it is told of connections; opens and closes nothing.

import type { Clock } from "../../core/clock.ts";
import type { Endpoint } from "../../core/endpoint.ts";

/**
 * What a sharp shrink is, and how long one is not believed. Servers that leave as they should are let go all the same: their GOAWAY, or the
 * end of their connection, ends the doubt.
 */
export interface ShrinkHoldOptions {
  /**
   * The share of the endpoints in use, above 0 and at most 1, that may go within `windowMs` and be believed gone; where more go, those that
   * go then and whose connections work are held. Default 0.5: one of two, or half of a fleet, may leave at any time; 1 holds nothing.
   */
  readonly share?: number;
  /** How far back the largest number of endpoints is looked for that an answer is compared with, in milliseconds. Default 10000. */
  readonly windowMs?: number;
  /** How long a missing endpoint stays in use at most, in milliseconds. Default: `emptyGraceMs`. */
  readonly holdMs?: number;
}

/** The same, complete. */
export type ResolvedShrinkHold = Required<ShrinkHoldOptions>;

/** Puts every default in its place; `false` holds nothing. Throws RangeError for values outside their range. */
export function resolveShrinkHold(
  given: ShrinkHoldOptions | false | undefined,
  emptyGraceMs: number,
): ResolvedShrinkHold {
  const options = given === false ? { share: 1 } : (given ?? {});
  const { share = 0.5, windowMs = 10_000, holdMs = emptyGraceMs } = options;
  if (!(typeof share === "number" && share > 0 && share <= 1)) {
    throw new RangeError(
      `Cannot create transport as "shrinkHold.share" must be above 0 and at most 1: received ${share}`,
    );
  }
  for (const [name, value] of Object.entries({ windowMs, holdMs })) {
    if (typeof value === "number" && value >= 0) continue;
    throw new RangeError(`Cannot create transport as "shrinkHold.${name}" must be >= 0: received ${value}`);
  }
  return { share, windowMs, holdMs };
}

/** What a belief is told once. */
export interface EndpointBeliefOptions {
  /** How long an empty answer is not believed while connections work, in milliseconds. */
  readonly emptyGraceMs: number;
  readonly shrinkHold: ResolvedShrinkHold;
  readonly clock: Clock;
  /** Called when the time of some that were held is over: `endpoints` lacks them by then. */
  readonly onRelease: (released: readonly Endpoint[]) => void;
}

/** An endpoint that the last answer lacks and that is in use all the same. */
export interface HeldEndpoint {
  readonly endpoint: Endpoint;
  /** Since when answers lack it, by the clock. */
  readonly sinceMs: number;
  /** When it is let go at the latest, by the clock. */
  readonly untilMs: number;
}

/** What an answer was taken for; `held` are those that it lacks and that are held from now on. */
export interface BeliefChange {
  readonly kind: "believed" | "empty" | "shrunk";
  readonly held: readonly Endpoint[];
}

/** How many endpoints were in use, up to a time. */
interface PastSize {
  readonly size: number;
  readonly untilMs: number;
}

export class EndpointBelief {
  readonly #options: EndpointBeliefOptions;
  #listed: readonly Endpoint[] = [];
  readonly #held = new Map<string, HeldEndpoint>();
  /** By falling size: one that was followed by a larger one no longer matters. */
  #past: PastSize[] = [];
  #cancelRelease: (() => void) | undefined;

  constructor(options: EndpointBeliefOptions) {
    this.#options = options;
  }

  /** Those in use: of the last answer, and held. In no order. */
  get endpoints(): readonly Endpoint[] {
    return this.#held.size === 0 ? this.#listed : [...this.#listed, ...[...this.#held.values()].map((h) => h.endpoint)];
  }

  /** How many the last answer listed. */
  get listed(): number {
    return this.#listed.length;
  }

  /** How many are held now. */
  get held(): number {
    return this.#held.size;
  }

  /** The endpoint's hold, where it is held. */
  holdOf(endpointId: string): HeldEndpoint | undefined {
    return this.#held.get(endpointId);
  }

  /**
   * Takes an answer. Of those in use that it lacks, those stay for which `works` says so, where it is empty or lacks too many at once; an
   * endpoint that is there under another id is not lacking. One that was held before keeps its time, however often the answer is repeated.
   * With `isFirstHand`, what was in use is hearsay that the answer puts an end to: only if it is empty, they stay.
   */
  answer(listed: readonly Endpoint[], works: (endpointId: string) => boolean, isFirstHand = false): BeliefChange {
    const { clock, emptyGraceMs, shrinkHold } = this.#options;
    const nowMs = clock.now();
    const known = this.endpoints;
    if (isFirstHand) this.#past = [];
    const isSharp = !isFirstHand && this.#isSharp(listed.length, known.length, nowMs);
    const kind = listed.length === 0 ? "empty" : isSharp ? "shrunk" : "believed";
    const holdMs = kind === "empty" ? emptyGraceMs : kind === "shrunk" ? shrinkHold.holdMs : 0;
    const ids = new Set(listed.map(({ id }) => id));
    const urls = new Set(listed.map(({ url }) => url));
    const held: Endpoint[] = [];
    for (const endpoint of known) {
      const { id, url } = endpoint;
      const isHere = ids.has(id) || urls.has(url);
      if (isHere || !works(id) || (isFirstHand && listed.length > 0)) {
        this.#held.delete(id);
      } else if (holdMs > 0 && !this.#held.has(id)) {
        this.#held.set(id, { endpoint, sinceMs: nowMs, untilMs: nowMs + holdMs });
        held.push(endpoint);
      }
    }
    this.#listed = listed;
    this.#schedule();
    return held.length === 0 ? { kind: "believed", held } : { kind, held };
  }

  /** The connection of one that is held works no more: it is in use no longer. False where it was not held. */
  drop(endpointId: string): boolean {
    if (!this.#held.delete(endpointId)) return false;
    this.#schedule();
    return true;
  }

  /** Holds nothing any more, and no timer. */
  close(): void {
    this.#held.clear();
    this.#schedule();
  }

  /** Whether more than the share of the largest number of late would be gone. */
  #isSharp(size: number, before: number, nowMs: number): boolean {
    const { share, windowMs } = this.#options.shrinkHold;
    this.#past = this.#past.filter((past) => past.size > before && past.untilMs >= nowMs - windowMs);
    this.#past.push({ size: before, untilMs: nowMs });
    const most = this.#past[0]?.size ?? before;
    return most - size > share * most;
  }

  #schedule(): void {
    this.#cancelRelease?.();
    this.#cancelRelease = undefined;
    if (this.#held.size === 0) return;
    const { clock } = this.#options;
    let firstMs = Number.POSITIVE_INFINITY;
    for (const { untilMs } of this.#held.values()) firstMs = Math.min(firstMs, untilMs);
    this.#cancelRelease = clock.schedule(firstMs - clock.now(), () => this.#release());
  }

  #release(): void {
    const nowMs = this.#options.clock.now();
    const released: Endpoint[] = [];
    for (const [id, { endpoint, untilMs }] of this.#held) {
      if (untilMs > nowMs) continue;
      this.#held.delete(id);
      released.push(endpoint);
    }
    this.#schedule();
    if (released.length > 0) this.#options.onRelease(released);
  }
}
