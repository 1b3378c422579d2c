// A message on its way out, in protobuf's binary format. A large `bytes` field is not copied into it: protobuf-es's writer would grow
// around it by doubling, and copy the whole once more at the end.

import { type BinaryWriteOptions, type DescMessage, type Message, ScalarType, toBinary } from "@bufbuild/protobuf";
import type { Http2Connection } from "../http2/connection.ts";
import type { Stream } from "../http2/stream.ts";
import { messageHead, messageHeadBytes, putMessageHead } from "./message.ts";

/** A message as it is sent. */
export type OutgoingMessage = Uint8Array | LargeMessage;

/** A message that ends with a large field, which lies where the caller keeps it: good until the caller's turn is over. */
export class LargeMessage {
  /** The five bytes before the message, and the message up to the field's content. */
  readonly start: Uint8Array;
  readonly content: Uint8Array;

  constructor(start: Uint8Array, content: Uint8Array) {
    this.start = start;
    this.content = content;
  }

  /** Of the message. */
  get length(): number {
    return this.start.length - messageHeadBytes + this.content.length;
  }
}

/** In bytes: from this size on a field is worth the detour. */
const largeFieldBytes = 4096;

/**
 * As protobuf-es's `toBinary`; a large field comes last, which readers take in any order. Throws what `toBinary` throws.
 */
export function toOutgoing(
  desc: DescMessage,
  message: Message,
  options?: Partial<BinaryWriteOptions>,
): OutgoingMessage {
  for (const field of bytesFieldsOf(desc)) {
    const content = (message as Message & Record<string, unknown>)[field.name];
    if (content instanceof Uint8Array && content.length >= largeFieldBytes) {
      return new LargeMessage(startOf(toBinary(desc, without(message, field), options), field, content), content);
    }
  }
  return toBinary(desc, message, options);
}

/** The message in one piece that stays as it is. */
export function wholeBytes(message: OutgoingMessage): Uint8Array {
  if (!(message instanceof LargeMessage)) return message;
  const { start, content } = message;
  const bytes = new Uint8Array(message.length);
  bytes.set(start.subarray(messageHeadBytes));
  bytes.set(content, start.length - messageHeadBytes);
  return bytes;
}

/** Sends a message; false where some of it has to wait: `onDrained` follows. A large field may change afterwards. */
export function sendMessage(
  connection: Http2Connection,
  stream: Stream,
  message: OutgoingMessage,
  isCompressed: boolean,
  end: boolean,
): boolean {
  if (message instanceof LargeMessage) return connection.sendBorrowed(stream, message.start, message.content, end);
  return connection.sendData(stream, messageHead(message.length, isCompressed), message, end);
}

/** google.protobuf.FeatureSet.FieldPresence; protobuf-es's own enum comes with a descriptor of all descriptors. */
const FieldPresence = { implicit: 2, legacyRequired: 3 } as const;

/** A field that may be large. */
interface BytesField {
  readonly name: string;
  /** `number << 3 | 2`. */
  readonly tag: number;
  /** Left out by an empty value, not by having none. */
  readonly isImplicit: boolean;
}

const known: WeakMap<DescMessage, readonly BytesField[]> = new WeakMap();

function bytesFieldsOf(desc: DescMessage): readonly BytesField[] {
  let fields = known.get(desc);
  if (fields === undefined) {
    fields = findBytesFields(desc);
    known.set(desc, fields);
  }
  return fields;
}

function findBytesFields(desc: DescMessage): readonly BytesField[] {
  const fields: BytesField[] = [];
  for (const field of desc.fields) {
    if (field.fieldKind !== "scalar" || field.scalar !== ScalarType.BYTES || field.oneof !== undefined) continue;
    if (field.presence === FieldPresence.legacyRequired) continue;
    const isImplicit = field.presence === FieldPresence.implicit;
    fields.push({ name: field.localName, tag: ((field.number << 3) | 2) >>> 0, isImplicit });
  }
  return fields;
}

/** A shallow copy in which the field is not set. */
function without(message: Message, { name, isImplicit }: BytesField): Message {
  const copy: Message & Record<string, unknown> = Object.assign(Object.create(Object.getPrototypeOf(message)), message);
  if (isImplicit) copy[name] = new Uint8Array(0);
  else delete copy[name];
  return copy;
}

function startOf(rest: Uint8Array, { tag }: BytesField, content: Uint8Array): Uint8Array {
  const start = new Uint8Array(messageHeadBytes + rest.length + varintBytes(tag) + varintBytes(content.length));
  putMessageHead(start, 0, start.length - messageHeadBytes + content.length, false);
  start.set(rest, messageHeadBytes);
  putVarint(start, putVarint(start, messageHeadBytes + rest.length, tag), content.length);
  return start;
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let left = value; left > 0x7f; left = Math.floor(left / 128)) bytes++;
  return bytes;
}

function putVarint(out: Uint8Array, from: number, value: number): number {
  let at = from;
  let left = value;
  for (; left > 0x7f; left = Math.floor(left / 128)) out[at++] = (left % 128) | 0x80;
  out[at++] = left;
  return at;
}
