// Headers that are a plain object as long as they can, beside real ones.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { headersInit, requestHeaders } from "../../../src/transport/call/request-headers.ts";
import { seededRandom } from "../../support/seeded-random.ts";

/** What both make of the same, thrown errors included. */
function outcome(act: () => unknown): unknown {
  try {
    return act();
  } catch {
    return "an error";
  }
}

describe("requestHeaders()", () => {
  test("does what Headers do, whatever they are made of and asked for", () => {
    const { random, seed } = seededRandom();
    const one = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
    const names = [
      "x-a",
      "X-A",
      "x-b",
      "authorization",
      "Set-Cookie",
      "trace-bin",
      "constructor",
      "__proto__",
      "a b",
      "",
      "é",
    ];
    const values = [
      "1",
      "two words",
      "",
      " padded ",
      "tab\tin",
      "line\nbreak",
      "caf\u00e9",
      "\u20ac",
      "a, b",
      7 as never,
    ];
    for (let round = 0; round < 3000; round++) {
      const pairs = Array.from(
        { length: Math.floor(random() * 3) },
        () => [one(names), one(values)] as [string, string],
      );
      const init = one<HeadersInit | undefined>([undefined, pairs, Object.fromEntries(pairs)]);
      const real = outcome(() => new Headers(init));
      const ours = outcome(() => requestHeaders(init));
      assert.equal(ours instanceof Headers, real instanceof Headers, `seed ${seed}`);
      if (!(ours instanceof Headers && real instanceof Headers)) continue;
      for (let step = 0; step < 6; step++) {
        const [name, value] = [one(names), one(values)];
        const act = one<(headers: Headers) => unknown>([
          (headers) => headers.get(name),
          (headers) => headers.has(name),
          (headers) => headers.set(name, value),
          (headers) => headers.set(name, value),
          (headers) => headers.append(name, value),
          (headers) => headers.append(name, value),
          (headers) => headers.delete(name),
          (headers) => headers.getSetCookie(),
          (headers) => [...headers],
        ]);
        assert.deepEqual(
          outcome(() => act(ours)),
          outcome(() => act(real)),
          `seed ${seed}`,
        );
      }
      // Whoever makes Headers of these, by their pairs, makes the same of those.
      const copied = [...new Headers([...real])];
      const sent = headersInit(ours);
      assert.deepEqual([...new Headers(sent instanceof Headers ? [...sent] : sent)], copied, `seed ${seed}`);
      assert.deepEqual([...new Headers([...ours])], copied, `seed ${seed}`);
      const seen: string[] = [];
      ours.forEach((value, name) => {
        seen.push(name, value);
      });
      assert.deepEqual(seen, [...real].flat(), `seed ${seed}`);
    }
  });

  test("stays a plain object as long as nobody asks for more, and is a copy", () => {
    const init = { "X-A": "1" };
    const headers = requestHeaders(init);
    headers.set("Authorization", "Bearer x");
    headers.append("x-b", "2");
    assert.equal(headers.get("X-a"), "1");
    assert.equal(headers.has("x-c"), false);
    const sent = headersInit(headers);
    assert.ok(headers instanceof Headers);
    assert.ok(!(sent instanceof Headers));
    assert.deepEqual(sent, { "x-a": "1", authorization: "Bearer x", "x-b": "2" });
    assert.deepEqual(init, { "X-A": "1" });
    assert.equal(new Headers(headers).get("x-b"), "2");
    headers.append("x-b", "3");
    const joined = headersInit(headers);
    assert.ok(joined instanceof Headers);
    assert.equal(joined.get("x-b"), "2, 3");
    headers.set("x-b", "4");
    assert.equal(new Headers(headersInit(headers)).get("x-b"), "4");
  });

  test("throws ConnectError for what no Headers are made of", () => {
    assert.throws(() => requestHeaders({ "not a name": "x" }), ConnectError);
    assert.throws(() => requestHeaders([["x-a", "line\nbreak"]]), ConnectError);
  });
});

test("headersInit() leaves other people's headers as they are", () => {
  const headers = new Headers({ "x-a": "1" });
  assert.equal(headersInit(headers), headers);
});
