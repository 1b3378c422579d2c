// An interceptor that tells the logger what clients are not told: errors in handlers that are no ConnectError.
// Changes nothing about the call: Connect answers them with `internal` and no text of theirs.

import { ConnectError, type Interceptor } from "@connectrpc/connect";
import type { Logger } from "../core/logger.ts";

/** Creates the interceptor; it belongs outside of all others, so that their errors are seen too. */
export function logHandlerErrors(logger: Logger): Interceptor {
  return (next) => async (request) => {
    const report = (error: unknown): void => {
      // What a handler throws after its caller has gone is mostly the abort itself.
      if (error instanceof ConnectError || request.signal.aborted) return;
      logger.error("Handler failed", { service: request.service.typeName, method: request.method.name, error });
    };
    try {
      const response = await next(request);
      return response.stream ? { ...response, message: reporting(response.message, report) } : response;
    } catch (error) {
      report(error);
      throw error;
    }
  };
}

async function* reporting<T>(messages: AsyncIterable<T>, report: (error: unknown) => void): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (error) {
    report(error);
    throw error;
  }
}
