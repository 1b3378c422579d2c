// Logs that something fails once, not per attempt, and that it works again. Decides nothing.

import { ConsulError } from "../consul/consul-error.ts";
import type { LogFields, Logger } from "../core/logger.ts";

/** One kind of trouble. */
export interface TroubleLog {
  /** An attempt failed: logged when the last one did not, or failed in another way. */
  failed(error: unknown): void;
  /** An attempt succeeded: logged when the last one failed. */
  worked(): void;
}

/** Creates a log of one kind of trouble, told in these words. */
export function createTroubleLog(
  logger: Logger,
  words: { readonly failed: string; readonly worked: string },
  fields: LogFields,
): TroubleLog {
  let trouble: string | undefined;
  return {
    failed(error) {
      const kind = error instanceof ConsulError ? `${error.code} ${error.status ?? ""}` : "other";
      if (kind === trouble) return;
      trouble = kind;
      logger.warn(words.failed, { ...fields, error });
    },
    worked() {
      if (trouble === undefined) return;
      trouble = undefined;
      logger.info(words.worked, fields);
    },
  };
}
