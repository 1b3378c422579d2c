// Go's slices, maps and structs, read as with DisallowUnknownFields: names match without case, unknown ones are errors.

import { type Decoder, mismatch } from "./decoder.ts";
import type { JsonNode } from "./json.ts";
import { durationType } from "./scalars.ts";

/** Go's `[]T`; undefined where absent. */
export function listOf<T>(item: Decoder<T>, goType: string = `[]${item.goType}`): Decoder<readonly T[] | undefined> {
  return {
    goType,
    zero: undefined,
    decode(node, position) {
      if (node.type !== "array") return mismatch(node, goType, position);
      return node.items.map((value) => (value.type === "null" ? item.zero : item.decode(value, position)));
    },
  };
}

/** Go's `map[string]T`; undefined where absent. */
export function mapOf<T>(item: Decoder<T>): Decoder<Readonly<Record<string, T>> | undefined> {
  const goType = `map[string]${item.goType}`;
  return {
    goType,
    zero: undefined,
    decode(node, position) {
      if (node.type !== "object") return mismatch(node, goType, position);
      const decodeItem = (value: JsonNode) => (value.type === "null" ? item.zero : item.decode(value, position));
      return Object.fromEntries(node.entries.map(([key, value]) => [key, decodeItem(value)]));
    },
  };
}

/** Fields by their Go names. */
type Fields<T> = { readonly [K in keyof T]: Decoder<T[K]> };

/** How a struct is named and read. */
export interface StructOptions<T> {
  /** Name in messages of type errors. Default "": Consul's own decoders are anonymous. */
  readonly structName?: string;
  /** Other spellings: alias to field name. */
  readonly aliases?: Readonly<Record<string, keyof T & string>>;
  /** True where Consul has its own decoder for the type: messages then name the field that holds it, not the ones within. */
  readonly opaque?: boolean;
  /** Fields that this version of the type does not have: their names are unknown, their values zero. */
  readonly absent?: readonly (keyof T & string)[];
}

/** A Go struct. */
export function structOf<T extends object>(
  goType: string,
  fields: Fields<T>,
  options: StructOptions<T> = {},
): Decoder<T> {
  const { structName = "", aliases = {}, opaque = false, absent = [] } = options;
  const fieldNames = Object.keys(fields) as (keyof T & string)[];
  const names = new Map<string, keyof T & string>([
    ...fieldNames.filter((name) => !absent.includes(name)).map((name) => [name.toLowerCase(), name] as const),
    ...Object.entries<keyof T & string>(aliases).map(([alias, name]) => [alias.toLowerCase(), name] as const),
  ]);
  const zero = Object.fromEntries(fieldNames.map((name) => [name, fields[name].zero])) as T;
  return {
    goType,
    zero,
    decode(node, position) {
      if (node.type !== "object") return mismatch(node, goType, position);
      const result: T = { ...zero };
      const read = <K extends keyof T & string>(name: K, value: JsonNode) => {
        const inner = opaque ? position : { struct: structName, path: [...position.path, name] };
        result[name] = value.type === "null" ? fields[name].zero : fields[name].decode(value, inner);
      };
      // Consul reads durations after all else in their struct, so an error in one is found last.
      const durations: (readonly [keyof T & string, JsonNode])[] = [];
      for (const [key, value] of node.entries) {
        const name = names.get(key.toLowerCase());
        if (name === undefined) throw new Error(`json: unknown field "${key}"`);
        const decoder: Decoder<unknown> = fields[name];
        if (decoder === durationType) durations.push([name, value]);
        else read(name, value);
      }
      for (const [name, value] of durations) read(name, value);
      return result;
    },
  };
}
