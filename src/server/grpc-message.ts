// gRPC's spelling of error texts: only what must be is percent-encoded. Connect encodes more, and grpc-js leaves that as it is.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses

/** Writes the text in `grpc-message`, if there is one, as gRPC has it. What is not percent-encoded UTF-8 is left alone. */
export function respellGrpcMessage(header: Headers): void {
  const encoded = header.get("grpc-message");
  if (encoded === null || !encoded.includes("%")) return;
  try {
    header.set("grpc-message", encode(decodeURIComponent(encoded)));
  } catch {
    // Not ours to mend.
  }
}

/** Visible ASCII and inner spaces stand for themselves, but for the percent sign. A header keeps no space at its ends. */
function encode(text: string): string {
  return text.replace(/[^\x20-\x24\x26-\x7e]+|^ +| +$/g, (run) =>
    run.startsWith(" ") ? run.replaceAll(" ", "%20") : encodeURIComponent(run),
  );
}
