// The full run on one runtime: every part in turn, each on its own so that one that fails leaves the others.

import { findRuntime } from "../../test/tools/runtimes.ts";
import type { Side } from "./cores.ts";
import { describeMachine, listVersions } from "./machine.ts";
import { runIdleConnections, runOpenStreams } from "./memory.ts";
import { runPhases, type SideResult } from "./phases.ts";
import type { Results } from "./results.ts";
import type { RowOptions, Talent } from "./rows.ts";
import { oneLine, type Stage } from "./side.ts";
import { judgeTargets } from "./targets.ts";
import { runEndpoints, runVariants } from "./variants.ts";

/** The parts of a full run. */
export const partNames = ["unary", "payload", "streams", "variants", "endpoints", "memory"] as const;

/** One of them. */
export type PartName = (typeof partNames)[number];

/** Memory moves little: fewer rounds of it will do, and one where the figure is a mean over 10,000 streams anyway. */
const idleRounds = 3;
const streamRounds = 1;

/** Runs these parts; the stage's rows were made with the same options. What could not be measured is left out, and is listed. */
export async function runFull(
  stage: Stage,
  { runtime, peers = runtime }: RowOptions,
  rounds: number,
  parts: readonly PartName[],
): Promise<Results> {
  const missing: { what: string; reason: string }[] = [];
  const noting: Stage = {
    ...stage,
    lose(what, reason) {
      missing.push({ what, reason });
      stage.lose(what, reason);
    },
  };
  const attempt = async <T>(what: string, isWanted: boolean, run: () => Promise<T>, none: T): Promise<T> => {
    if (!isWanted) return none;
    try {
      return await run();
    } catch (error) {
      noting.lose(what, oneLine(error));
      return none;
    }
  };
  const talents = (["unary", "payload", "streams"] as const).filter((name: Talent) => parts.includes(name));
  const phases = (side: Side) =>
    attempt<SideResult>(`${side} rows`, talents.length > 0, () => runPhases(noting, side, rounds, talents), {
      peer: "none",
      rows: {},
    });
  const hasMemory = parts.includes("memory");
  const idle = (side: Side) =>
    attempt(`${side} idle connections`, hasMemory, () => runIdleConnections(noting, side, idleRounds), {});
  const streams = (side: Side) =>
    attempt(`${side} open streams`, hasMemory, () => runOpenStreams(noting, side, streamRounds), {});

  const client = await phases("client");
  const server = await phases("server");
  const figures = {
    runtime,
    runtimeVersion: findRuntime(runtime).version,
    peersRuntime: peers,
    date: new Date().toISOString(),
    machine: describeMachine(stage.cores),
    versions: listVersions(),
    rounds,
    peers: { client: client.peer, server: server.peer },
    sides: { client: client.rows, server: server.rows },
    variants: await attempt("variants", parts.includes("variants"), () => runVariants(noting, rounds), {}),
    endpoints: await attempt("endpoints", parts.includes("endpoints"), () => runEndpoints(noting, rounds), {}),
    idleConnections: { client: await idle("client"), server: await idle("server") },
    openStreams: { client: await streams("client"), server: await streams("server") },
    missing,
  };
  return { ...figures, targets: judgeTargets(figures) };
}
