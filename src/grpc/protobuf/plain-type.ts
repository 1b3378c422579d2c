// What the short way to bytes and back (plain-writer.ts, plain-reader.ts) must know of a message type, worked out once. Reads no messages.

import { type DescField, type DescMessage, ScalarType } from "@bufbuild/protobuf";

/** Stands among the scalar types. */
export const messageKind = 0;

/** Wire types: https://protobuf.dev/programming-guides/encoding/#structure */
export const WireType = { varint: 0, bit64: 1, lengthDelimited: 2, bit32: 5 } as const;

/** A field of a plain type. */
export interface PlainField {
  readonly name: string;
  /** Its oneof's name. */
  readonly oneof: string | undefined;
  /** A ScalarType, or `messageKind`. */
  readonly kind: number;
  /** Field number and wire type, as a varint has them; of a list in packed form, and of each value else. */
  readonly tag: number;
  readonly packedTag: number;
  readonly isList: boolean;
  /** Whether a list is written in packed form; both are read. */
  readonly isPacked: boolean;
  /** The value that is not written; undefined where presence is told in another way. */
  readonly zero: unknown;
  readonly isLongText: boolean;
  readonly message: DescMessage | undefined;
  /** Of `message`, when first needed: types may hold themselves. */
  type: PlainType | undefined;
}

/** A message type; of one that is not plain the fields are none. */
export interface PlainType {
  readonly desc: DescMessage;
  /** Without maps, groups, closed enums, required fields and messages that TypeScript sees as something else. */
  readonly isPlain: boolean;
  /** By rising number, as they are written. */
  readonly fields: readonly PlainField[];
  /** By number, where that is small; else they are searched for. */
  readonly byNumber: readonly (PlainField | undefined)[];
}

const types = new WeakMap<DescMessage, PlainType>();

/** Every number below is an index. */
const maxIndexed = 256;

/** The plain type of a message type. */
export function plainTypeOf(desc: DescMessage): PlainType {
  let type = types.get(desc);
  if (type === undefined) {
    type = makeType(desc);
    types.set(desc, type);
  }
  return type;
}

/** The type of a field's messages. */
export function childType(field: PlainField): PlainType | undefined {
  if (field.type === undefined && field.message !== undefined) field.type = plainTypeOf(field.message);
  return field.type;
}

function makeType(desc: DescMessage): PlainType {
  const fields: PlainField[] = [];
  const byNumber: (PlainField | undefined)[] = [];
  for (const field of [...desc.fields].sort((a, b) => a.number - b.number)) {
    const plain = makeField(field);
    if (plain === undefined) return { desc, isPlain: false, fields: [], byNumber: [] };
    fields.push(plain);
    if (field.number >= maxIndexed) continue;
    while (byNumber.length < field.number) byNumber.push(undefined);
    byNumber.push(plain);
  }
  return { desc, isPlain: true, fields, byNumber };
}

/** undefined where the field is not plain. */
function makeField(field: DescField): PlainField | undefined {
  if (field.fieldKind === "map" || field.presence === legacyRequired) return undefined;
  const isList = field.fieldKind === "list";
  const what = isList ? field.listKind : field.fieldKind;
  if (what === "enum" && field.enum?.open !== true) return undefined;
  if (what === "message" && (isGroup(field) || isSeenOtherwise(field.message))) return undefined;
  const kind = what === "message" ? messageKind : what === "enum" ? ScalarType.INT32 : (field.scalar ?? messageKind);
  return {
    name: field.localName,
    oneof: field.oneof?.localName,
    kind,
    tag: ((field.number << 3) | wireTypeOf(kind)) >>> 0,
    packedTag: ((field.number << 3) | WireType.lengthDelimited) >>> 0,
    isList,
    isPacked: isList && field.packed,
    zero: field.presence === implicit && !isList ? zeroOf(kind) : undefined,
    isLongText: "longAsString" in field && field.longAsString === true,
    message: field.message,
    type: undefined,
  };
}

/** google.protobuf.FeatureSet.FieldPresence. */
const implicit = 2;
const legacyRequired = 3;

function isGroup(field: DescField): boolean {
  return "delimitedEncoding" in field && field.delimitedEncoding === true;
}

/** protobuf-es has wrappers as their values, and a Struct as JSON. */
function isSeenOtherwise(message: DescMessage | undefined): boolean {
  return message === undefined || /^google\.protobuf\.(?:Struct|\w*Value)$/.test(message.typeName);
}

function zeroOf(kind: number): unknown {
  switch (kind) {
    case ScalarType.STRING:
      return "";
    case ScalarType.BOOL:
      return false;
    default:
      return 0;
  }
}

function wireTypeOf(kind: number): number {
  switch (kind) {
    case messageKind:
    case ScalarType.STRING:
    case ScalarType.BYTES:
      return WireType.lengthDelimited;
    case ScalarType.DOUBLE:
    case ScalarType.FIXED64:
    case ScalarType.SFIXED64:
      return WireType.bit64;
    case ScalarType.FLOAT:
    case ScalarType.FIXED32:
    case ScalarType.SFIXED32:
      return WireType.bit32;
    default:
      return WireType.varint;
  }
}
