// Headers that a handler set, as fields to send. Leaves out what is the protocol's own.

/** What gRPC and HTTP/2 write themselves, or forbid: RFC 9113, section 8.2.2. */
const reserved: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "content-type",
  "grpc-accept-encoding",
  "grpc-encoding",
  "grpc-message",
  "grpc-status",
  "grpc-status-details-bin",
  "http2-settings",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** Names in lower case and values in turn; those of the protocol are dropped, as its own count. */
export function responseFields(headers: Headers): string[] {
  const fields: string[] = [];
  headers.forEach((value, name) => {
    if (!reserved.has(name)) fields.push(name, value);
  });
  return fields;
}
