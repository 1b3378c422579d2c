// What is served: RPCs, /healthz, and the fallback for everything else. Knows no sockets and no HTTP version.

import type { UniversalHandlerFn, UniversalServerRequest, UniversalServerResponse } from "@connectrpc/connect/protocol";
import type { Logger } from "../core/logger.ts";
import type { HealthReporter } from "./health-status.ts";
import { respondWith, textResponse } from "./plain-response.ts";
import type { RpcRoutes } from "./rpc-routes.ts";
import { unimplementedResponse } from "./unimplemented.ts";

/** Path that answers with the server's health, whatever the method: 200 `SERVING`, or 503 `NOT_SERVING`. */
const healthPath = "/healthz";

/** What the handler is made of. */
export interface RequestHandlerOptions {
  readonly rpc: RpcRoutes;
  readonly health: HealthReporter;
  /** Answers requests that are neither RPCs nor for `/healthz`. Default: 404. */
  readonly fallback: ((request: Request) => Response | Promise<Response>) | undefined;
  readonly logger: Logger;
}

/** Creates the handler of all requests. It never rejects: what fails is logged and answered with 500. */
export function createRequestHandler({ rpc, health, fallback, logger }: RequestHandlerOptions): UniversalHandlerFn {
  const answer = (
    request: UniversalServerRequest,
    path: string,
  ): UniversalServerResponse | Promise<UniversalServerResponse> => {
    const handler = rpc.handlers.get(path);
    if (handler !== undefined) return handler(request);
    if (path === healthPath) {
      return health.status("") === "SERVING" ? textResponse(200, "SERVING") : textResponse(503, "NOT_SERVING");
    }
    const unimplemented = unimplementedResponse(request, path);
    if (unimplemented !== undefined) return unimplemented;
    return fallback === undefined ? textResponse(404, "Not Found") : respondWith(fallback, request);
  };

  return async (request) => {
    const path = new URL(request.url).pathname;
    try {
      return await answer(request, path);
    } catch (error) {
      if (!request.signal.aborted) logger.error("Request failed", { method: request.method, path, error });
      return textResponse(500, "Internal Server Error");
    }
  };
}
