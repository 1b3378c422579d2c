// Refuses a Connect GET whose message cannot be read, which Connect's own handler answers with `internal`. Decodes nothing for it.

import { base64Decode } from "@bufbuild/protobuf/wire";
import type { UniversalServerRequest, UniversalServerResponse } from "@connectrpc/connect/protocol";
import { textResponse } from "./plain-response.ts";

/** 400 `invalid_argument` for a GET whose `message` is not in the base64 it claims to be; undefined for every other request. */
export function refuseBadGet(request: UniversalServerRequest): UniversalServerResponse | undefined {
  if (request.method !== "GET") return undefined;
  // https://connectrpc.com/docs/protocol#unary-get-request
  const query = new URL(request.url).searchParams;
  if (query.get("base64") !== "1") return undefined;
  try {
    base64Decode(query.get("message") ?? "");
    return undefined;
  } catch {
    const error = { code: "invalid_argument", message: 'the query\'s "message" is no base64' };
    return textResponse(400, JSON.stringify(error), "application/json");
  }
}
