import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { GradientLimit } from "../../../src/server/overload/gradient-limit.ts";

/** A server whose latency is 10 ms for up to `capacity` calls at a time, and grows in proportion beyond; as busy as the limit allows. */
function run(limit: GradientLimit, capacity: number, windows: number, fromMs = 0): number {
  let nowMs = fromMs;
  for (let window = 0; window < windows; window++) {
    const running = limit.current;
    const tookMs = 10 * Math.max(1, running / capacity);
    for (let call = 0; call < 20; call++) {
      nowMs += 6;
      limit.sample(tookMs, running, nowMs);
    }
  }
  return nowMs;
}

describe("GradientLimit", () => {
  test("grows while latency does not", () => {
    const limit = new GradientLimit();
    assert.equal(limit.current, 32);
    run(limit, 1_000_000, 40);
    assert.equal(limit.current, 10_000);
  });

  test("settles near what the server can do at a time", () => {
    for (const capacity of [20, 200, 1000]) {
      const limit = new GradientLimit();
      run(limit, capacity, 500);
      assert.ok(limit.current > capacity && limit.current < 4 * capacity, `${capacity}: ${limit.current}`);
    }
  });

  test("comes down when what it depends on slows down, and up again after", () => {
    const limit = new GradientLimit();
    const nowMs = run(limit, 400, 500);
    const before = limit.current;
    const laterMs = run(limit, 40, 60, nowMs);
    assert.ok(limit.current < before / 3, `${before} -> ${limit.current}`);
    run(limit, 400, 500, laterMs);
    assert.ok(limit.current > before / 2, `${limit.current}, before ${before}`);
  });

  test("does not stay down where fewer calls are no faster", () => {
    const limit = new GradientLimit();
    let nowMs = run(limit, 400, 500);
    const before = limit.current;
    // What it calls takes ten times as long from now on, however many ask.
    for (let call = 0; call < 10_000; call++) {
      nowMs += 6;
      limit.sample(100, limit.current, nowMs);
    }
    assert.ok(limit.current > before, `${before} -> ${limit.current}`);
  });

  test("does not give way in an overload that lasts", () => {
    const limit = new GradientLimit();
    const nowMs = run(limit, 100, 500);
    const before = limit.current;
    run(limit, 100, 20_000, nowMs);
    assert.ok(limit.current < 1.5 * before, `${before} -> ${limit.current}`);
  });

  test("does not grow for a server that has little to do", () => {
    const limit = new GradientLimit();
    for (let call = 0; call < 5000; call++) limit.sample(10, 3, call * 5);
    assert.equal(limit.current, 32);
  });

  test("never comes below 4", () => {
    const limit = new GradientLimit();
    const nowMs = run(limit, 100, 100);
    run(limit, 0.01, 200, nowMs);
    assert.equal(limit.current, 4);
  });

  test("comes down to where calls are in time, though it learned what is usual while all were slow", () => {
    const limit = new GradientLimit();
    // One after the other, 40 ms each, for callers who wait 1 s.
    let nowMs = 0;
    let late = 0;
    for (let round = 0; round < 100; round++) {
      const running = limit.current;
      const tookMs = running * 40;
      nowMs += tookMs;
      if (round >= 50 && tookMs > 1000) late++;
      for (let call = 0; call < running; call++) limit.sample(tookMs, running, nowMs, tookMs > 1000);
    }
    assert.ok(late <= 10, `${late} of 50 rounds in vain, limit ${limit.current}`);
    assert.ok(limit.current >= 8, String(limit.current));
  });

  test("does not come down for callers who wait less than a call takes however few there are", () => {
    const limit = new GradientLimit();
    let nowMs = 0;
    for (let round = 0; round < 200; round++) {
      nowMs += 100;
      const running = limit.current;
      for (let call = 0; call < running; call++) limit.sample(100, running, nowMs, true);
    }
    assert.ok(limit.current > 200, String(limit.current));
  });
});
