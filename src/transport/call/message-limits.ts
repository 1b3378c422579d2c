// The message sizes of a service config (`maxRequestMessageBytes`, `maxResponseMessageBytes`), held against the encoded messages. What connections
// themselves take is theirs.

import { create, type DescMessage, type MessageInitShape, type MessageShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { markUnsendable } from "../../core/call-fate.ts";
import { toOutgoing } from "../../grpc/outgoing-message.ts";

/** Bytes of a message, encoded; 0 for what cannot be. */
export function encodedBytes<Desc extends DescMessage>(desc: Desc, message: MessageInitShape<Desc>): number {
  try {
    return toOutgoing(desc, create(desc, message)).length;
  } catch {
    // What cannot be encoded is the connection's to refuse, in its words.
    return 0;
  }
}

/** Throws ConnectError, `resource_exhausted`, for a request that is larger than its policy has it. */
export function demandSize(bytes: number, maxBytes: number): void {
  if (bytes <= maxBytes) return;
  const text = `message size ${bytes} is larger than the service config's maxRequestMessageBytes ${maxBytes}`;
  throw markUnsendable(new ConnectError(text, Code.ResourceExhausted));
}

/** Throws ConnectError, `resource_exhausted`, for an answer that is larger than its policy has it; undefined: as large as it likes. */
export function demandResponseSize<Desc extends DescMessage>(
  desc: Desc,
  message: MessageShape<Desc>,
  maxBytes: number | undefined,
): void {
  if (maxBytes === undefined) return;
  const { length } = toOutgoing(desc, message);
  if (length <= maxBytes) return;
  const text = `message size ${length} is larger than the service config's maxResponseMessageBytes ${maxBytes}`;
  throw new ConnectError(text, Code.ResourceExhausted);
}

/** The same messages, up to the first that is too large: that throws. */
export async function* sized<Desc extends DescMessage>(
  messages: AsyncIterable<MessageInitShape<Desc>>,
  desc: Desc,
  maxBytes: number,
): AsyncGenerator<MessageInitShape<Desc>> {
  for await (const message of messages) {
    demandSize(encodedBytes(desc, message), maxBytes);
    yield message;
  }
}

/** The same answers, up to the first that is too large: that throws. `giveUp` ends the call: not every transport's messages have a `return`. */
export async function* sizedAnswers<Desc extends DescMessage>(
  messages: AsyncIterable<MessageShape<Desc>>,
  desc: Desc,
  maxBytes: number,
  giveUp: (error: unknown) => void,
): AsyncGenerator<MessageShape<Desc>> {
  for await (const message of messages) {
    try {
      demandResponseSize(desc, message, maxBytes);
    } catch (error) {
      giveUp(error);
      throw error;
    }
    yield message;
  }
}
