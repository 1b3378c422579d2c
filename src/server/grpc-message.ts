// gRPC's spelling of error texts in answers that Connect wrote: it encodes more than must be, and grpc-js leaves that as it is.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses

import { encodeStatusText } from "../grpc/status-text.ts";

/** Writes the text in `grpc-message`, if there is one, as gRPC has it. What is not percent-encoded UTF-8 is left alone. */
export function respellGrpcMessage(header: Headers): void {
  const encoded = header.get("grpc-message");
  if (encoded === null || !encoded.includes("%")) return;
  try {
    header.set("grpc-message", encodeStatusText(decodeURIComponent(encoded)));
  } catch {
    // Not ours to mend.
  }
}
