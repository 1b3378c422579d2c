// Random and hostile bytes, for a moment; `test/tools/run-fuzz.ts` does the same for longer. With SEED=… the first round is that one's.

import { describe, test } from "node:test";
import { type FuzzRound, hostileRound, noiseRound, runRound, trafficRound } from "../support/h2-fuzz.ts";
import { seededRandom } from "../support/seeded-random.ts";

/** Rounds until the time is up, at least a few. */
function runFor(ms: number, round: FuzzRound): void {
  const { seed } = seededRandom();
  const endMs = performance.now() + ms;
  for (let number = 0; number < 3 || performance.now() < endMs; number++) runRound(round, (seed + number) >>> 0);
}

describe("Http2Connection, fed at random", () => {
  test("tells the same of the same bytes however they are cut, and ends in order whatever they are", () => {
    runFor(1000, hostileRound);
  });

  test("ends in order when it is fed noise", () => {
    runFor(200, noiseRound);
  });

  test("loses no byte of legal traffic, whatever the windows, resets, pieces and pauses", () => {
    runFor(1000, trafficRound);
  });
});
