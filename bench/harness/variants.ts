// Parts of the full run that compare clients with themselves: what deadlines, metadata, interceptors and the balancer cost, and
// what endpoints cost that are only there.

import type { Command } from "../programs/commands.ts";
import { alternate, type Entrant, type Sample } from "./measure.ts";
import type { Program } from "./program.ts";
import { findRow, type Row, sharedServer } from "./rows.ts";
import { oneLine, type Stage, startOn, targetsOf } from "./side.ts";

const warmUpMs = 2500;

/** lictor's client in each of its variants, 64 in flight over the same three servers. */
export async function runVariants(stage: Stage, rounds: number): Promise<Record<string, Sample>> {
  const lictor = findRow(stage.rows, "lictor");
  const command: Command = { do: "unary", inFlight: 64, calls: 25_000, limitMs: 1000 };
  return withServer(stage, 3, async (targets, keep) => {
    const entrants: Entrant[] = [];
    for (const variant of ["bare", "plain", "dressed", "counter"]) {
      entrants.push({ row: variant, caller: keep(await startOn(stage, "client", lictor.client(targets, variant))) });
    }
    stage.note("variants of lictor's client");
    const onLost = (row: string, reason: string) => stage.lose(`variant ${row}`, oneLine(reason));
    const warmUp = { ...command, calls: 1_000_000, limitMs: warmUpMs };
    return Object.fromEntries(await alternate(entrants, { rounds, warmUp, command, onLost }));
  });
}

/** Client CPU per call at 1 in flight, by row and by how many endpoints there are. */
export async function runEndpoints(stage: Stage, rounds: number): Promise<Record<string, Record<string, number>>> {
  const counts = [1, 3, 10, 100, 1000];
  const command: Command = { do: "unary", inFlight: 1, calls: 10_000, limitMs: 1000 };
  return withServer(stage, 1000, async (targets, keep) => {
    const results: Record<string, Record<string, number>> = {};
    for (const row of ["lictor", "grpc-js", "grpc-go"].map((name): Row => findRow(stage.rows, name))) {
      if (row.missing !== undefined) {
        stage.lose(`endpoints ${row.name}`, row.missing);
        continue;
      }
      stage.note(`endpoints: ${row.name}`);
      const entrants: Entrant[] = [];
      for (const count of counts) {
        const caller = keep(await startOn(stage, "client", row.client(targets.slice(0, count))));
        entrants.push({ row: String(count), caller });
      }
      const onLost = (count: string, reason: string) => stage.lose(`endpoints ${row.name} ${count}`, oneLine(reason));
      // Every endpoint several times, so that every connection is open.
      const warmUp = { ...command, inFlight: 64, calls: 20_000, limitMs: 2 * warmUpMs };
      const samples = await alternate(entrants, { rounds, warmUp, command, onLost });
      results[row.name] = Object.fromEntries([...samples].map(([count, { cpuUs }]) => [count, cpuUs]));
      for (const { caller } of entrants) caller.stop();
    }
    return results;
  });
}

/** Runs with the shared server open on so many ports, and ends it and whatever was kept. */
async function withServer<T>(
  stage: Stage,
  ports: number,
  use: (targets: readonly string[], keep: (program: Program) => Program) => Promise<T>,
): Promise<T> {
  const server = await startOn(stage, "server", sharedServer(stage.rows).server(ports));
  const kept = [server];
  try {
    return await use(targetsOf(server), (program) => {
      kept.push(program);
      return program;
    });
  } finally {
    for (const program of kept) program.stop();
  }
}
