// Files that flags name.

import { readFileSync } from "node:fs";
import { UsageError } from "./command-line.ts";

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
