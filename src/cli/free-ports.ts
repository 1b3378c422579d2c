// Finds ports that nobody listens on. A hint, not a promise: another process may take one before it is used.

import { createServer } from "node:net";

/**
 * The first of `count` ports in a row on `host` that can be listened on, looked for at `firstPort` and every `stride` above it.
 * 0 where `tries` rows held a busy port: let the system choose.
 */
export async function findFreePorts(
  host: string,
  firstPort: number,
  count: number,
  { stride = 100, tries = 20 }: { readonly stride?: number; readonly tries?: number } = {},
): Promise<number> {
  for (let attempt = 0, first = firstPort; attempt < tries && first + count - 1 <= 65_535; attempt++, first += stride) {
    const row = Array.from({ length: count }, (_, index) => first + index);
    const free = await Promise.all(row.map((port) => isFree(host, port)));
    if (free.every(Boolean)) return first;
  }
  return 0;
}

function isFree(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, host, () => server.close(() => resolve(true)));
  });
}
