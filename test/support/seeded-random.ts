// Chance that can be had again: the seed is printed with a failure, and SEED=… in the environment replays it.

import process from "node:process";

/** Mulberry32; numbers from 0 to below 1. */
export function seededRandom(seed: number = givenSeed()): { readonly random: () => number; readonly seed: number } {
  let state = seed;
  const random = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return { random, seed };
}

function givenSeed(): number {
  const { SEED } = process.env;
  return SEED === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(SEED);
}
