import assert from "node:assert/strict";
import { test } from "node:test";
import { UsageError } from "../../src/cli/command-line.ts";
import { parseAdvertise } from "../../src/cli/server-settings.ts";

test("parseAdvertise() reads hosts with and without a port", () => {
  assert.deepEqual(parseAdvertise("example.org"), { host: "example.org" });
  assert.deepEqual(parseAdvertise("example.org:443"), { host: "example.org", port: 443 });
  assert.deepEqual(parseAdvertise("10.0.0.1"), { host: "10.0.0.1" });
  assert.deepEqual(parseAdvertise("2001:db8::1"), { host: "2001:db8::1" });
  assert.deepEqual(parseAdvertise("[2001:db8::1]"), { host: "2001:db8::1" });
  assert.deepEqual(parseAdvertise("[2001:db8::1]:443"), { host: "2001:db8::1", port: 443 });
});

test("parseAdvertise() refuses anything else in one line", () => {
  for (const text of ["a:0", "a:65536", "a:b", "a:1:2", ":1", "a:", "http://a", "a b", "[a]:1", "[x]"]) {
    assert.throws(() => parseAdvertise(text), UsageError, text);
  }
});
