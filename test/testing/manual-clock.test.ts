import assert from "node:assert/strict";
import { test } from "node:test";
import { createManualClock } from "../../src/testing/index.ts";

test("createManualClock() stands still when nobody advances it", () => {
  const clock = createManualClock(5);
  assert.equal(clock.now(), 5);
  assert.equal(createManualClock().now(), 0);
});

test("advance() fires timers in order, each at its own time, when they are due", async () => {
  const clock = createManualClock();
  const fired: [string, number][] = [];
  const fire = (name: string) => () => fired.push([name, clock.now()]);
  clock.schedule(20, fire("late"));
  clock.schedule(10, fire("early"));
  clock.schedule(10, fire("early, second"));
  clock.schedule(-5, fire("overdue"));
  clock.schedule(31, fire("not yet"));
  assert.equal(fired.length, 0);
  await clock.advance(30);
  assert.deepEqual(fired, [
    ["overdue", 0],
    ["early", 10],
    ["early, second", 10],
    ["late", 20],
  ]);
  assert.deepEqual([clock.now(), clock.pending], [30, 1]);
});

test("advance() fires timers that were scheduled meanwhile, and those that promises schedule", async () => {
  const clock = createManualClock();
  const fired: number[] = [];
  const tick = () => {
    fired.push(clock.now());
    void Promise.resolve().then(() => clock.schedule(10, tick));
  };
  clock.schedule(10, tick);
  await clock.advance(35);
  assert.deepEqual(fired, [10, 20, 30]);
});

test("schedule() returns what cancels the timer, and does nothing when called again or late", async () => {
  const clock = createManualClock();
  let fired = 0;
  const cancel = clock.schedule(10, () => fired++);
  cancel();
  cancel();
  await clock.advance(20);
  assert.deepEqual([fired, clock.pending], [0, 0]);
});

test("advance() throws RangeError when time would go backwards", async () => {
  const clock = createManualClock();
  await assert.rejects(clock.advance(-1), RangeError);
  await assert.rejects(clock.advance(Number.NaN), RangeError);
});
