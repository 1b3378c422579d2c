// A logger that keeps its lines, for tests that say what is logged and how often.

import type { LogFields, Logger } from "../../src/core/logger.ts";

/** One line. */
export interface LogLine {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly message: string;
  readonly fields: LogFields;
}

/** A logger and what it was told. */
export interface RecordingLogger extends Logger {
  readonly lines: readonly LogLine[];
  /** Number of lines whose message holds `text`. */
  count(text: string): number;
}

/** Creates a logger that keeps everything. */
export function createRecordingLogger(): RecordingLogger {
  const lines: LogLine[] = [];
  const at =
    (level: LogLine["level"]) =>
    (message: string, fields: LogFields = {}): void => {
      lines.push({ level, message, fields });
    };
  return {
    lines,
    count: (text) => lines.filter(({ message }) => message.includes(text)).length,
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
  };
}
