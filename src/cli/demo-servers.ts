// The demo's servers: this same program, run a second time as a process of its own. Ends it by closing its stdin, so that it
// also ends, and deregisters, when the demo dies without a word.

import { type ChildProcessByStdio, spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { type Clock, systemClock } from "../core/clock.ts";
import type { Environment } from "./command-line.ts";

/** What the servers are told. */
export interface DemoServersOptions {
  /** Flags of `lictor serve`. */
  readonly args: readonly string[];
  readonly env: Environment;
  /** Takes each line of the servers' log. */
  readonly onLog: (line: string) => void;
  readonly clock?: Clock;
}

/** Servers in a process of their own. */
export interface DemoServers {
  /** Resolves when the first server serves; rejects when the process ends before. */
  readonly ready: Promise<void>;
  /** Resolves when the process has ended, for whatever reason, with words for how: `exit code 0`. */
  readonly ended: Promise<string>;
  /** Stops the servers gracefully and waits for the process to end; true when it ended cleanly. After 30 s it is killed. Idempotent: returns the same promise. */
  close(): Promise<boolean>;
}

/** The hidden command under which main.ts runs the servers. */
export const demoServersCommand = "demo-servers";

const closeWithinMs = 30_000;

/** Starts the servers. */
export function startDemoServers(options: DemoServersOptions): DemoServers {
  const { clock = systemClock, onLog } = options;
  const [command, ...args] = [...thisProgram(), demoServersCommand, ...options.args];
  const child: ChildProcessByStdio<Writable, Readable, Readable> = spawn(command, args, {
    stdio: ["pipe", "pipe", "pipe"],
    env: options.env,
  });
  // Writing to a process that is gone is no error worth an end: its exit tells.
  child.stdin.on("error", () => {});
  const lines: string[] = [];
  createInterface({ input: child.stderr }).on("line", (line) => {
    lines.push(line);
    onLog(line);
  });
  let clean = false;
  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (code, signal) => {
      clean = code === 0;
      resolve(signal === null ? `exit code ${code}` : `killed by ${signal}`);
    });
  });
  const ready = new Promise<void>((resolve, reject) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      if (line.startsWith("ready ")) resolve();
    });
    ended.then((how) => reject(new Error(lines.at(-1) ?? `the servers ended before they served: ${how}`)));
  });
  ready.catch(() => {});

  let closing: Promise<boolean> | undefined;
  const end = async () => {
    child.stdin.end();
    const cancel = clock.schedule(closeWithinMs, () => child.kill("SIGKILL"));
    await ended;
    cancel();
    return clean;
  };
  return {
    ready,
    ended,
    close() {
      closing ??= end();
      return closing;
    },
  };
}

/** Command and first arguments that run this program once more, on this runtime. */
function thisProgram(): [string, ...string[]] {
  const entry = process.argv[1] ?? "";
  // A compiled binary is its own entry: Bun shows it as a file of a virtual disk.
  if (entry.startsWith("/$bunfs/") || /^[A-Z]:[\\/]~BUN[\\/]/.test(entry)) return [process.execPath];
  if ("deno" in process.versions) return [process.execPath, "run", "-A", entry];
  return [process.execPath, ...process.execArgv, entry];
}
