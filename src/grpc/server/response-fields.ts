// Headers that a handler set, as fields to send. Leaves out what is the protocol's own.

import { isConnectionField } from "../metadata.ts";

/** What gRPC and HTTP/2 write themselves. */
const reserved: ReadonlySet<string> = new Set([
  "content-length",
  "content-type",
  "grpc-accept-encoding",
  "grpc-encoding",
  "grpc-message",
  "grpc-status",
  "grpc-status-details-bin",
  "te",
  "trailer",
]);

/** Names in lower case and values in turn; those of the protocol are dropped, as its own count. */
export function responseFields(headers: Headers): string[] {
  const fields: string[] = [];
  headers.forEach((value, name) => {
    if (!reserved.has(name) && !isConnectionField(name)) fields.push(name, value);
  });
  return fields;
}
