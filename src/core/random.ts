// Randomness as a value, so that tests choose it. The only file that touches Math.random.

/** Returns a number in [0, 1). Used for jitter, never for secrets. */
export type Random = () => number;

/** The runtime's generator. */
export const systemRandom: Random = () => Math.random();

/** `value` moved by at most `ratio` of itself up or down, evenly spread. `ratio` in [0, 1]. */
export function jitter(value: number, ratio: number, random: Random): number {
  return value * (1 + ratio * (random() * 2 - 1));
}
