// How the conformance suite and the programs under test talk: protobuf messages, each behind its length in 4 bytes, big-endian,
// on the standard streams. Knows none of the messages.

import { Buffer } from "node:buffer";
import type { Readable, Writable } from "node:stream";
import { type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";

/** Reads messages until the stream ends. Throws where it ends within one. */
export async function* readMessages<Desc extends DescMessage>(
  schema: Desc,
  input: Readable,
): AsyncGenerator<MessageShape<Desc>> {
  let pending = Buffer.alloc(0);
  for await (const chunk of input) {
    pending = Buffer.concat([pending, chunk]);
    while (pending.length >= 4) {
      const end = 4 + pending.readUInt32BE();
      if (pending.length < end) break;
      // Copied: fields of bytes are views of what they are read from.
      yield fromBinary(schema, Uint8Array.from(pending.subarray(4, end)));
      pending = pending.subarray(end);
    }
  }
  if (pending.length > 0) throw new Error(`the input ended within a message: ${pending.length} bytes are left`);
}

/** Writes one message. */
export function writeMessage<Desc extends DescMessage>(
  schema: Desc,
  output: Writable,
  message: MessageShape<Desc>,
): void {
  const bytes = toBinary(schema, message);
  const head = Buffer.alloc(4);
  head.writeUInt32BE(bytes.length);
  // In one write, so that messages of calls that end at once do not mix.
  output.write(Buffer.concat([head, bytes]));
}
