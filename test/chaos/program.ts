// What the programs of the chaos suite have in common: log lines with a time, orders on stdin, numbers in arguments.

import process from "node:process";
import { createInterface } from "node:readline";
import type { LogFields, Logger } from "../../src/core/logger.ts";

/** Logs to stderr, each line with the Unix time in milliseconds before it, so that the runner can put those of several processes in order. */
export function createProgramLogger(): Logger {
  const line = (level: string) => (message: string, fields?: LogFields) => {
    const told = Object.entries(fields ?? {}).map(([name, value]) => ` ${name}=${describe(value)}`);
    process.stderr.write(`${Date.now()} ${level} ${message}${told.join("")}\n`);
  };
  const debug = process.env.CHAOS_LOG === "debug" ? line("debug") : () => {};
  return { debug, info: line("info"), warn: line("warn"), error: line("error") };
}

/** Calls `onOrder` for each line of stdin, and ends the process where the runner is gone. */
export function takeOrders(onOrder: (words: readonly string[]) => void): void {
  const input = createInterface({ input: process.stdin });
  input.on("line", (line) => onOrder(line.trim().split(" ")));
  // Whoever started this is dead: nobody would ever end it.
  input.on("close", () => process.exit(3));
}

/** A number in an argument. Throws RangeError on anything else. */
export function numberOf(text: string, name: string): number {
  const value = Number(text);
  if (text === "" || !Number.isFinite(value) || value < 0) throw new RangeError(`--${name} must be a number: ${text}`);
  return value;
}

function describe(value: unknown): string {
  if (value instanceof Error) {
    const cause = value.cause === undefined ? "" : ` <- ${describe(value.cause)}`;
    return JSON.stringify(value.message) + cause;
  }
  return JSON.stringify(value) ?? String(value);
}
