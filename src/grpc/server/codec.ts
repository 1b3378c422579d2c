// Messages of one method to bytes and back, as a server needs them. Knows no frames.

import {
  type BinaryReadOptions,
  type BinaryWriteOptions,
  create,
  type DescMessage,
  type DescMethod,
  fromBinary,
  type JsonReadOptions,
  type JsonWriteOptions,
  type Message,
  type MessageInitShape,
} from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { createMethodSerializationLookup, type Serialization } from "@connectrpc/connect/protocol";
import { type OutgoingMessage, toOutgoing } from "../outgoing-message.ts";

/** One format of one method. */
export interface Codec {
  /** Throws ConnectError where the bytes are no such message. */
  decode(bytes: Uint8Array): Message;
  /** A message, or what makes one. Throws ConnectError where it cannot be written, and what protobuf throws where it is none. */
  encode(value: unknown): OutgoingMessage;
}

/** protobuf's binary format. */
export class BinaryCodec implements Codec {
  readonly #input: DescMessage;
  readonly #output: DescMessage;
  readonly #options: Partial<BinaryReadOptions & BinaryWriteOptions> | undefined;

  constructor(method: DescMethod, options: Partial<BinaryReadOptions & BinaryWriteOptions> | undefined) {
    this.#input = method.input;
    this.#output = method.output;
    this.#options = options;
  }

  decode(bytes: Uint8Array): Message {
    try {
      return fromBinary(this.#input, bytes, this.#options);
    } catch (error) {
      throw new ConnectError(`parse binary: ${textOf(error)}`, Code.Internal);
    }
  }

  encode(value: unknown): OutgoingMessage {
    const message = create(this.#output, value as MessageInitShape<DescMessage>);
    try {
      return toOutgoing(this.#output, message, this.#options);
    } catch (error) {
      throw new ConnectError(`serialize binary: ${textOf(error)}`, Code.Internal);
    }
  }
}

/** protobuf's JSON: `application/grpc+json`. */
export class JsonCodec implements Codec {
  readonly #output: DescMessage;
  readonly #input: Serialization<Message>;
  readonly #answer: Serialization<Message>;

  constructor(method: DescMethod, options: Partial<JsonReadOptions & JsonWriteOptions> | undefined) {
    const noLimit = { readMaxBytes: 0xffff_ffff, writeMaxBytes: 0xffff_ffff };
    const lookup = createMethodSerializationLookup(method, undefined, options, noLimit);
    this.#output = method.output;
    this.#input = lookup.getI(false);
    this.#answer = lookup.getO(false);
  }

  decode(bytes: Uint8Array): Message {
    return this.#input.parse(bytes);
  }

  encode(value: unknown): Uint8Array {
    return this.#answer.serialize(create(this.#output, value as MessageInitShape<DescMessage>));
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
