// Refuses a Connect GET whose message cannot be read, which Connect's own handler answers with `internal`. Decodes nothing for it.

import { base64Decode } from "@bufbuild/protobuf/wire";
import type { UniversalServerRequest, UniversalServerResponse } from "@connectrpc/connect/protocol";
import { connectErrorResponse } from "./plain-response.ts";

/** 400 `invalid_argument` for a GET whose `message` is not in the base64 it claims to be; undefined for every other one. */
export function refuseBadGet(request: UniversalServerRequest): UniversalServerResponse | undefined {
  // https://connectrpc.com/docs/protocol#unary-get-request
  const query = new URL(request.url).searchParams;
  if (query.get("base64") !== "1") return undefined;
  try {
    base64Decode(query.get("message") ?? "");
    return undefined;
  } catch {
    return connectErrorResponse(400, "invalid_argument", 'the query\'s "message" is no base64');
  }
}
