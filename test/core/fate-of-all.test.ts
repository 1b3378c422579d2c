import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { callFate, markAnswered, markMaybeProcessed, markUnprocessed } from "../../src/core/call-fate.ts";
import { FateOfAll } from "../../src/core/fate-of-all.ts";

const unprocessed = () => markUnprocessed(new ConnectError("nobody", Code.Unavailable, { "x-a": "1" }));
const maybe = () => markMaybeProcessed(new ConnectError("lost", Code.Unavailable));

describe("FateOfAll", () => {
  test("leaves the error of a call that was never asked for, or in vain each time, as it is", () => {
    const fate = new FateOfAll();
    const error = unprocessed();
    assert.equal(fate.told(error), error);
    for (const failed of [unprocessed(), error]) {
      fate.asked();
      fate.failedOnce(failed);
    }
    assert.equal(fate.told(error), error);
    assert.equal(callFate(error), "unprocessed");
  });

  test("does not believe that a call is unprocessed which may have run another time, or is under way", () => {
    for (const first of [maybe(), markAnswered(new ConnectError("no", Code.NotFound)), undefined]) {
      const fate = new FateOfAll();
      fate.asked();
      if (first !== undefined) fate.failedOnce(first);
      fate.asked();
      const second = unprocessed();
      fate.failedOnce(second);
      const told = fate.told(second);
      assert.equal(callFate(told), "maybe-processed");
      assert.deepEqual([told.code, told.rawMessage, told.metadata.get("x-a"), told.cause], [14, "nobody", "1", second]);
      // It may be the error of others, too.
      assert.equal(callFate(second), "unprocessed");
    }
  });

  test("leaves other fates as they are", () => {
    const fate = new FateOfAll();
    fate.asked();
    for (const error of [maybe(), markAnswered(new ConnectError("no", Code.NotFound))]) {
      assert.equal(fate.told(error), error);
    }
  });
});
