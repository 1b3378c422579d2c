// `FRAMES=10000000 SEED=1 bun test/tools/run-fuzz.ts`: the rounds of test/http2/fuzz.test.ts until so many frames were read (default a
// million), from a seed on (default: a random one, printed). Asserts that the heap does not grow: after each million frames it is at most
// 1.1 times what it was after the first 100,000. Runs on Bun, Deno (--v8-flags=--expose-gc) and Node (--expose-gc).

import process from "node:process";
import { hostileRound, noiseRound, runRound, trafficRound } from "../support/h2-fuzz.ts";
import { seededRandom } from "../support/seeded-random.ts";

const maxGrowth = 1.1;
const wanted = Number(process.env.FRAMES ?? 1_000_000);
const { seed } = seededRandom();
const rounds = [hostileRound, trafficRound, hostileRound, noiseRound];

console.log(`SEED=${seed} FRAMES=${wanted}`);
const startedMs = performance.now();
let frames = 0;
let round = 0;
let firstHeap: number | undefined;
let nextReport = 1_000_000;
while (frames < wanted) {
  const kind = rounds[round % rounds.length];
  if (kind !== undefined) frames += runRound(kind, (seed + round) >>> 0);
  round++;
  if (firstHeap === undefined && frames >= 100_000) firstHeap = await heapBytes();
  if (frames < nextReport && frames < wanted) continue;
  nextReport += 1_000_000;
  const heap = await heapBytes();
  const growth = heap / (firstHeap ?? heap);
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(0);
  console.log(
    `${frames} frames, ${round} rounds, ${seconds} s, heap ${(heap / 2 ** 20).toFixed(2)} MiB (x${growth.toFixed(3)})`,
  );
  if (growth > maxGrowth) {
    console.error(`!!! The heap grew by more than ${maxGrowth}`);
    process.exit(1);
  }
}

/** What is in use after a collection. */
async function heapBytes(): Promise<number> {
  const { gc } = globalThis as { gc?: () => void };
  const bun = (globalThis as { Bun?: { gc(sync: boolean): void } }).Bun;
  for (let count = 0; count < 4; count++) {
    bun?.gc(true);
    gc?.();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return process.memoryUsage().heapUsed;
}
