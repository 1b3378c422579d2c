// Mistakes that the SDK finds in what a command was told, as mistakes of the command line.

import { readFileSync } from "node:fs";
import { UsageError } from "./command-line.ts";

/** Runs a function of the SDK; a TypeError or RangeError, which there mean a bad option, becomes a UsageError. */
export function refuseBadSettings<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError)
      throw new UsageError(error.message, { cause: error });
    throw error;
  }
}

/** Reads a file that a flag names. Throws UsageError where it cannot be read. */
export function readNamedFile(flagName: string, file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new UsageError(
      `${flagName} must name a file that can be read: ${error instanceof Error ? error.message : error}`,
    );
  }
}
