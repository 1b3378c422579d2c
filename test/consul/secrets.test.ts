import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { createScrubber } from "../../src/consul/secrets.ts";

const token = "b1gs3cr3t/+=";

test("createScrubber() removes a secret and its percent-encoded form from texts", () => {
  const scrubber = createScrubber([token, ""]);
  assert.equal(scrubber.text(`a ${token} b ${encodeURIComponent(token)} c`), "a *** b *** c");
  assert.equal(scrubber.text("nothing"), "nothing");
});

test("createScrubber() removes the longer secret when one is part of another", () => {
  assert.equal(createScrubber(["abc", "abcdef"]).text("x abcdef y"), "x *** y");
});

test("createScrubber() leaves an error alone when no secret is in it", () => {
  const error = new TypeError("fetch failed", { cause: Object.assign(new Error("refused"), { code: "ECONNREFUSED" }) });
  assert.equal(createScrubber([token]).cause(error), error);
  assert.equal(createScrubber([]).cause(error), error);
});

test("createScrubber() copies an error without the secret wherever it hides", () => {
  const hidden: Error[] = [
    new TypeError(`bad header ${token}`),
    new Error("outer", { cause: new Error("middle", { cause: new Error(`inner ${token}`) }) }),
    new AggregateError([new Error("fine"), new Error(token)], "all failed"),
    Object.assign(new Error("with request"), { request: { headers: { "X-Consul-Token": token } } }),
    Object.assign(new Error("coded"), { code: `E_${token}` }),
  ];
  for (const error of hidden) {
    const copy = createScrubber([token]).cause(error);
    assert.ok(copy instanceof Error);
    assert.notEqual(copy, error);
    assert.ok(!inspect(copy, { depth: 10, showHidden: true }).includes(token), inspect(copy));
    assert.equal(copy.name, error.name);
  }
});

test("createScrubber() copes with cycles and throwing getters", () => {
  const error: Error & { self?: unknown } = new Error(token);
  error.self = error;
  error.cause = error;
  Object.defineProperty(error, "trap", {
    get() {
      throw new Error("trap");
    },
  });
  const copy = createScrubber([token]).cause(error);
  assert.ok(!inspect(copy, { depth: 20 }).includes(token));
});

test("createScrubber() scrubs thrown texts", () => {
  assert.equal(createScrubber([token]).cause(`no ${token}`), "no ***");
});
