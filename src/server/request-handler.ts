// What is served: RPCs, /healthz, and the fallback for everything else. Knows no sockets and no HTTP version.

import type {
  UniversalHandler,
  UniversalHandlerFn,
  UniversalServerRequest,
  UniversalServerResponse,
} from "@connectrpc/connect/protocol";
import type { Logger } from "../core/logger.ts";
import { refuseBadGet } from "./bad-get.ts";
import { clampDeadline } from "./clamp-deadline.ts";
import { announcesRpc, createCors, isPreflight } from "./cors.ts";
import type { CorsPolicy } from "./cors-options.ts";
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
  /**
   * Which pages may read what the server itself answers: RPCs, `/healthz` and every refusal, so that a page can tell them
   * apart. What the fallback answers is the user's own, as are its methods and headers: none of it is touched, and it gets
   * the preflights of paths that are not ours. Absent: no page, and preflights are requests like any other.
   */
  readonly cors: CorsPolicy | undefined;
  readonly logger: Logger;
}

/** Creates the handler of all requests. It never rejects: what fails is logged and answered with 500. */
export function createRequestHandler(options: RequestHandlerOptions): UniversalHandlerFn {
  const { rpc, health, fallback, logger } = options;
  const cors = options.cors === undefined ? undefined : createCors(options.cors);

  /** The server's own answer; undefined where it is the fallback's to give. */
  const answer = (
    request: UniversalServerRequest,
    path: string,
  ): UniversalServerResponse | Promise<UniversalServerResponse> | undefined => {
    const handler = rpc.handlers.get(path);
    const ours = handler !== undefined || path === healthPath;
    if (cors !== undefined && isPreflight(request) && (ours || fallback === undefined || announcesRpc(request))) {
      return cors.preflight(request);
    }
    if (handler !== undefined) {
      clampDeadline(request.header);
      return answerRpc(handler, request);
    }
    if (path === healthPath) {
      return health.status("") === "SERVING" ? textResponse(200, "SERVING") : textResponse(503, "NOT_SERVING");
    }
    return (
      unimplementedResponse(request, path) ?? (fallback === undefined ? textResponse(404, "Not Found") : undefined)
    );
  };

  return async (request) => {
    const path = new URL(request.url).pathname;
    let own: UniversalServerResponse | undefined;
    try {
      own = await answer(request, path);
      if (own === undefined && fallback !== undefined) return await respondWith(fallback, request);
    } catch (error) {
      if (!request.signal.aborted) logger.error("Request failed", { method: request.method, path, error });
    }
    own ??= textResponse(500, "Internal Server Error");
    return cors === undefined || isPreflight(request) ? own : cors.permit(request, own);
  };
}

async function answerRpc(handler: UniversalHandler, request: UniversalServerRequest): Promise<UniversalServerResponse> {
  const isGet = request.method === "GET";
  const answer = (isGet ? refuseBadGet(request) : undefined) ?? (await handler(request));
  if (answer.status === 200 && !isGet) return answer;
  const header = answer.header ?? new Headers();
  switch (answer.status) {
    case 405:
      // RFC 9110 section 15.5.6: it must say what is allowed.
      header.set("allow", handler.allowedMethods.join(", "));
      return explain(answer, header, "Method Not Allowed");
    case 415:
      return explain(answer, header, "Unsupported Media Type");
    case 505:
      return explain(answer, header, "This method streams both ways, which takes HTTP/2");
    default:
      if (!isGet) return answer;
      // It may be compressed, as the request's headers had it (RFC 9110 section 12.5.5).
      header.append("vary", "Accept-Encoding");
      return { ...answer, header };
  }
}

/** Gives words to a refusal that came without, for those who look at it with curl. */
function explain(answer: UniversalServerResponse, header: Headers, text: string): UniversalServerResponse {
  if (answer.body !== undefined) return answer;
  const { body, header: described } = textResponse(answer.status, text);
  described?.forEach((value, name) => {
    header.set(name, value);
  });
  return { ...answer, header, ...(body !== undefined && { body }) };
}
