// The chaos suite's ledgers: text files to which clients and handlers append a line for everything that happens, and which the
// judge reads. Any program in any language can keep one. Judges nothing.
//
// A server's, written before the handler does anything:
//   run ID METHOD SERVER PID AT
// A client's, written as the call is made and as it ends:
//   sent ID METHOD AT
//   done ID OUTCOME FATE TOOK SERVER TEXT
//
// AT is Unix time in milliseconds, TOOK milliseconds. OUTCOME is "ok", "wrong" (an answer that is not the call's) or the name of a gRPC
// code, FATE is callFate's word, SERVER who answered; each "-" where there is none. TEXT is a JSON string: the error's message.

import { openSync, readFileSync, writeSync } from "node:fs";

/** Methods of ChaosService. */
export const chaosMethods = ["plain", "idempotent", "safe", "down", "up", "both"] as const;

/** A method of ChaosService. */
export type ChaosMethod = (typeof chaosMethods)[number];

/** Methods of which the proto says that they may run twice. */
export const repeatableMethods: readonly string[] = ["idempotent", "safe"];

/** A handler that ran. */
export interface Run {
  readonly id: string;
  readonly method: string;
  readonly server: string;
  readonly pid: number;
  readonly atMs: number;
}

/** A call, as its client saw it. */
export interface SentCall {
  readonly id: string;
  readonly method: string;
  readonly sentMs: number;
  /** Undefined: it never ended. */
  readonly done: CallEnd | undefined;
}

/** How a call ended. */
export interface CallEnd {
  readonly outcome: string;
  readonly fate: string;
  readonly tookMs: number;
  readonly server: string;
  readonly text: string;
}

/** Appends to a ledger; every line is in the file when `write` returns, so that a process that is killed leaves none behind. */
export function openLedger(path: string): { write(line: string): void } {
  const file = openSync(path, "a");
  return {
    write(line) {
      writeSync(file, `${line}\n`);
    },
  };
}

/** Reads a server's ledger. Throws Error on a line that is none. */
export function readRuns(path: string): Run[] {
  return linesOf(path).map((line) => {
    const [kind, id = "", method = "", server = "", pid, atMs] = line.split(" ");
    if (kind !== "run" || atMs === undefined) throw new Error(`Cannot read the ledger ${path}: "${line}"`);
    return { id, method, server, pid: Number(pid), atMs: Number(atMs) };
  });
}

/** Reads a client's ledger. Throws Error on a line that is none. */
export function readCalls(path: string): SentCall[] {
  const calls = new Map<string, SentCall>();
  for (const line of linesOf(path)) {
    const [kind, id = "", ...rest] = line.split(" ");
    if (kind === "sent" && rest.length === 2) {
      const [method = "", atMs] = rest;
      calls.set(id, { id, method, sentMs: Number(atMs), done: undefined });
      continue;
    }
    const call = calls.get(id);
    if (kind !== "done" || rest.length < 5 || call === undefined || call.done !== undefined) {
      throw new Error(`Cannot read the ledger ${path}: "${line}"`);
    }
    const [outcome = "", fate = "", tookMs, server = "", ...text] = rest;
    const done = { outcome, fate, tookMs: Number(tookMs), server, text: JSON.parse(text.join(" ")) };
    calls.set(id, { ...call, done });
  }
  return [...calls.values()];
}

/** Whole lines; what a killed process began to write is none. A file that is not there has none. */
function linesOf(path: string): string[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
  return text.split("\n").slice(0, -1);
}
