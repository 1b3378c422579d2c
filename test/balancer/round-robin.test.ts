import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Picker } from "../../src/balancer/picker.ts";
import { roundRobin } from "../../src/balancer/round-robin.ts";
import { endpoint } from "../support/endpoints.ts";

const [a, b, c, d] = ["a", "b", "c", "d"].map((id) => endpoint(id)) as [
  ReturnType<typeof endpoint>,
  ...ReturnType<typeof endpoint>[],
];

function take(picker: Picker, count: number): string {
  return Array.from({ length: count }, () => picker.pick()?.endpoint.id ?? "-").join("");
}

describe("roundRobin()", () => {
  test("goes round in the order of the list", () => {
    assert.equal(take(roundRobin([a, b!, c!], undefined), 7), "abcabca");
  });

  test("picks nothing when the list is empty", () => {
    assert.equal(roundRobin([], undefined).pick(), undefined);
  });

  test("keeps its place when an update leaves the list as it was", () => {
    const first = roundRobin([a, b!, c!], undefined);
    take(first, 2);
    assert.equal(take(roundRobin([a, b!, c!], first), 3), "cab");
  });

  test("goes on after the endpoint that went away", () => {
    const first = roundRobin([a, b!, c!], undefined);
    take(first, 1);
    assert.equal(take(roundRobin([a, c!], first), 3), "cac");
    const second = roundRobin([a, b!, c!], undefined);
    take(second, 2);
    assert.equal(take(roundRobin([a, b!], second), 3), "aba");
  });

  test("takes a newcomer into its turn", () => {
    const first = roundRobin([a, c!], undefined);
    take(first, 1);
    assert.equal(take(roundRobin([a, b!, c!, d!], first), 4), "cdab");
  });

  test("starts at the beginning after an empty list", () => {
    assert.equal(take(roundRobin([b!, c!], roundRobin([], undefined)), 3), "bcb");
  });

  test("skips excluded endpoints, and picks nothing when all are", () => {
    const picker = roundRobin([a, b!, c!], undefined);
    assert.equal(picker.pick(new Set(["a", "b"]))?.endpoint.id, "c");
    assert.equal(picker.pick(new Set(["a", "b", "c"])), undefined);
  });
});
