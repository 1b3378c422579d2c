// What test/http2/fuzz.test.ts does for a moment and `test/tools/run-fuzz.ts` for as long as it is told: rounds of random traffic. Fails
// by an error that names the seed of its round.

import assert from "node:assert/strict";
import { hear, mutate, randomFrames } from "./h2-hostile.ts";
import { Traffic } from "./h2-traffic.ts";
import { seededRandom } from "./seeded-random.ts";

/** One kind of round; returns how many frames were read. */
export type FuzzRound = (random: () => number) => number;

const below = (random: () => number, end: number) => Math.floor(random() * end);
const anyRole = (random: () => number) => (random() < 0.6 ? "server" : "client");

/** Random bytes of frames, some changed: whatever the pieces in which they come, a connection tells the same. */
export const hostileRound: FuzzRound = (random) => {
  const role = anyRole(random);
  const frames = randomFrames(random, role, 1 + below(random, 60));
  const bytes = random() < 0.5 ? frames : mutate(random, frames);
  const whole = hear(role, bytes, () => bytes.length);
  const widest = 1 + Math.floor(random() ** 2 * 100);
  const cut = hear(role, bytes, () => 1 + below(random, widest));
  assert.deepEqual(cut, whole);
  return whole.frames + cut.frames;
};

/** No frames at all: bytes. */
export const noiseRound: FuzzRound = (random) => {
  const role = anyRole(random);
  const start = random() < 0.5 ? randomFrames(random, role, 3) : new Uint8Array(0);
  const bytes = new Uint8Array(start.length + below(random, 400));
  for (let at = 0; at < bytes.length; at++) bytes[at] = start[at] ?? below(random, 256);
  return hear(role, bytes, () => 1 + below(random, 50)).frames;
};

/** Legal traffic between two of ours: every byte arrives. */
export const trafficRound: FuzzRound = (random) => {
  const traffic = new Traffic(random);
  for (let step = 400; step > 0; step--) traffic.step();
  traffic.finish();
  return traffic.frames;
};

/** Runs a round with a seed of its own; one that fails says how to have it again. */
export function runRound(round: FuzzRound, seed: number): number {
  try {
    return round(seededRandom(seed).random);
  } catch (error) {
    throw new Error(`SEED=${seed} has it again`, { cause: error });
  }
}
