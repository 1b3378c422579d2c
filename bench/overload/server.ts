// The server that is overloaded: a handler that computes for a while. Prints `ready HOST:PORT`; the first argument is its options as JSON:
// `{ work, overload, http2 }`. With `work` 0 it prints `work N` first, how many rounds take about two milliseconds here, and ends.

import process from "node:process";
import type { OverloadOptions } from "../../src/server/overload/overload-options.ts";
import { serve } from "../../src/server/serve.ts";
import { EchoService } from "../../test/gen/lictor/test/v1/echo_pb.ts";

interface Settings {
  readonly work: number;
  readonly overload?: OverloadOptions;
  readonly http2?: "lictor" | "node";
  /** Whether the handler waits before it computes, so that many are under way at a time. */
  readonly waits?: boolean;
}

/** Rounds of a generator of random numbers: nothing that a runtime could leave out, and no garbage. */
function compute(rounds: number): number {
  let state = 0x9e3779b9;
  for (let round = 0; round < rounds; round++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
  }
  return state;
}

const handlerMs = 2;
const settings = JSON.parse(process.argv[2] ?? "{}") as Settings;
if (settings.work === 0) {
  const rounds = 200_000;
  let bestMs = Number.POSITIVE_INFINITY;
  for (let turn = 0; turn < 200; turn++) {
    const sinceMs = performance.now();
    compute(rounds);
    bestMs = Math.min(bestMs, performance.now() - sinceMs);
  }
  console.log(`work ${Math.round((rounds * handlerMs) / bestMs)}`);
  process.exit();
}

const server = serve({
  graceMs: 0,
  ...(settings.http2 === undefined ? {} : { http2: settings.http2 }),
  ...(settings.overload === undefined ? {} : { overload: settings.overload }),
  routes: (router) =>
    router.service(EchoService, {
      unary: settings.waits
        ? async () => {
            await new Promise((resolve) => setTimeout(resolve, 5));
            return { text: String(compute(settings.work)) };
          }
        : () => ({ text: String(compute(settings.work)) }),
    }),
});
process.on("SIGTERM", () => {
  console.log(`stats ${JSON.stringify(server.stats())}`);
  process.exit();
});
const { host, port } = await server.ready;
console.log(`ready ${host}:${port}`);
