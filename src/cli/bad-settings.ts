// Turns the SDK's errors about options into errors of the command line.

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
