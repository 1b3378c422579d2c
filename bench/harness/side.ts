// One side of the comparison with its programs running: all clients over one server, or all servers under one load generator.

import { projectFolder } from "../../test/tools/runtimes.ts";
import type { Cores, Side } from "./cores.ts";
import type { Entrant } from "./measure.ts";
import { type Invocation, Program } from "./program.ts";
import { isFloor, loadGenerator, type Row, sharedServer, type Talent } from "./rows.ts";

/** What the parts of a run share. */
export interface Stage {
  /** All that there are, those that cannot run here included. */
  readonly rows: readonly Row[];
  readonly cores: Cores;
  /** Told of what is under way. */
  note(text: string): void;
  /** Told of every figure that could not be taken, and why. */
  lose(what: string, reason: string): void;
}

/** The programs of one side. Close it: it ends them. */
export interface OpenSide extends AsyncDisposable {
  readonly entrants: readonly Entrant[];
  /** What is on the other side of all rows, and what that can do. */
  readonly peer: string;
  readonly talents: readonly Talent[];
}

/** Addresses of one server program. */
export function targetsOf(server: Program): readonly string[] {
  return server.ports.map((port) => `127.0.0.1:${port}`);
}

/** Starts a program on the core of its side. */
export function startOn(stage: Stage, side: Side, invocation: Invocation): Promise<Program> {
  return Program.start(invocation, stage.cores?.[side]);
}

/** Starts the rows' programs, each with `connections` connections; a row that cannot be started is left out. */
export async function openSide(stage: Stage, side: Side, rows: readonly Row[], connections: number): Promise<OpenSide> {
  const programs: Program[] = [];
  const start = async (where: Side, invocation: Invocation) => {
    const program = await startOn(stage, where, invocation);
    programs.push(program);
    return program;
  };
  const peer = side === "client" ? sharedServer(stage.rows) : loadGenerator(stage.rows);
  const startAll = async () => {
    const shared = side === "client" ? await start("server", sharedServer(stage.rows).server(connections)) : undefined;
    const open = async (row: Row): Promise<Entrant> => {
      if (row.missing !== undefined) throw new Error(row.missing);
      if (shared !== undefined && !isFloor(row)) {
        return { row: row.name, caller: await start("client", row.client(targetsOf(shared))) };
      }
      const server = await start("server", row.server(connections));
      const caller = isFloor(row) ? row : loadGenerator(stage.rows);
      const program = await start("client", caller.client(targetsOf(server)));
      return { row: row.name, caller: program, server: side === "server" ? server : undefined };
    };
    return Promise.allSettled(rows.map(open));
  };
  const stop = () => {
    for (const program of programs) program.stop();
  };
  try {
    const outcomes = await startAll();
    const entrants = outcomes.flatMap((outcome, index) => {
      if (outcome.status === "fulfilled") return [outcome.value];
      stage.lose(`${side} ${rows[index]?.name}`, oneLine(outcome.reason));
      return [];
    });
    const { name, talents } = peer;
    return {
      entrants,
      peer: name,
      talents,
      async [Symbol.asyncDispose]() {
        stop();
      },
    };
  } catch (error) {
    stop();
    throw error;
  }
}

/** A reason without line ends and without this machine's folders. */
export function oneLine(reason: unknown): string {
  const text = reason instanceof Error ? reason.message : String(reason);
  return text.replaceAll(projectFolder, "").replace(/\s+/g, " ").trim();
}
