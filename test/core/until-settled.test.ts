// Waiting for a promise no longer than one cares, and leaving nothing behind.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { settledWithin, unlessAborted } from "../../src/core/until-settled.ts";
import { createManualClock } from "../../src/testing/manual-clock.ts";

const never = new Promise<never>(() => {});

describe("unlessAborted()", () => {
  test("rejects with the signal's reason, also where it has aborted before", async () => {
    const reason = new Error("enough");
    await assert.rejects(unlessAborted(never, AbortSignal.abort(reason)), reason);
    const controller = new AbortController();
    const waiting = unlessAborted(never, controller.signal);
    controller.abort(reason);
    await assert.rejects(waiting, reason);
  });

  test("settles as the promise does", async () => {
    const { signal } = new AbortController();
    assert.equal(await unlessAborted(Promise.resolve(5), signal), 5);
    assert.equal(await unlessAborted(Promise.resolve(5), null), 5);
    const error = new Error("no");
    await assert.rejects(unlessAborted(Promise.reject(error), signal), error);
  });
});

describe("settledWithin()", () => {
  test("tells whether the promise has settled in time, whichever way, and leaves no timer", async () => {
    const clock = createManualClock();
    assert.equal(await settledWithin(Promise.reject(new Error("no")), 10, clock), true);
    const late = settledWithin(never, 10, clock);
    await clock.advance(10);
    assert.equal(await late, false);
    assert.equal(clock.pending, 0);
  });

  test("rejects with the reason of a signal that has aborted before, and leaves no timer", async () => {
    const clock = createManualClock();
    const reason = new Error("enough");
    await assert.rejects(settledWithin(never, 10, clock, AbortSignal.abort(reason)), reason);
    assert.equal(clock.pending, 0);
  });
});
