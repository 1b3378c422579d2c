// Gives JSON a shape, as Go's decoder does. The contract and its messages; the types themselves are in scalars.ts and struct.ts.
// https://pkg.go.dev/encoding/json#Unmarshal

import type { JsonNode } from "./json.ts";

/** Where in a document a decoder stands: the struct it fills and the path of fields to it. */
export interface Position {
  readonly struct: string;
  readonly path: readonly string[];
}

/** Turns a JSON node into a T. */
export interface Decoder<T> {
  /** What T is called in Go, for messages. */
  readonly goType: string;
  /** Value of a field that is absent or null. */
  readonly zero: T;
  /** Throws Error with Go's own text. */
  decode(node: JsonNode, position: Position): T;
}

/** Decodes a whole document; null is the zero value. */
export function decodeDocument<T>(decoder: Decoder<T>, node: JsonNode): T {
  return node.type === "null" ? decoder.zero : decoder.decode(node, { struct: "", path: [] });
}

/** Throws what Go says where a value cannot become a type. `detail` is the spelling of a number that does not fit. */
export function mismatch(node: JsonNode, goType: string, position: Position, detail?: string): never {
  const found = detail === undefined ? node.type : `${node.type} ${detail}`;
  const place = position.path.length === 0 ? "value" : `struct field ${position.struct}.${position.path.join(".")}`;
  throw new Error(`json: cannot unmarshal ${found} into Go ${place} of type ${goType}`);
}
