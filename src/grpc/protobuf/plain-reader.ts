// Bytes to messages, the short way: without a reader and a view a message, and without the ArrayBuffer that a view asks small arrays for.
// Whatever is not as it should be, fields that nobody knows among it, is left to protobuf-es. Messages are the same.
// https://protobuf.dev/programming-guides/encoding

import { create, type Message, protoInt64, ScalarType } from "@bufbuild/protobuf";
import { childType, messageKind, type PlainField, type PlainType } from "./plain-type.ts";

const maxDepth = 32;

let bytes: Uint8Array = new Uint8Array(0);
let at = 0;
/** Where the outermost message ends: what lies beyond is undefined, and read as 0. */
let limit = 0;
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const numbers = new DataView(new ArrayBuffer(8));

/** Thrown, and caught here, by what cannot go the short way. */
const notPlain: Error = new Error("not plain");

/** The message in `source`, whose bytes fields are parts of it; undefined where protobuf-es should read it. */
export function readPlain(type: PlainType, source: Uint8Array): Message | undefined {
  if (!type.isPlain) return undefined;
  bytes = source;
  at = 0;
  limit = source.length;
  try {
    return readMessage(type, create(type.desc), limit, 0);
  } catch {
    return undefined;
  } finally {
    bytes = noBytes;
  }
}

const noBytes: Uint8Array = bytes;

type Values = Record<string, unknown>;

function readMessage(type: PlainType, message: Message, to: number, depth: number): Message {
  if (to > limit || depth > maxDepth || !type.isPlain) throw notPlain;
  const values = message as unknown as Values;
  while (at < to) {
    const tag = readVarint();
    const field = fieldOf(type, tag >>> 3);
    if (tag === field.tag) {
      if (field.isList) (values[field.name] as unknown[]).push(readValue(field, undefined, depth));
      else if (field.oneof === undefined) values[field.name] = readValue(field, values, depth);
      else values[field.oneof] = { case: field.name, value: readValue(field, oneofOf(values, field), depth) };
    } else if (field.isList && tag === field.packedTag && field.kind !== messageKind) {
      readPacked(field, values[field.name] as unknown[], depth);
    } else {
      throw notPlain;
    }
  }
  if (at !== to) throw notPlain;
  return message;
}

function fieldOf(type: PlainType, number: number): PlainField {
  let field = type.byNumber[number];
  if (field === undefined && number >= type.byNumber.length) {
    field = type.fields.find(({ tag }) => tag >>> 3 === number);
  }
  if (field === undefined) throw notPlain;
  return field;
}

/** Where a oneof's value lies, if it is of this field. */
function oneofOf(values: Values, field: PlainField): Values | undefined {
  const oneof = values[field.oneof ?? ""] as { readonly case?: unknown; readonly value?: unknown };
  return oneof.case === field.name ? { [field.name]: oneof.value } : undefined;
}

function readPacked(field: PlainField, list: unknown[], depth: number): void {
  const to = readEnd();
  while (at < to) list.push(readValue(field, undefined, depth));
  if (at !== to) throw notPlain;
}

/** A value; a message that is there among `values` already is read on. */
function readValue(field: PlainField, values: Values | undefined, depth: number): unknown {
  switch (field.kind) {
    case messageKind: {
      const type = childType(field);
      if (type === undefined) throw notPlain;
      const message = (values?.[field.name] as Message | undefined) ?? create(type.desc);
      const to = readEnd();
      return readMessage(type, message, to, depth + 1);
    }
    case ScalarType.STRING:
      return readText();
    case ScalarType.BYTES: {
      const to = readEnd();
      const from = at;
      at = to;
      return bytes.subarray(from, to);
    }
    case ScalarType.BOOL: {
      const byte = bytes[at++] ?? 0x80;
      if (byte > 1) throw notPlain;
      return byte === 1;
    }
    case ScalarType.INT32:
      return readVarint() | 0;
    case ScalarType.UINT32:
      return readVarint();
    case ScalarType.SINT32: {
      const int = readVarint();
      return (int >>> 1) ^ -(int & 1);
    }
    case ScalarType.FIXED32:
      copyNumber(4);
      return numbers.getUint32(0, true);
    case ScalarType.SFIXED32:
      copyNumber(4);
      return numbers.getInt32(0, true);
    case ScalarType.FLOAT:
      copyNumber(4);
      return numbers.getFloat32(0, true);
    case ScalarType.DOUBLE:
      copyNumber(8);
      return numbers.getFloat64(0, true);
    default: {
      const long = readLong(field.kind);
      return field.isLongText ? String(long) : long;
    }
  }
}

function copyNumber(count: number): void {
  if (limit - at < count) throw notPlain;
  for (let index = 0; index < count; index++) numbers.setUint8(index, bytes[at++] ?? 0);
}

function readLong(kind: number): bigint | string {
  switch (kind) {
    case ScalarType.FIXED64:
      copyNumber(8);
      return protoInt64.uDec(numbers.getInt32(0, true), numbers.getInt32(4, true));
    case ScalarType.SFIXED64:
      copyNumber(8);
      return protoInt64.dec(numbers.getInt32(0, true), numbers.getInt32(4, true));
    default:
      return readVarint64(kind);
  }
}

function readVarint64(kind: number): bigint | string {
  let lo = 0;
  let hi = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++] ?? 0x80;
    if (shift > 63 || at > limit) throw notPlain;
    const bits = byte & 0x7f;
    if (shift < 28) {
      lo |= bits << shift;
    } else if (shift === 28) {
      lo |= bits << 28;
      hi = bits >>> 4;
    } else {
      hi |= bits << (shift - 32);
    }
    if (byte < 0x80) break;
  }
  if (kind === ScalarType.UINT64) return protoInt64.uDec(lo, hi);
  if (kind === ScalarType.SINT64) {
    const sign = -(lo & 1);
    lo = ((lo >>> 1) | ((hi & 1) << 31)) ^ sign;
    hi = (hi >>> 1) ^ sign;
  }
  return protoInt64.dec(lo, hi);
}

/** 32 bits; of a negative int32, which takes ten bytes, the low ones. */
function readVarint(): number {
  let byte = bytes[at++] ?? 0x80;
  if (byte < 0x80 && at <= limit) return byte;
  let value = byte & 0x7f;
  for (let shift = 7; shift < 70; shift += 7) {
    byte = bytes[at++] ?? 0x80;
    if (at > limit) throw notPlain;
    if (shift < 32) value |= (byte & 0x7f) << shift;
    if (byte < 0x80) return value >>> 0;
  }
  throw notPlain;
}

/** The end of what a length is said of. */
function readEnd(): number {
  const length = readVarint();
  if (length > limit - at) throw notPlain;
  return at + length;
}

/** Up to here texts are quicker put together than decoded. */
const shortText = 16;

function readText(): string {
  const to = readEnd();
  const from = at;
  at = to;
  if (to - from <= shortText) {
    let text = "";
    let index = from;
    for (; index < to; index++) {
      const code = bytes[index] ?? 0x80;
      if (code > 0x7f) break;
      text += String.fromCharCode(code);
    }
    if (index === to) return text;
  }
  return decoder.decode(bytes.subarray(from, to));
}
