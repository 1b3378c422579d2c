// Messages to bytes, the short way: straight into a slab that all share, where protobuf-es makes a writer, grows its buffer and copies it.
// Whatever is not as it should be is left to protobuf-es, which knows what to say of it. Bytes are the same, field by field.
// https://protobuf.dev/programming-guides/encoding

import { protoInt64, ScalarType } from "@bufbuild/protobuf";
import { childType, messageKind, type PlainField, type PlainType } from "./plain-type.ts";

const slabBytes = 64 * 1024;
/** Room for one message; larger ones are protobuf-es's. */
const maxBytes = 4 * 1024;
const maxDepth = 32;

/** Bytes of a slab go out once: who holds some of them may do so as long as they like. */
let slab = new Uint8Array(0);
let view = new DataView(slab.buffer);
let at = 0;
let limit = 0;
/** A message's own accessors might write another one. */
let isBusy = false;
const encoder = new TextEncoder();

/** Thrown, and caught here, by what cannot go the short way. */
const notPlain: Error = new Error("not plain");

/** The bytes of a message, or of what one is made from; undefined where protobuf-es should write it. */
export function writePlain(type: PlainType, value: unknown): Uint8Array | undefined {
  if (!type.isPlain || isBusy) return undefined;
  if (slab.length - at < maxBytes) {
    slab = new Uint8Array(slabBytes);
    view = new DataView(slab.buffer);
    at = 0;
  }
  const from = at;
  limit = from + maxBytes;
  isBusy = true;
  try {
    writeMessage(type, value, false, 0);
    return slab.subarray(from, at);
  } catch {
    at = from;
    return undefined;
  } finally {
    isBusy = false;
  }
}

type Values = Readonly<Record<string, unknown>>;

/** `isInMessage`: of a message, not of what one is made from, all below are messages. */
function writeMessage(type: PlainType, value: unknown, isInMessage: boolean, depth: number): void {
  if (typeof value !== "object" || value === null || depth > maxDepth) throw notPlain;
  const values = value as Values;
  const isMessage = values.$typeName === type.desc.typeName;
  if (isMessage ? values.$unknown !== undefined : isInMessage) throw notPlain;
  const { fields } = type;
  for (let index = 0; index < fields.length; index++) {
    const field = fields[index];
    if (field === undefined) continue;
    if (field.oneof !== undefined) {
      const oneof = values[field.oneof] as { readonly case?: unknown; readonly value?: unknown } | undefined;
      if (oneof === undefined || oneof === null) {
        if (isMessage) throw notPlain;
      } else if (oneof.case === field.name) {
        writeTagged(field, oneof.value, isMessage, depth);
      }
      continue;
    }
    const own = values[field.name];
    if (field.isList) {
      if (own !== undefined) writeList(field, own, isMessage, depth);
      else if (isMessage) throw notPlain;
    } else if (field.zero !== undefined) {
      // As `create` has it, nothing is as good as zero. -0 is none, for numbers that know it.
      if (own === undefined || own === null) {
        if (isMessage) throw notPlain;
      } else if (own !== field.zero || (own === 0 && isFloat(field.kind) && Object.is(own, -0))) {
        if (!isEmpty(field.kind, own)) writeTagged(field, own, isMessage, depth);
      }
    } else if (own !== undefined && (own !== null || isMessage) && (!isMessage || Object.hasOwn(values, field.name))) {
      writeTagged(field, own, isMessage, depth);
    }
  }
}

function isFloat(kind: number): boolean {
  return kind === ScalarType.DOUBLE || kind === ScalarType.FLOAT;
}

/** Zeros that are not `zero` itself. */
function isEmpty(kind: number, value: unknown): boolean {
  if (typeof value === "bigint") return value === 0n;
  return kind === ScalarType.BYTES && value instanceof Uint8Array && value.length === 0;
}

function writeList(field: PlainField, list: unknown, isMessage: boolean, depth: number): void {
  if (!Array.isArray(list)) throw notPlain;
  if (list.length === 0) return;
  if (!field.isPacked) {
    for (let index = 0; index < list.length; index++) writeTagged(field, list[index], isMessage, depth);
    return;
  }
  writeVarint(field.packedTag);
  const from = beginLength();
  for (let index = 0; index < list.length; index++) writeValue(field, list[index], isMessage, depth);
  endLength(from);
}

function writeTagged(field: PlainField, value: unknown, isMessage: boolean, depth: number): void {
  writeVarint(field.tag);
  writeValue(field, value, isMessage, depth);
}

