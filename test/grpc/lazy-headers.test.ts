import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { inspect } from "node:util";
import { lazyHeaders } from "../../src/grpc/lazy-headers.ts";

const fields = [":status", "200", "x-a", "1", "x-b", "2", "x-a", "3"];

describe("lazyHeaders()", () => {
  test("has everything that Headers has", () => {
    const headers = lazyHeaders(fields);
    const own = Object.getPrototypeOf(headers);
    for (const key of Reflect.ownKeys(Headers.prototype)) {
      const { value, get } = Object.getOwnPropertyDescriptor(Headers.prototype, key) ?? {};
      if (typeof value === "function" || get !== undefined) assert.ok(Object.hasOwn(own, key), String(key));
    }
    assert.ok(headers instanceof Headers);
    assert.equal(Object.prototype.toString.call(headers), "[object Headers]");
    assert.equal(headers.get("X-A"), "1, 3");
    assert.equal(headers.has("x-c"), false);
    assert.deepEqual([...headers.keys()], ["x-a", "x-b"]);
    assert.deepEqual([...headers.values()], ["1, 3", "2"]);
    assert.deepEqual([...headers.entries()], [...headers]);
    const seen: string[] = [];
    headers.forEach((value, name) => {
      seen.push(name, value);
    });
    assert.deepEqual(seen, ["x-a", "1, 3", "x-b", "2"]);
    assert.deepEqual(headers.getSetCookie(), []);
  });

  test("is taken where Headers are", () => {
    assert.equal(new Headers(lazyHeaders(fields)).get("x-a"), "1, 3");
    assert.equal(new Response(null, { headers: lazyHeaders(fields) }).headers.get("x-b"), "2");
    assert.equal(new Request("http://a.test", { headers: lazyHeaders(fields) }).headers.get("x-b"), "2");
    assert.match(inspect(lazyHeaders(fields)), /x-b/);
  });

  test("is its own where two have the same fields", () => {
    const one = lazyHeaders(fields);
    const other = lazyHeaders(fields);
    one.set("x-a", "changed");
    one.append("x-d", "4");
    one.delete("x-b");
    assert.deepEqual(
      [...one],
      [
        ["x-a", "changed"],
        ["x-d", "4"],
      ],
    );
    assert.equal(other.get("x-a"), "1, 3");
  });
});
