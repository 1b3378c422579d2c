import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createCallTracker } from "../../src/server/call-tracker.ts";

describe("createCallTracker()", () => {
  test("is idle at once where nothing is under way", async () => {
    await createCallTracker().idle();
  });

  test("is idle when the last call has ended, and counts each end once", async () => {
    const calls = createCallTracker();
    const [first, second] = [calls.begin(), calls.begin()];
    let idle = false;
    const waiting = calls.idle().then(() => {
      idle = true;
    });
    first();
    first();
    await Promise.resolve();
    assert.equal(idle, false);
    assert.equal(calls.active.size, 1);
    second();
    await waiting;
    assert.equal(calls.active.size, 0);
  });

  test("tells the calls of a snapshot that are still under way", () => {
    const calls = createCallTracker();
    const end = calls.begin();
    calls.begin();
    const snapshot = [...calls.active];
    end();
    calls.begin();
    assert.equal(snapshot.filter((call) => calls.active.has(call)).length, 1);
  });
});
