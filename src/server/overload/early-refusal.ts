// Refuses requests of an overloaded server before anything is made of them: in an overload there are several for each that is answered. For
// every protocol but native gRPC on our own HTTP/2, which does so itself. What gets past is still asked by the requestGate.

import { ConnectError } from "@connectrpc/connect";
import { encodeEnvelope, type UniversalHandler, type UniversalServerResponse } from "@connectrpc/connect/protocol";
import {
  codeToHttpStatus,
  endStreamFlag,
  endStreamToJson,
  errorToJsonBytes,
} from "@connectrpc/connect/protocol-connect";
import { type CallGate, refusalError, refusalFields } from "../../grpc/server/call-gate.ts";
import { bytesResponse } from "../plain-response.ts";

/** As much of a request as is looked at. */
export interface EarlyRequest {
  /** With its query, if it has one. */
  readonly path: string;
  readonly contentType: string;
  /** Whether it names an origin: then it is a page's, and CORS has a say in its answer. */
  readonly hasOrigin: boolean;
}

/** The answer to a call that is not taken; undefined where it may go on, and for requests that are none. */
export type EarlyRefusal = (request: EarlyRequest) => UniversalServerResponse | undefined;

/** Creates it for the methods of these handlers, by path. */
export function createEarlyRefusal(
  handlers: ReadonlyMap<string, UniversalHandler>,
  gateOf: (method: UniversalHandler["method"]) => CallGate | undefined,
): EarlyRefusal {
  const gates = new Map<string, CallGate>();
  for (const [path, { method }] of handlers) {
    const gate = gateOf(method);
    if (gate !== undefined) gates.set(path, gate);
  }
  return ({ path, contentType, hasOrigin }) => {
    if (hasOrigin) return undefined;
    const query = path.indexOf("?");
    const gate = gates.get(query < 0 ? path : path.slice(0, query));
    const refusal = gate?.refusalFor(undefined);
    return refusal && refusedResponse(contentType, refusal.pushbackMs ?? 0);
  };
}

function refusedResponse(contentType: string, pushbackMs: number): UniversalServerResponse {
  if (/^application\/grpc/i.test(contentType)) {
    // Trailers-only: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses
    const header = new Headers({ "content-type": contentType });
    const fields = refusalFields(pushbackMs);
    for (let index = 0; index < fields.length; index += 2) header.set(fields[index] ?? "", fields[index + 1] ?? "");
    return { status: 200, header };
  }
  const error = refusalError(pushbackMs);
  if (/^application\/connect\+/i.test(contentType)) {
    // https://connectrpc.com/docs/protocol#error-end-stream
    const end = new TextEncoder().encode(JSON.stringify(endStreamToJson(error.metadata, error, undefined)));
    return bytesResponse(200, encodeEnvelope(endStreamFlag, end), contentType);
  }
  // https://connectrpc.com/docs/protocol#unary-response
  const told = new ConnectError(error.rawMessage, error.code);
  const answer = bytesResponse(codeToHttpStatus(error.code), errorToJsonBytes(told, undefined), "application/json");
  error.metadata.forEach((value, name) => {
    answer.header?.set(name, value);
  });
  return answer;
}
