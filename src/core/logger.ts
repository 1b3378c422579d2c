// Logging as a value: silent unless the user gives a logger. State changes with fields, never calls, never payloads, never tokens.

/** What a log line carries beside its message. Values are plain data; an `error` field may hold any thrown value. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Where log lines go. Each method returns at once and never throws. `console` satisfies it. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

const ignore = () => {};

/** Drops everything: the default everywhere. */
export const silentLogger: Logger = { debug: ignore, info: ignore, warn: ignore, error: ignore };
