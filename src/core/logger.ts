// Logging as a value: silent unless the user gives a logger. State changes with fields, never calls, never payloads, never tokens.

/** What a log line carries beside its message. Values are plain data; an `error` field may hold any thrown value. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Where log lines go. Each method returns at once and never throws. `console` satisfies it. */
export interface Logger {
  /** What helps to find a fault. */
  debug(message: string, fields?: LogFields): void;
  /** A change of state, as it should be. */
  info(message: string, fields?: LogFields): void;
  /** Trouble that lictor goes on with by itself. */
  warn(message: string, fields?: LogFields): void;
  /** Trouble that somebody must look at. */
  error(message: string, fields?: LogFields): void;
}

const ignore = () => {};

/** Drops everything: the default everywhere. */
export const silentLogger: Logger = { debug: ignore, info: ignore, warn: ignore, error: ignore };
