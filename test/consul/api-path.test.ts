import assert from "node:assert/strict";
import { test } from "node:test";
import { keyPath, pathSegment } from "../../src/consul/api-path.ts";

test("pathSegment() escapes all that a path would read", () => {
  assert.equal(pathSegment("a service", "127.0.0.1:10000:HelloService"), "127.0.0.1:10000:HelloService");
  assert.equal(pathSegment("a service", "a/b c?d#e%f"), "a%2Fb%20c%3Fd%23e%25f");
  assert.equal(pathSegment("a service", "ünï"), "%C3%BCn%C3%AF");
});

test("pathSegment() throws TypeError when the request would go elsewhere", () => {
  for (const bad of ["", ".", "..", "a/../b", "/a", "a//b", "a\nb", "\ud800"]) {
    assert.throws(() => pathSegment("a service", bad), TypeError, JSON.stringify(bad));
  }
  assert.throws(() => pathSegment("a service", undefined as unknown as string), TypeError);
});

test("keyPath() keeps slashes and escapes segments", () => {
  assert.equal(keyPath("app/ü ☃/x?y"), "app/%C3%BC%20%E2%98%83/x%3Fy");
  assert.equal(keyPath("folder/"), "folder/");
  assert.equal(keyPath(""), "");
  assert.equal(keyPath("a/...b"), "a/...b");
});

test("keyPath() throws TypeError when Consul would redirect or URLs would resolve the key", () => {
  for (const bad of ["/a", "a//b", "a/../agent/self", ".", "..", "a/./b", "a\tb", "\udfff"]) {
    assert.throws(() => keyPath(bad), TypeError, JSON.stringify(bad));
  }
});
