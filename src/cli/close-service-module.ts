// Closes what a module of `lictor serve MODULE` opened, and does not wait for ever. Ends no process.

import { type Clock, systemClock } from "../core/clock.ts";
import type { Logger } from "../core/logger.ts";
import type { ServiceModule } from "../server/service-module.ts";

/** How long to wait, and who is told. */
export interface CloseServiceModuleOptions {
  /** Milliseconds that the module gets. */
  readonly limitMs: number;
  readonly logger: Logger;
  readonly clock?: Clock;
}

/**
 * Calls the module's `close()`. Resolves with whether it has finished: false, with a warning, after `limitMs`. Keeps the process
 * alive until then, whatever else is open. Rejects with what `close()` throws.
 */
export async function closeServiceModule(
  module: Pick<ServiceModule, "close">,
  { limitMs, logger, clock = systemClock }: CloseServiceModuleOptions,
): Promise<boolean> {
  if (module.close === undefined) return true;
  const late = Promise.withResolvers<false>();
  const cancel = clock.schedule(limitMs, () => {
    logger.warn("the module's close() has not finished, and is not waited for any longer", { limitMs });
    late.resolve(false);
  });
  try {
    return await Promise.race([Promise.resolve(module.close()).then(() => true), late.promise]);
  } finally {
    cancel();
  }
}
