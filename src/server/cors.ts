// What lets pages of other origins call the server and read its answers: https://fetch.spec.whatwg.org/#http-cors-protocol
// Keeps nobody out: it only tells browsers which pages they may let through.

import type { UniversalServerRequest, UniversalServerResponse } from "@connectrpc/connect/protocol";
import type { CorsPolicy } from "./cors-options.ts";

/** Permissions for browsers, by one policy. */
export interface Cors {
  /**
   * Answers a preflight, 204. One from an origin that is not named gets no permission, which is how the browser learns that
   * there is none.
   */
  preflight(request: UniversalServerRequest): UniversalServerResponse;
  /**
   * Lets the page that asked read this answer. One from an origin that is not named is sent as it is, and its browser keeps it
   * from the page: refusing it would hit a page of our own origin behind a proxy, whose POSTs name an origin too, and shut
   * out nobody else, as programs name what they like.
   */
  permit(request: UniversalServerRequest, answer: UniversalServerResponse): UniversalServerResponse;
}

/** Whether a browser asks whether a page may send a request: https://fetch.spec.whatwg.org/#cors-preflight-request */
export function isPreflight({ method, header }: UniversalServerRequest): boolean {
  return method === "OPTIONS" && header.has("origin") && header.has("access-control-request-method");
}

/** Whether the request that a preflight announces says in its headers that it is an RPC, whatever its path. */
export function announcesRpc({ header }: UniversalServerRequest): boolean {
  const names = header.get("access-control-request-headers") ?? "";
  return /(?:^|,)\s*(?:connect-protocol-version|x-grpc-web)\s*(?:,|$)/i.test(names);
}

/** Creates the permissions of a policy. */
export function createCors({ origins, allowedHeaders, exposedHeaders, maxAgeSeconds, credentials }: CorsPolicy): Cors {
  /** Writes who may read; whether it is the one who asks. */
  const allow = (origin: string | null, header: Headers): boolean => {
    if (origins === "*") {
      header.set("access-control-allow-origin", "*");
      return true;
    }
    if (origin === null || !origins.has(origin)) return false;
    header.set("access-control-allow-origin", origin);
    if (credentials) header.set("access-control-allow-credentials", "true");
    return true;
  };
  return {
    preflight(request) {
      const header = new Headers({
        // Caches between keep OPTIONS seldom, but some can be told to.
        vary: "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
      });
      if (allow(request.header.get("origin"), header)) {
        header.set("access-control-allow-methods", "GET, POST");
        header.set("access-control-allow-headers", allowedHeaders);
        header.set("access-control-max-age", String(maxAgeSeconds));
      }
      return { status: 204, header };
    },
    permit(request, answer) {
      const origin = request.header.get("origin");
      // Only answers to GET and HEAD are kept by caches, and then for everybody. Programs that POST without an origin, all of
      // native gRPC that is, see nothing of this.
      if (origin === null && request.method !== "GET" && request.method !== "HEAD") return answer;
      // In place, where there is one: a stream's handler may go on setting headers until its first message.
      const header = answer.header ?? new Headers();
      // https://fetch.spec.whatwg.org/#cors-protocol-and-http-caches
      if (origins !== "*") header.append("vary", "Origin");
      if (allow(origin, header)) header.set("access-control-expose-headers", exposedHeaders);
      return { ...answer, header };
    },
  };
}
