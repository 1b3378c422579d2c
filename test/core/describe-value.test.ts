// What messages show of what others wrote.

import assert from "node:assert/strict";
import { test } from "node:test";
import { describeAddress, describeValue } from "../../src/core/describe-value.ts";

test("describeValue() shows numbers and booleans, and of anything else the kind", () => {
  for (const [value, text] of [
    [5, "5"],
    [Number.NaN, "NaN"],
    [true, "true"],
    [null, "null"],
    [undefined, "undefined"],
    ["s3cret", "string"],
    [5n, "bigint"],
    [["s3cret"], "a list"],
    [{ a: "s3cret" }, "object"],
    [() => {}, "function"],
  ] as const) {
    assert.equal(describeValue(value), text);
  }
});

test("describeAddress() leaves out query, fragment and whatever may be credentials", () => {
  for (const [text, shown] of [
    ["http://10.0.0.1:8500/consul", "http://10.0.0.1:8500/consul"],
    ["[fd00::1]:8500", "[fd00::1]:8500"],
    ["localhost:80", "localhost:80"],
    ["host name", "host name"],
    ["unix:///run/consul.sock", "unix:///run/consul.sock"],
    ["http://h/?token=s", "http://h/…"],
    ["http://h#s", "http://h…"],
    ["h:80?next=a@b&token=s", "…"],
    ["http://h/%3Ftoken=s", "http://h/…"],
    ["http://me:s@h", "http://…"],
    ["http://me:s?s@h/x", "http://…"],
    ["http://me:s%40h", "http://…"],
    ["me:s", "…"],
    ["http://me:s/", "http://…"],
    ["http://me%3as", "http://…"],
    ["javascript:alert(1)", "…"],
    ["", ""],
  ] as const) {
    assert.equal(describeAddress(text), shown, text);
  }
  assert.equal(describeAddress(`http://${"a".repeat(1000)}`).length, "http://".length + 200);
});
