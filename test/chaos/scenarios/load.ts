// How most scenarios go: clients call, a fault is made, clients end, and no server is left out of it.

import type { Stage, StageClient } from "../stage.ts";

/** Lets the clients call while `fault` goes on, and a little before and after it; resolves when their last calls have ended. */
export async function underLoad(
  stage: Stage,
  clients: readonly StageClient[],
  fault: () => Promise<void>,
  { beforeMs = 1500, afterMs = 1000 }: { readonly beforeMs?: number; readonly afterMs?: number } = {},
): Promise<void> {
  for (const client of clients) client.go();
  await stage.pause(beforeMs);
  await fault();
  await stage.pause(afterMs);
  stage.mark("the load ends");
  await Promise.all(clients.map((client) => client.stop()));
}

/** `[first, second, ...]` of a rotation that starts at `offset`: so that scenarios of a quick run share the runtimes out. */
export function rotated<T>(list: readonly T[], offset: number, count: number): T[] {
  const start = offset % list.length;
  return [...list.slice(start), ...list.slice(0, start)].slice(0, count);
}
