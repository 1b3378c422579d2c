import assert from "node:assert/strict";
import { test } from "node:test";
import { compareIndex, readIndex } from "../../src/consul/consul-index.ts";

test("compareIndex() orders exactly when numbers would lose digits", () => {
  assert.equal(Math.sign(compareIndex("9", "10")), -1);
  assert.equal(compareIndex("42", "42"), 0);
  assert.equal(compareIndex("042", "42"), 0);
  assert.equal(Math.sign(compareIndex("18446744073709551615", "18446744073709551614")), 1);
  assert.equal(Math.sign(compareIndex("9007199254740992", "9007199254740993")), -1);
});

test("compareIndex() throws TypeError when an index is not decimal", () => {
  for (const bad of ["", "-1", "1.5", "0x10", " 1", "abc"]) {
    assert.throws(() => compareIndex(bad, "1"), TypeError, bad);
    assert.throws(() => compareIndex("1", bad), TypeError, bad);
  }
});

test("readIndex() clamps to 1 and gives undefined when there is no number", () => {
  assert.equal(readIndex("42"), "42");
  assert.equal(readIndex("18446744073709551615"), "18446744073709551615");
  assert.equal(readIndex("0"), "1");
  assert.equal(readIndex(null), undefined);
  assert.equal(readIndex(""), undefined);
  assert.equal(readIndex("nonsense"), undefined);
});
