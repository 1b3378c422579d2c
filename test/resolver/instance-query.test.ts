// What may be asked of Consul about a service, and what is refused before anything is sent.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type InstanceQuery, instanceQueryKey, resolveInstanceQuery } from "../../src/resolver/instance-query.ts";
import { resolveServiceQuery } from "../../src/resolver/service-query.ts";

describe("resolveInstanceQuery()", () => {
  for (const [options, rule] of [
    [{ service: "" }, '"service" must be a non-empty string: received ""'],
    [{ service: undefined as never }, '"service" must be a non-empty string: received undefined'],
    [{ passingOnly: "false" as never }, '"passingOnly" must be true or false: received "false"'],
    [{ tags: "ab" as never }, '"tags" must be a list of non-empty strings: received "ab"'],
    [{ tags: ["a", ""] }, '"tags" must be a list of non-empty strings: received a list'],
    [{ near: { node: "s3cret" } as never }, '"near" must be a non-empty string: received object'],
    [{ filter: 1n as never }, '"filter" must be a non-empty string: received bigint'],
    [{ filter: "" }, '"filter" must be a non-empty string: received ""'],
    [{ near: "" }, '"near" must be a non-empty string: received ""'],
    [{ datacenter: "" }, '"datacenter" must be a non-empty string: received ""'],
    [{ datacenter: 1 as never }, '"datacenter" must be a non-empty string: received 1'],
    [{ consistency: "weak" as never }, '"consistency" must be default, stale or consistent: received "weak"'],
    [{ scheme: "h2c" as never }, '"scheme" must be http or https: received "h2c"'],
  ] as const satisfies readonly (readonly [Partial<InstanceQuery>, string])[]) {
    test(`throws TypeError where ${rule}`, () => {
      const query = { service: "Hello", ...options };
      assert.throws(() => resolveInstanceQuery(query), {
        name: "TypeError",
        message: `Cannot watch a service as ${rule}`,
      });
      assert.throws(() => resolveInstanceQuery(query, "find"), { message: `Cannot find a service as ${rule}` });
    });
  }
});

test("resolveServiceQuery() throws RangeError for a wait outside its range, or in text", () => {
  for (const waitMs of [999, 60_001, Number.NaN, "5000" as never]) {
    assert.throws(() => resolveServiceQuery({ service: "Hello", consul: {}, waitMs }), {
      name: "RangeError",
      message: `Cannot watch a service as "waitMs" must be from 1000 to 60000: received ${waitMs}`,
    });
  }
});

test("instanceQueryKey() tells queries apart that may list other instances, and no others", () => {
  const key = (options: Partial<InstanceQuery> = {}) =>
    instanceQueryKey(resolveInstanceQuery({ service: "Hello", ...options }));
  assert.equal(key({ service: "hello", passingOnly: true, scheme: "https" }), key());
  assert.equal(key({ tags: ["a", "b"] }), key({ tags: ["b", "a"] }));
  const others = [
    key({ service: "Other" }),
    key({ passingOnly: false }),
    key({ tags: ["a"] }),
    key({ filter: "a" }),
    key({ near: "a" }),
    key({ datacenter: "a" }),
    key({ consistency: "stale" }),
  ];
  assert.equal(new Set([key(), ...others]).size, others.length + 1);
});
