// Answers calls of methods that nobody routed, each in its own protocol. Reads headers only.

import type { UniversalServerRequest, UniversalServerResponse } from "@connectrpc/connect/protocol";
import { connectErrorResponse } from "./plain-response.ts";

/**
 * The answer to an RPC of an unknown method: `unimplemented` in the protocol it came in; undefined where the request is not
 * an RPC by its headers (a plain JSON POST may be anything).
 */
export function unimplementedResponse(
  request: UniversalServerRequest,
  path: string,
): UniversalServerResponse | undefined {
  const contentType = request.header.get("content-type") ?? "";
  if (request.method === "POST" && /^application\/grpc(?:-web)?(?:-text)?(?:[+;]|$)/i.test(contentType)) {
    // Trailers-only: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses
    return {
      status: 200,
      header: new Headers({
        "content-type": contentType,
        "grpc-status": "12",
        // Percent-encoded, as all of a path but "%" is already.
        "grpc-message": unknownMethod(path).replaceAll("%", "%25"),
      }),
    };
  }
  if (!isConnect(request, contentType)) return undefined;
  // https://connectrpc.com/docs/protocol#error-codes: 404 reads as unimplemented, the body says it in words.
  return connectErrorResponse(404, "unimplemented", unknownMethod(path));
}

function isConnect(request: UniversalServerRequest, contentType: string): boolean {
  if (request.method === "GET") return new URL(request.url).searchParams.get("connect") === "v1";
  if (request.method !== "POST") return false;
  return (
    request.header.has("connect-protocol-version") || /^application\/(?:proto$|proto;|connect\+)/i.test(contentType)
  );
}

function unknownMethod(path: string): string {
  return `unknown method ${path}`;
}
