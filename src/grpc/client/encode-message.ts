// Messages to bytes and back, with the errors that Connect's own transports have. Knows no frames.

import { create, type DescMessage, fromBinary, type MessageInitShape, type MessageShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Compression } from "@connectrpc/connect/protocol";
import { plainBytes } from "../../core/plain-bytes.ts";
import { type OutgoingMessage, toOutgoing } from "../outgoing-message.ts";

/** Encodes a message, or what one is made from. Throws ConnectError: `internal`, or `resource_exhausted` above `maxBytes`. */
export function encodeMessage<Desc extends DescMessage>(
  desc: Desc,
  message: MessageInitShape<Desc>,
  maxBytes: number,
): OutgoingMessage {
  let bytes: OutgoingMessage;
  try {
    bytes = toOutgoing(desc, create(desc, message));
  } catch (error) {
    throw new ConnectError(`serialize binary: ${textOf(error)}`, Code.Internal, undefined, undefined, error);
  }
  if (bytes.length > maxBytes) {
    const text = `message size ${bytes.length} is larger than configured writeMaxBytes ${maxBytes}`;
    throw new ConnectError(text, Code.ResourceExhausted);
  }
  return bytes;
}

/** Decodes a message; `bytes` must stay as they are, as fields of it may be part of them. Throws ConnectError, `internal`. */
export function decodeMessage<Desc extends DescMessage>(desc: Desc, bytes: Uint8Array): MessageShape<Desc> {
  try {
    return fromBinary(desc, bytes);
  } catch (error) {
    throw new ConnectError(`parse binary: ${textOf(error)}`, Code.Internal, undefined, undefined, error);
  }
}

/** A message that came compressed. Rejects with ConnectError: `resource_exhausted` above `maxBytes`, else `internal`. */
export async function decompressMessage(
  bytes: Uint8Array,
  compression: Compression | undefined,
  maxBytes: number,
): Promise<Uint8Array> {
  if (compression === undefined) {
    throw new ConnectError("received a compressed message, but no encoding was named", Code.Internal);
  }
  try {
    return plainBytes(await compression.decompress(bytes, maxBytes));
  } catch (error) {
    if (error instanceof ConnectError && error.code === Code.ResourceExhausted) throw error;
    // https://github.com/grpc/grpc/blob/master/doc/statuscodes.md: what the peer compressed wrongly is INTERNAL for a client.
    throw new ConnectError(`decompress: ${textOf(error)}`, Code.Internal, undefined, undefined, error);
  }
}

function textOf(error: unknown): string {
  return error instanceof ConnectError ? error.rawMessage : error instanceof Error ? error.message : String(error);
}
