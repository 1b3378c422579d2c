// Which of the endpoints that could be called are: those with a warning rest while enough others pass. Pure.

import type { Endpoint } from "../../core/endpoint.ts";

/**
 * The passing ones where they are at least `minPassingPercent` of all `known` endpoints, and at least one; else all of `ready`. The same list
 * where nobody is left out.
 */
export function healthTier(ready: readonly Endpoint[], known: number, minPassingPercent: number): readonly Endpoint[] {
  const passing = ready.filter(({ health }) => health === "passing");
  if (passing.length === ready.length || passing.length === 0) return ready;
  return passing.length * 100 >= known * minPassingPercent ? passing : ready;
}
