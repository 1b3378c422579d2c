// What connections and streams take while they only wait: heap and resident memory of the measured process after a collection,
// with so many of them and without, divided. Programs are new for each row, so that no other phase has left anything behind.

import type { Usage } from "../programs/commands.ts";
import type { Side } from "./cores.ts";
import { median } from "./measure.ts";
import type { Program } from "./program.ts";
import type { Footprint, OpenStreams } from "./results.ts";
import { findRow, loadGenerator, type Row, sharedServer } from "./rows.ts";
import { oneLine, type Stage, startOn, targetsOf } from "./side.ts";

const rowNames = ["lictor", "grpc-js", "connect-node", "grpc-go", "tonic"];
const idleConnections = 1000;
/** 100 streams on each connection: as many as RFC 9113 section 6.5.2 asks every peer to allow. */
const streams = 10_000;
const streamConnections = 100;

/** Bytes for each idle connection, medians over the rounds. */
export async function runIdleConnections(stage: Stage, side: Side, rounds: number): Promise<Record<string, Footprint>> {
  return overRows(stage, side, rounds, "idle connections", async (row) => {
    // As many servers as connections where clients are measured: each balances over what it is given.
    await using pair = await openPair(stage, side, row, 3, side === "client" ? idleConnections : 3);
    const { caller, measured, targets } = pair;
    await caller.run({ do: "unary", inFlight: 3, calls: 3000, limitMs: 2000 });
    const before = await measured.usage(true);
    const others = Array.from({ length: idleConnections }, (_, index) => targets[index % targets.length] as string);
    await caller.tell({ do: "connect", targets: others });
    return difference(before, await measured.usage(true), idleConnections);
  }).then((byRow) => mapRows(byRow, medianFootprint));
}

/** 10,000 streams at once over 100 connections: whether they open, how soon, and what each takes. */
export async function runOpenStreams(stage: Stage, side: Side, rounds: number): Promise<Record<string, OpenStreams>> {
  const found = await overRows(stage, side, rounds, "open streams", async (row): Promise<OpenStreams> => {
    await using pair = await openPair(stage, side, row, streamConnections, streamConnections);
    const { caller, measured } = pair;
    await caller.run({ do: "unary", inFlight: 64, calls: 5000, limitMs: 3000 });
    const before = await measured.usage(true);
    const phase = await caller.run({ do: "hold", streams, inFlight: 256, limitMs: 30_000 });
    if (phase.failures > 0 || phase.calls < streams) {
      throw new Error(`${phase.calls - phase.failures} of ${streams} streams opened: ${phase.error ?? "no time left"}`);
    }
    const footprint = difference(before, await measured.usage(true), streams);
    await caller.tell({ do: "release" });
    return { ...footprint, streams, connections: streamConnections, wallMs: phase.wallMs };
  });
  return mapRows(found, (list) => ({
    ...medianFootprint(list),
    streams,
    connections: streamConnections,
    wallMs: median(list.map(({ wallMs }) => wallMs)),
  }));
}

interface OpenPair extends AsyncDisposable {
  readonly caller: Program;
  readonly measured: Program;
  readonly targets: readonly string[];
}

/** A client and a server, of which one is the row's; `connections` of the ports are called from the start. */
async function openPair(stage: Stage, side: Side, row: Row, connections: number, ports: number): Promise<OpenPair> {
  const isClient = side === "client";
  const server = await startOn(stage, "server", (isClient ? sharedServer(stage.rows) : row).server(ports));
  try {
    const targets = targetsOf(server);
    const client = isClient ? row : loadGenerator(stage.rows);
    const caller = await startOn(stage, "client", client.client(targets.slice(0, connections)));
    return {
      caller,
      measured: isClient ? caller : server,
      targets,
      async [Symbol.asyncDispose]() {
        caller.stop();
        server.stop();
      },
    };
  } catch (error) {
    server.stop();
    throw error;
  }
}

/** Row after row, round after round; a row that fails once is left out. */
async function overRows<T>(
  stage: Stage,
  side: Side,
  rounds: number,
  what: string,
  take: (row: Row) => Promise<T>,
): Promise<Record<string, T[]>> {
  const found: Record<string, T[]> = {};
  const peer = side === "client" ? sharedServer(stage.rows) : loadGenerator(stage.rows);
  if (!peer.talents.includes("streams")) {
    stage.lose(`${side} ${what}`, `${peer.name} cannot: npm run bench:setup builds what can`);
    return found;
  }
  for (const row of rowNames.map((name) => findRow(stage.rows, name))) {
    try {
      if (row.missing !== undefined) throw new Error(row.missing);
      stage.note(`${what}, ${side}: ${row.name}`);
      const list: T[] = [];
      while (list.length < rounds) list.push(await take(row));
      found[row.name] = list;
    } catch (error) {
      stage.lose(`${side} ${row.name} ${what}`, oneLine(error));
    }
  }
  return found;
}

function difference(before: Usage, after: Usage, count: number): Footprint {
  const each = (name: "heapBytes" | "rssBytes") => {
    const [from, to] = [before[name], after[name]];
    return from === null || to === null ? null : Math.round((to - from) / count);
  };
  return { heapBytes: each("heapBytes"), rssBytes: each("rssBytes") };
}

function medianFootprint(list: readonly Footprint[]): Footprint {
  const of = (name: keyof Footprint) => {
    const values = list.map((one) => one[name]).filter((value) => value !== null);
    return values.length === 0 ? null : Math.round(median(values));
  };
  return { heapBytes: of("heapBytes"), rssBytes: of("rssBytes") };
}

function mapRows<T, U>(byRow: Readonly<Record<string, T>>, change: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(byRow).map(([row, value]) => [row, change(value)]));
}
