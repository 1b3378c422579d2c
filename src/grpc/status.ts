// How a call ended, as trailers say it and as Connect has it. Knows fields only: no streams, and no Headers but an error's metadata.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses

import { Code, ConnectError } from "@connectrpc/connect";
import { isConnectionField, toHeaders } from "./metadata.ts";
import { readStatusDetails, writeStatusDetails } from "./status-details.ts";
import { decodeStatusText, encodeStatusText } from "./status-text.ts";

/** What the protocol has to say, or HTTP: no metadata of an error's. The list is Connect's (`mergeNonProtocolHeaders`). */
const protocolFields: ReadonlySet<string> = new Set([
  "accept-encoding",
  "connect-accept-encoding",
  "connect-content-encoding",
  "connect-protocol-version",
  "connect-timeout-ms",
  "content-encoding",
  "content-length",
  "content-type",
  "date",
  "grpc-accept-encoding",
  "grpc-encoding",
  "grpc-message",
  "grpc-status",
  "grpc-status-details-bin",
  "grpc-timeout",
  "host",
  "trailer",
  "user-agent",
]);

/**
 * Reads the status from trailers, or from the one block of an answer that has no others. The error has the block's fields as its
 * metadata and the details of `grpc-status-details-bin`; a code that gRPC does not know is `unknown`. Undefined where there is no
 * `grpc-status`.
 */
export function readStatus(fields: readonly string[]): ConnectError | "ok" | undefined {
  const status = fieldOf(fields, "grpc-status");
  if (status === undefined) return undefined;
  if (status === "0") return "ok";
  const code = /^\d{1,2}$/.test(status) ? Number(status) : -1;
  const isKnown = code in Code;
  const details = fieldOf(fields, "grpc-status-details-bin");
  const told = details === undefined ? undefined : readStatusDetails(details);
  // Where the two agree, the details have the text as it was, whatever became of it in the header.
  const message = told?.code === code ? told.message : decodeStatusText(fieldOf(fields, "grpc-message") ?? "");
  // https://github.com/grpc/grpc/blob/master/doc/statuscodes.md: what is not a code counts as UNKNOWN.
  const error = isKnown
    ? new ConnectError(message, code, toHeaders(fields))
    : new ConnectError(message || `invalid grpc-status: ${status}`, Code.Unknown, toHeaders(fields));
  error.details = told?.details ?? [];
  // So that a server which passes it on does not send this peer's metadata as its own.
  error.isWireError = true;
  return error;
}

/**
 * The trailers of a call that failed: `grpc-status`, `grpc-message`, `grpc-status-details-bin` where there are details, and the error's
 * own metadata (not that of an error which came from another server). Never throws: what cannot be sent is left out.
 */
export function statusFields(error: ConnectError): string[] {
  // Whoever made it may have had no types to keep to: neither 0 nor NaN is a failure that a client knows, and the text may be missing.
  const code = typeof error.code === "number" && error.code in Code ? error.code : Code.Unknown;
  const fields = ["grpc-status", String(code)];
  const text = String(error.rawMessage ?? "");
  if (text !== "") fields.push("grpc-message", encodeStatusText(text));
  if (error.details.length > 0) {
    try {
      fields.push("grpc-status-details-bin", writeStatusDetails(error));
    } catch {
      // A detail that protobuf cannot encode must not cost the caller the status.
    }
  }
  if (error.isWireError) return fields;
  error.metadata.forEach((value, name) => {
    if (!protocolFields.has(name) && !isConnectionField(name)) fields.push(name, value);
  });
  return fields;
}

/** The first value of a field; undefined where there is none. */
function fieldOf(fields: readonly string[], name: string): string | undefined {
  for (let index = 0; index < fields.length; index += 2) if (fields[index] === name) return fields[index + 1];
  return undefined;
}
