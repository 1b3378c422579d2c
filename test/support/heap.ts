// What a piece of work leaves behind on the heap, on every runtime without flags.

import process from "node:process";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Collects garbage now. */
function createCollector(): () => void {
  const { Bun } = globalThis as { readonly Bun?: { gc(force: boolean): void } };
  if (Bun !== undefined) return () => Bun.gc(true);
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc");
}

/** Bytes that the heap grows by, what `work` returns included. */
export function heapGrowth(work: () => unknown): number {
  const collect = createCollector();
  collect();
  const before = process.memoryUsage().heapUsed;
  const kept = work();
  collect();
  const after = process.memoryUsage().heapUsed;
  // Held until here.
  if (kept === undefined) throw new TypeError("Cannot measure as there is nothing to keep: received undefined");
  return after - before;
}
