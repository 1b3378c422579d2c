// Go's plain types, and durations as Consul takes them.

import { type Decoder, mismatch } from "./decoder.ts";
import { parseGoDuration } from "./duration.ts";

/** Go's `string`. */
export const stringType: Decoder<string> = {
  goType: "string",
  zero: "",
  decode: (node, position) => (node.type === "string" ? node.value : mismatch(node, "string", position)),
};

/** Go's `bool`. */
export const boolType: Decoder<boolean> = {
  goType: "bool",
  zero: false,
  decode: (node, position) => (node.type === "bool" ? node.value : mismatch(node, "bool", position)),
};

/** Go's `int`, 64 bits: a fraction, an exponent or a larger number is an error. */
export const intType: Decoder<number> = {
  goType: "int",
  zero: 0,
  decode(node, position) {
    if (node.type !== "number") return mismatch(node, "int", position);
    const value = Number(node.text);
    if (/^-?[0-9]+$/.test(node.text) && Math.abs(value) < 2 ** 63) return value;
    return mismatch(node, "int", position, node.text);
  },
};

/** Milliseconds. Consul takes a Go duration or a number of nanoseconds; anything else counts as 0. */
export const durationType: Decoder<number> = {
  goType: "time.Duration",
  zero: 0,
  decode(node) {
    if (node.type === "string") return parseGoDuration(node.value);
    return node.type === "number" ? Number(node.text) / 1e6 : 0;
  },
};
