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
    ["no time", { endpoints: [] }, /"confirmedAtMs" must be a time in Unix milliseconds: received undefined/],
    ["a time in text", { endpoints: [], confirmedAtMs: "2026-01-01" }, /"confirmedAtMs"/],
    ["a time without end", { endpoints: [], confirmedAtMs: Number.POSITIVE_INFINITY }, /"confirmedAtMs"/],
    [
      "staleness in text",
      { endpoints: [], confirmedAtMs: 1, stale: "no" },
      /"stale" must be true or false: received string/,
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

  const cycle: Record<string, unknown> = { url: "s3cret" };
  cycle.meta = cycle;
  for (const [what, json, text] of [
    [
      "a list in another",
      { endpoints: [["s3cret"]], confirmedAtMs: 1 },
      /endpoints\[0\] as it must be.*: received a list$/,
    ],
    ["a list that is an object", { endpoints: { a: "s3cret" }, confirmedAtMs: 1 }, /must be a list: received object$/],
    [
      "credentials",
      { endpoints: ["http://a", "http://me:s3cret@b"], confirmedAtMs: 1 },
      /endpoints\[1\] .*"http:\/\/…"$/,
    ],
    ["credentials with a ? in them", { endpoints: ["http://me:s3c?s3cret@b"], confirmedAtMs: 1 }, /"http:\/\/…"$/],
    ["a password that looks like a port", { endpoints: ["http://me:s3cret/"], confirmedAtMs: 1 }, /"http:\/\/…"$/],
    ["a token in the query", { endpoints: ["http://a/b?token=s3cret"], confirmedAtMs: 1 }, /"http:\/\/a\/b…"$/],
    ["a token in the fragment", { endpoints: ["http://a#s3cret"], confirmedAtMs: 1 }, /"http:\/\/a…"$/],
    [
      "an id that repeats",
      {
        endpoints: [
          { url: "http://a", id: "s3cret" },
          { url: "http://b", id: "s3cret" },
        ],
        confirmedAtMs: 1,
      },
      /endpoints\[1\] as ids must be unique: received that of endpoints\[0\]$/,
    ],
    [
      "a health",
      { endpoints: [{ url: "http://a", health: "s3cret" }], confirmedAtMs: 1 },
      /"health" must be .*: received another text$/,
    ],
    [
      "tags",
      { endpoints: [{ url: "http://a", tags: ["s3cret", 1n] }], confirmedAtMs: 1 },
      /"tags" must be .*: received bigint at 1$/,
    ],
    [
      "meta",
      { endpoints: [{ url: "http://a", meta: { s3cret: "s3cret", b: { c: "s3cret" } } }], confirmedAtMs: 1 },
      /"meta" must be .*: received object at 1$/,
    ],
    ["what contains itself", { endpoints: [cycle], confirmedAtMs: 1 }, /"url" must be/],
    ["a time of the wrong kind", { endpoints: [], confirmedAtMs: 1n }, /"confirmedAtMs" must be .*: received bigint$/],
    [
      "a time that is a list",
      { endpoints: [], confirmedAtMs: ["s3cret"] },
      /"confirmedAtMs" must be .*: received a list$/,
    ],
  ] as const) {
    test(`shows where the fault is and none of its content: ${what}`, () => {
      assert.throws(
        () => parseSnapshot(json),
        (error) => error instanceof TypeError && text.test(error.message) && !error.message.includes("s3cret"),
      );
    });
  }

  test("walks through nothing that it refuses", () => {
    const endless = new Proxy({}, { ownKeys: () => assert.fail("the keys were asked for") });
    assert.throws(() => parseSnapshot({ endpoints: endless, confirmedAtMs: 1 }), /must be a list: received object/);
    assert.throws(() => parseSnapshot({ endpoints: [], confirmedAtMs: endless }), /"confirmedAtMs"/);
    const long = `http://${"a".repeat(10_000)}/b`;
    assert.throws(
      () => parseSnapshot({ endpoints: [long], confirmedAtMs: 1 }),
      ({ message }: Error) => message.length < 400,
    );
  });
});