function writeValue(field: PlainField, value: unknown, isMessage: boolean, depth: number): void {
  // Room for any number; what may be longer asks by itself.
  if (limit - at < 10) throw notPlain;
  switch (field.kind) {
    case messageKind: {
      const type = childType(field);
      if (type === undefined || !type.isPlain) throw notPlain;
      const from = beginLength();
      writeMessage(type, value, isMessage, depth + 1);
      endLength(from);
      return;
    }
    case ScalarType.STRING:
      writeText(value);
      return;
    case ScalarType.BYTES:
      if (!(value instanceof Uint8Array) || limit - at < value.length + 5) throw notPlain;
      writeVarint(value.length);
      slab.set(value, at);
      at += value.length;
      return;
    case ScalarType.BOOL:
      if (typeof value !== "boolean") throw notPlain;
      slab[at++] = value ? 1 : 0;
      return;
    case ScalarType.INT32:
      writeInt32(signed(value));
      return;
    case ScalarType.UINT32:
      writeVarint(unsigned(value));
      return;
    case ScalarType.SINT32: {
      const int = signed(value);
      writeVarint(((int << 1) ^ (int >> 31)) >>> 0);
      return;
    }
    case ScalarType.FIXED32:
      view.setUint32(at, unsigned(value), true);
      at += 4;
      return;
    case ScalarType.SFIXED32:
      view.setInt32(at, signed(value), true);
      at += 4;
      return;
    case ScalarType.FLOAT:
      if (typeof value !== "number" || (Number.isFinite(value) && !Number.isFinite(Math.fround(value)))) throw notPlain;
      view.setFloat32(at, value, true);
      at += 4;
      return;
    case ScalarType.DOUBLE:
      if (typeof value !== "number") throw notPlain;
      view.setFloat64(at, value, true);
      at += 8;
      return;
    default:
      writeLong(field.kind, value);
  }
}

function signed(value: unknown): number {
  if (typeof value !== "number" || (value | 0) !== value) throw notPlain;
  return value;
}

function unsigned(value: unknown): number {
  if (typeof value !== "number" || value >>> 0 !== value) throw notPlain;
  return value;
}

function writeLong(kind: number, value: unknown): void {
  if (typeof value !== "bigint" && typeof value !== "string" && typeof value !== "number") throw notPlain;
  const isUnsigned = kind === ScalarType.UINT64 || kind === ScalarType.FIXED64;
  let { lo, hi } = isUnsigned ? protoInt64.uEnc(value) : protoInt64.enc(value);
  if (kind === ScalarType.FIXED64 || kind === ScalarType.SFIXED64) {
    view.setInt32(at, lo, true);
    view.setInt32(at + 4, hi, true);
    at += 8;
    return;
  }
  if (kind === ScalarType.SINT64) {
    const sign = hi >> 31;
    hi = ((hi << 1) | (lo >>> 31)) ^ sign;
    lo = (lo << 1) ^ sign;
  }
  while (hi !== 0) {
    slab[at++] = (lo & 0x7f) | 0x80;
    lo = (lo >>> 7) | (hi << 25);
    hi >>>= 7;
  }
  writeVarint(lo >>> 0);
}

function writeInt32(value: number): void {
  if (value >= 0) {
    writeVarint(value);
    return;
  }
  // Ten bytes, as of 64 bits.
  let rest = value;
  for (let index = 0; index < 9; index++) {
    slab[at++] = (rest & 0x7f) | 0x80;
    rest >>= 7;
  }
  slab[at++] = 1;
}

function writeVarint(value: number): void {
  if (limit - at < 5) throw notPlain;
  let rest = value;
  while (rest > 0x7f) {
    slab[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  slab[at++] = rest;
}

/** Up to here a loop is quicker than the encoder. */
const shortText = 64;

function writeText(value: unknown): void {
  if (typeof value !== "string") throw notPlain;
  const { length } = value;
  if (limit - at < length * 3 + 5) throw notPlain;
  if (length <= shortText) {
    let end = at + 1;
    let index = 0;
    for (; index < length; index++) {
      const code = value.charCodeAt(index);
      if (code > 0x7f) break;
      slab[end++] = code;
    }
    if (index === length) {
      slab[at] = length;
      at = end;
      return;
    }
  }
  const from = beginLength();
  at += encoder.encodeInto(value, slab.subarray(at, limit)).written;
  endLength(from);
}

/** Leaves a byte for a length that is not known yet; returns where what it counts begins. */
function beginLength(): number {
  if (limit - at < 1) throw notPlain;
  return ++at;
}

/** Writes the length. Messages are short of three bytes of it. */
function endLength(from: number): void {
  const length = at - from;
  if (length > 0x7f) {
    if (limit - at < 1) throw notPlain;
    slab.copyWithin(from + 1, from, at);
    slab[from - 1] = (length & 0x7f) | 0x80;
    slab[from] = length >>> 7;
    at++;
  } else {
    slab[from - 1] = length;
  }
}
