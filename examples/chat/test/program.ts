// Starts a script of this example on the runtime that runs the test, and reads the lines that it prints.

import { spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { watched } from "./watched.ts";

/** A script that was started. */
export interface Program {
  readonly lines: readonly string[];
  readonly exitCode: Promise<number | null>;
  /** Resolves when the condition holds; rejects where the program ends before. */
  until(condition: () => boolean): Promise<void>;
  /** Types this and ends its input. */
  type(text: string): void;
  terminate(): void;
  /** Ends it at once, where it has not ended. Resolves when it is gone. */
  kill(): Promise<void>;
}

/** Starts it. Whoever does kills it. */
export function run(script: string, args: string[], env: Record<string, string>): Program {
  const runArguments = "deno" in process.versions ? ["run", "-A", "--no-check"] : [];
  const path = fileURLToPath(new URL(`../${script}`, import.meta.url));
  const child = spawn(process.execPath, [...runArguments, path, ...args], {
    env: { ...process.env, ...env },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines: string[] = [];
  const { changed, until } = watched();
  let ended = false;
  const exitCode = new Promise<number | null>((resolve) => child.once("close", resolve));
  void exitCode.then(() => {
    ended = true;
    changed();
  });
  createInterface(child.stdout).on("line", (line) => {
    lines.push(line);
    changed();
  });
  return {
    lines,
    exitCode,
    until: (condition) =>
      until(() => {
        if (condition()) return true;
        if (ended) throw new Error(`${script} ended and had printed ${JSON.stringify(lines)}`);
        return false;
      }),
    type: (text) => child.stdin.end(text),
    // Not child.kill(): Deno would count a process that catches the signal and ends well as killed by it.
    terminate: () => void process.kill(Number(child.pid), "SIGTERM"),
    async kill() {
      if (!ended) child.kill("SIGKILL");
      await exitCode;
    },
  };
}
