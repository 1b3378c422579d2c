// Log lines on stderr, as text for people or as JSON for machines. Prints no token: fields named like one are blanked.

import process from "node:process";
import type { LogFields, Logger } from "../core/logger.ts";
import { type Environment, UsageError } from "./command-line.ts";
import { type Flag, flag } from "./flags.ts";
import { oneLine } from "./one-line.ts";
import { createTerminal } from "./terminal.ts";

/** Least severity that is printed; `silent` prints nothing. */
export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";

/** How log lines look. */
export type LogFormat = "text" | "json";

/** What is printed, how, and where. */
export interface StderrLoggerOptions {
  readonly level: LogLevel;
  readonly format: LogFormat;
  /** NO_COLOR and TERM decide about colours. Default: none set. */
  readonly env?: Environment;
  /** Takes one line without its line break. Default: a line on stderr. */
  readonly write?: (line: string) => void;
  /** Time of a line. Default: the wall clock, which core's Clock is not. */
  readonly now?: () => Date;
}

const severities = ["debug", "info", "warn", "error", "silent"] as const;

/** The flags `--log` and `--log-format`, alike for every command that logs. */
export function logFlags(defaultLevel: LogLevel): { log: Flag<LogLevel>; "log-format": Flag<LogFormat> } {
  return {
    log: flag.choice({
      of: severities,
      default: defaultLevel,
      env: "LOG_LEVEL",
      help: "Least severity of the log lines on stderr.",
    }),
    "log-format": flag.choice({ of: ["text", "json"], default: "text", help: "Log lines for people or for machines." }),
  };
}

/** Creates a logger. Its methods never throw, whatever the fields hold. */
export function createStderrLogger(options: StderrLoggerOptions): Logger {
  const { level, format, env = {}, now = () => new Date() } = options;
  const terminal = createTerminal(process.stderr, env);
  const write = options.write ?? ((line) => terminal.line(line));
  const least = severities.indexOf(level);
  if (least < 0) throw new UsageError(`unknown log level ${JSON.stringify(level)}`);
  const styles = { debug: "dim", info: "green", warn: "yellow", error: "red" } as const;

  const log = (severity: "debug" | "info" | "warn" | "error") => (message: string, fields?: LogFields) => {
    if (severities.indexOf(severity) < least) return;
    const time = now().toISOString();
    const plain = plainFields(fields);
    if (format === "json") {
      write(JSON.stringify({ time, level: severity, message, ...plain }));
      return;
    }
    const tail = Object.entries(plain).map(([key, value]) => ` ${key}=${fieldText(value)}`);
    const word =
      options.write === undefined ? terminal.style(styles[severity], severity.padEnd(5)) : severity.padEnd(5);
    write(`${time} ${word} ${oneLine(message)}${tail.join("")}`);
  };
  return { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") };
}

/** Fields as data that JSON can hold, without what no log may hold. */
function plainFields(fields: LogFields = {}): Record<string, unknown> {
  const plain: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    // A field never replaces the line's own.
    const name = key === "time" || key === "level" || key === "message" ? `${key}_` : key;
    plain[name] = /token|secret|password|authorization/i.test(key) ? "[not shown]" : plainValue(value);
  }
  return plain;
}

function plainValue(value: unknown): unknown {
  if (value instanceof Error) return errorText(value);
  // Thousandths are enough of anything, milliseconds first of all.
  if (typeof value === "number" && !Number.isInteger(value)) return Number(value.toFixed(3));
  if (typeof value === "bigint" || typeof value === "symbol" || typeof value === "function") return String(value);
  try {
    // Through JSON and back: what cannot be printed shows here, not in the middle of a line.
    return typeof value === "object" && value !== null ? JSON.parse(JSON.stringify(value)) : value;
  } catch (error) {
    return `[cannot be printed: ${errorText(error)}]`;
  }
}

/** Messages of an error and of what caused it, outermost first. Stacks stay out: a log line is a line. */
function errorText(error: unknown): string {
  const messages: string[] = [];
  for (let cause = error; cause !== undefined && messages.length < 5; ) {
    const message = cause instanceof Error ? cause.message || cause.name : String(cause);
    if (!messages.at(-1)?.includes(message)) messages.push(message);
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return messages.join(": ");
}

function fieldText(value: unknown): string {
  if (typeof value !== "string") return oneLine(JSON.stringify(value) ?? String(value));
  const text = oneLine(value);
  return text === "" || /[\s"=]/.test(text) ? JSON.stringify(text) : text;
}
