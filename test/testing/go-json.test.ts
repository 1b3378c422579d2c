// Go's texts, which Consul's callers see: https://pkg.go.dev/encoding/json, https://pkg.go.dev/time#ParseDuration

import assert from "node:assert/strict";
import { test } from "node:test";
import { formatGoDuration, parseGoDuration } from "../../src/testing/consul/go/duration.ts";
import { type JsonNode, parseGoJson } from "../../src/testing/consul/go/json.ts";

/** The value that JSON.parse would give. */
function plain(node: JsonNode): unknown {
  switch (node.type) {
    case "object":
      return Object.fromEntries(node.entries.map(([key, value]) => [key, plain(value)]));
    case "array":
      return node.items.map(plain);
    case "number":
      return Number(node.text);
    case "null":
      return null;
    default:
      return node.value;
  }
}

test("parseGoJson() reads what JSON.parse reads", () => {
  const texts = [
    "null",
    "true",
    " false ",
    "-0.5e+10",
    "[]",
    "{}",
    '{"a":[1,2,{"b":null}],"c":"\\u00e9\\n\\"\\\\\\/\\b\\f\\r\\t"}',
    '"é😀"',
    "[1e5, 0, -12]",
    '{"":{"":[[]]}}',
  ];
  for (const text of texts) assert.deepEqual(plain(parseGoJson(text)), JSON.parse(text), text);
});

test("parseGoJson() stops after the first value", () => {
  assert.deepEqual(plain(parseGoJson('{"a":1} {')), { a: 1 });
});

test("parseGoJson() fails with Go's text when the input is no JSON", () => {
  const cases: readonly (readonly [text: string, error: string])[] = [
    ["", "EOF"],
    [" \n", "EOF"],
    ["{", "unexpected EOF"],
    ['"abc', "unexpected EOF"],
    ["tru", "unexpected EOF"],
    ["-", "unexpected EOF"],
    ["nope", "invalid character 'o' in literal null (expecting 'u')"],
    ["'a'", "invalid character '\\'' looking for beginning of value"],
    ["[1 2]", "invalid character '2' after array element"],
    ["[,]", "invalid character ',' looking for beginning of value"],
    ['{"a" 1}', "invalid character '1' after object key"],
    ['{"a":1]', "invalid character ']' after object key:value pair"],
    ["{a:1}", "invalid character 'a' looking for beginning of object key string"],
    ['{"a":1,}', "invalid character '}' looking for beginning of object key string"],
    ['"a\u0001"', "invalid character '\\x01' in string literal"],
    ['"\\q"', "invalid character 'q' in string escape code"],
    ['"\\u00g0"', "invalid character 'g' in \\u hexadecimal character escape"],
    ["[1.]", "invalid character ']' after decimal point in numeric literal"],
    ["[-a]", "invalid character 'a' in numeric literal"],
    ["[1ex]", "invalid character 'x' in exponent of numeric literal"],
  ];
  for (const [text, error] of cases) assert.throws(() => parseGoJson(text), { message: error }, text);
});

test("parseGoJson() fails when the input is nested too deeply", () => {
  assert.throws(() => parseGoJson("[".repeat(1_002)), { message: "exceeded max depth" });
});

test("parseGoDuration() reads durations in milliseconds", () => {
  const cases = [
    ["0", 0],
    ["0s", 0],
    ["20s", 20_000],
    ["1m30s", 90_000],
    ["1.5h", 5_400_000],
    [".5s", 500],
    ["1h2m3.5s", 3_723_500],
    ["-1s", -1000],
    ["+5s", 5000],
    ["1500us", 1.5],
    ["15ns", 15e-6],
  ] as const;
  for (const [text, ms] of cases) assert.equal(parseGoDuration(text), ms, text);
});

test("parseGoDuration() fails with Go's text when it is no duration", () => {
  const cases = [
    ["", 'time: invalid duration ""'],
    ["s", 'time: invalid duration "s"'],
    [".", 'time: invalid duration "."'],
    ["-", 'time: invalid duration "-"'],
    ["15", 'time: missing unit in duration "15"'],
    ["5x", 'time: unknown unit "x" in duration "5x"'],
    ["5 s", 'time: unknown unit " s" in duration "5 s"'],
    ["99999999999h", 'time: invalid duration "99999999999h"'],
  ] as const;
  for (const [text, message] of cases) assert.throws(() => parseGoDuration(text), { message }, text);
});

test("formatGoDuration() writes durations as Go does", () => {
  const cases = [
    [0, ""],
    [0.5, "500µs"],
    [300, "300ms"],
    [1500, "1.5s"],
    [10_000, "10s"],
    [90_000, "1m30s"],
    [3_600_000, "1h0m0s"],
  ] as const;
  for (const [ms, text] of cases) assert.equal(formatGoDuration(ms), text);
});
