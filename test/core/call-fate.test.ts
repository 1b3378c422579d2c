import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  callFate,
  cutBy,
  isUnsendable,
  markAnswered,
  markMaybeProcessed,
  markUnprocessed,
  markUnsendable,
  wasRefused,
} from "../../src/core/call-fate.ts";

describe("callFate()", () => {
  test("is maybe-processed where nothing is known", () => {
    for (const error of [undefined, null, "lost", 7, {}, new Error("x"), new ConnectError("x", Code.Unavailable)]) {
      assert.equal(callFate(error), "maybe-processed");
    }
  });

  test("is what was recorded, along causes, the outermost first", () => {
    const inner = markUnprocessed(new Error("inner"));
    const wrapped = new Error("outer", { cause: new ConnectError("x", Code.Internal, undefined, undefined, inner) });
    assert.equal(callFate(wrapped), "unprocessed");
    assert.equal(callFate(markMaybeProcessed(wrapped)), "maybe-processed");
    assert.equal(callFate(inner), "unprocessed");
    assert.equal(callFate(markAnswered(inner)), "answered");
  });

  test("is answered for what Connect has read from an answer", () => {
    const error = new ConnectError("nobody", Code.NotFound);
    error.isWireError = true;
    assert.equal(callFate(new Error("wrapped", { cause: error })), "answered");
    // An attempt's own facts count for more.
    assert.equal(callFate(markUnprocessed(error)), "unprocessed");
  });

  test("does not go round in a ring of causes", () => {
    const ring: { cause?: unknown } = {};
    ring.cause = { cause: ring };
    assert.equal(callFate(ring), "maybe-processed");
  });

  test("tells refusals, hopeless calls, and the connection that cut them", () => {
    const connection = {};
    const refused = markUnprocessed(new Error("refused"), "refused", connection);
    const unsendable = markUnsendable(new Error("too large"));
    const lost = markMaybeProcessed(new Error("lost"), connection);
    assert.deepEqual([refused, unsendable, lost].map(wasRefused), [true, false, false]);
    assert.deepEqual([refused, unsendable, lost].map(isUnsendable), [false, true, false]);
    assert.deepEqual([refused, unsendable, lost].map(callFate), ["unprocessed", "unprocessed", "maybe-processed"]);
    assert.deepEqual(
      [refused, unsendable, lost].map((error) => cutBy(error) === connection),
      [true, false, true],
    );
  });
});
