// What counts as a snapshot, whoever sends it.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseSnapshot } from "../../src/edge/snapshot.ts";
import { endpoint } from "../support/endpoints.ts";

describe("parseSnapshot()", () => {
  test("gives back what JSON kept of a whole snapshot", () => {
    const whole = {
      endpoints: [
        endpoint("a", { weight: 3, health: "warning", zone: "dc1", tags: ["v2"], meta: { x: "y" } }),
        endpoint("b"),
      ],
      confirmedAtMs: 1_700_000_000_000,
      stale: true,
      isGraceOver: true,
    };
    assert.deepEqual(parseSnapshot(JSON.parse(JSON.stringify(whole))), whole);
  });

  test("completes, sorts, and leaves out what it does not know", () => {
    const { endpoints, ...rest } = parseSnapshot({
      endpoints: ["https://b.test", { url: "http://[::1]:80", extra: 1 }],
      confirmedAtMs: 0,
      stale: false,
      version: 1,
    });
    assert.deepEqual(rest, { confirmedAtMs: 0 });
    assert.deepEqual(endpoints[0], {
      id: "http://[::1]:80",
      url: "http://[::1]:80",
      weight: 1,
      health: "passing",
      zone: "",
      tags: [],
      meta: {},
    });
    assert.equal(endpoints[1]?.url, "https://b.test:443");
    assert.deepEqual(parseSnapshot({ endpoints: [], confirmedAtMs: 5 }), { endpoints: [], confirmedAtMs: 5 });
  });

  for (const [what, json, text] of [
    ["no object", null, /it must be an object/],
    ["text", '{"endpoints":[]}', /it must be an object: received string/],
    ["no time", { endpoints: [] }, /"confirmedAtMs" must be a time in Unix milliseconds: received none/],
    ["a time in text", { endpoints: [], confirmedAtMs: "2026-01-01" }, /"confirmedAtMs"/],
    ["a time without end", { endpoints: [], confirmedAtMs: Number.POSITIVE_INFINITY }, /"confirmedAtMs"/],
    [
      "staleness in text",
      { endpoints: [], confirmedAtMs: 1, stale: "no" },
      /"stale" must be true or false: received "no"/,
    ],
    ["a grace in text", { endpoints: [], confirmedAtMs: 1, isGraceOver: 1 }, /"isGraceOver" must be true or false/],
    ["no list", { confirmedAtMs: 1 }, /endpoints as they must be a list: received undefined/],
    [
      "an endpoint without a URL",
      { endpoints: [{ id: "a" }], confirmedAtMs: 1 },
      /"url" must be .*: received undefined/,
    ],
    [
      "a weight out of range",
      { endpoints: [{ url: "http://a", weight: 0 }], confirmedAtMs: 1 },
      /"weight" must be .*: received 0/,
    ],
    [
      "a health that is none",
      { endpoints: [{ url: "http://a", health: "critical" }], confirmedAtMs: 1 },
      /"health" must be passing or warning/,
    ],
    [
      "tags that are no texts",
      { endpoints: [{ url: "http://a", tags: [1] }], confirmedAtMs: 1 },
      /"tags" must be a list/,
    ],
    [
      "meta that is no text",
      { endpoints: [{ url: "http://a", meta: { a: 1 } }], confirmedAtMs: 1 },
      /"meta" must be an object/,
    ],
    ["a URL with a path", { endpoints: ["http://a/b"], confirmedAtMs: 1 }, /http or https origin/],
    ["another scheme", { endpoints: ["javascript:alert(1)"], confirmedAtMs: 1 }, /http or https origin/],
    ["ids that repeat", { endpoints: ["http://a", "http://a:80"], confirmedAtMs: 1 }, /ids must be unique/],
  ] as const) {
    test(`throws TypeError for ${what}`, () => {
      assert.throws(() => parseSnapshot(json), { name: "TypeError", message: text });
    });
  }
});
