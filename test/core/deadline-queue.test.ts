// Deadlines on a clock that the test turns, and on the system's.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Clock, systemClock } from "../../src/core/clock.ts";
import { type Deadlined, DeadlineQueue, deadlineQueueOf } from "../../src/core/deadline-queue.ts";
import { createManualClock } from "../../src/testing/manual-clock.ts";
import { seededRandom } from "../support/seeded-random.ts";

class Entry implements Deadlined {
  dueMs = 0;
  nextDue: Deadlined | undefined;
  previousDue: Deadlined | undefined;
  readonly onDeadline: () => void;

  constructor(onDeadline: () => void) {
    this.onDeadline = onDeadline;
  }
}

/** A clock that counts what is asked of it, and whose time and timer the test moves without a turn of the event loop. */
interface StepClock extends Clock {
  nowMs: number;
  /** Timers that were asked for. */
  scheduled: number;
  /** When the timer is due; undefined without one. */
  readonly timerMs: number | undefined;
  /** Moves to `untilMs`, firing the timer whenever it is due on the way. */
  run(untilMs: number): void;
  /** Fires the timer, however late. */
  fire(): void;
}

function createStepClock(startMs = 0): StepClock {
  let timer: { readonly dueMs: number; readonly callback: () => void } | undefined;
  const clock: StepClock = {
    nowMs: startMs,
    scheduled: 0,
    get timerMs() {
      return timer?.dueMs;
    },
    now: () => clock.nowMs,
    schedule(delayMs: number, callback: () => void) {
      assert.equal(timer, undefined, "one timer at a time");
      clock.scheduled++;
      const mine = { dueMs: clock.nowMs + delayMs, callback };
      timer = mine;
      return () => {
        if (timer === mine) timer = undefined;
      };
    },
    run(untilMs: number) {
      while (timer !== undefined && timer.dueMs <= untilMs) {
        clock.nowMs = Math.max(clock.nowMs, timer.dueMs);
        clock.fire();
      }
      clock.nowMs = untilMs;
    },
    fire() {
      const due = timer;
      timer = undefined;
      due?.callback();
    },
  };
  return clock;
}

describe("DeadlineQueue", () => {
  test("calls thousands of entries in their order, none early and none more than 2 ms late, whenever others are removed", () => {
    const { random, seed } = seededRandom();
    // Beyond 2^32 ms and with fractions: the wheel turns modulo 2^32.
    for (const startMs of [0, -5.5, 2 ** 32 - 1000.25, 7.125e12]) {
      const clock = createStepClock(startMs);
      const queue = new DeadlineQueue(clock);
      const waiting = new Set<Entry>();
      let lastDueMs = Number.NEGATIVE_INFINITY;
      let fired = 0;
      let expected = 0;
      for (let round = 0; round < 8000; round++) {
        const timeoutMs = random() * 10 ** (random() * 7);
        const entry: Entry = new Entry(() => {
          fired++;
          assert.ok(waiting.delete(entry), `fired though removed, seed ${seed}`);
          const lateMs = clock.nowMs - entry.dueMs;
          assert.ok(lateMs >= 0 && lateMs <= 2, `${lateMs} ms late, seed ${seed}`);
          assert.ok(entry.dueMs >= lastDueMs - 1, `out of order, seed ${seed}`);
          lastDueMs = Math.max(lastDueMs, entry.dueMs);
        });
        queue.add(entry, timeoutMs);
        assert.ok(Math.abs(entry.dueMs - clock.nowMs - timeoutMs) < 0.01);
        waiting.add(entry);
        expected++;
        if (random() < 0.4) {
          const [oldest] = waiting;
          if (oldest !== undefined) {
            queue.remove(oldest);
            queue.remove(oldest);
            waiting.delete(oldest);
            expected--;
          }
        }
        if (random() < 0.3) clock.run(clock.nowMs + random() * 500);
      }
      clock.run(clock.nowMs + 2e7);
      assert.deepEqual([waiting.size, fired], [0, expected], `seed ${seed}`);
      assert.equal(clock.timerMs, undefined);
    }
  });

  test("arms no timer for entries that are due later, and few for those that never fire", () => {
    const clock = createStepClock();
    const queue = new DeadlineQueue(clock);
    for (let call = 0; call < 100_000; call++) {
      const entry = new Entry(() => assert.fail("it was removed"));
      queue.add(entry, 5000);
      clock.run(clock.nowMs + 0.25);
      queue.remove(entry);
    }
    // 25 s of calls: a timer every five seconds, each for the deadline of a call that is long over.
    assert.ok(clock.scheduled <= 8, `${clock.scheduled} timers`);
  });

  test("arms anew for an entry that is due before the others", async () => {
    const clock = createManualClock();
    const queue = new DeadlineQueue(clock);
    const told: string[] = [];
    const at = (name: string) => new Entry(() => told.push(`${name} at ${clock.now()}`));
    queue.add(at("late"), 60_000);
    queue.add(at("soon"), 20);
    queue.add(at("sooner"), 10);
    await clock.advance(10);
    assert.deepEqual(told, ["sooner at 10"]);
    await clock.advance(10);
    assert.deepEqual(told, ["sooner at 10", "soon at 20"]);
    await clock.advance(60_000);
    assert.deepEqual(told, ["sooner at 10", "soon at 20", "late at 60000"]);
    assert.equal(clock.pending, 0);
  });

  test("takes an entry again from its own onDeadline, and never calls it in the same turn", async () => {
    const clock = createManualClock();
    const queue = new DeadlineQueue(clock);
    const times: number[] = [];
    const again: Entry = new Entry(() => {
      times.push(clock.now());
      if (times.length < 4) queue.add(again, times.length === 3 ? 0 : 100);
    });
    queue.add(again, 100);
    await clock.advance(1000);
    assert.deepEqual(times, [100, 200, 300, 301]);
    assert.equal(clock.pending, 0);
  });

  test("add() moves an entry that waits already", async () => {
    const clock = createManualClock();
    const queue = new DeadlineQueue(clock);
    const times: number[] = [];
    const entry = new Entry(() => times.push(clock.now()));
    queue.add(entry, 100);
    queue.add(entry, 300);
    await clock.advance(1000);
    queue.add(entry, 300);
    queue.add(entry, 0);
    await clock.advance(1000);
    assert.deepEqual(times, [300, 1001]);
  });

  test("an entry that another one removes as both are due is not called", async () => {
    const clock = createManualClock();
    const queue = new DeadlineQueue(clock);
    const second = new Entry(() => assert.fail("it was removed"));
    queue.add(new Entry(() => queue.remove(second)), 50);
    queue.add(second, 50);
    await clock.advance(100);
    assert.equal(clock.pending, 0);
  });

  test("holds the longest timeout there is, and makes longer, negative and absent ones fit", async () => {
    const clock = createManualClock(12_345.5);
    const queue = new DeadlineQueue(clock);
    const startMs = clock.now();
    const times: number[] = [];
    const add = (timeoutMs: number) => queue.add(new Entry(() => times.push(clock.now() - startMs)), timeoutMs);
    for (const timeoutMs of [2 ** 31 - 1, 2 ** 31 - 2, Number.POSITIVE_INFINITY, -5, Number.NaN]) add(timeoutMs);
    await clock.advance(2 ** 31 - 3);
    assert.equal(times.length, 2);
    assert.ok(times.every((ms) => ms <= 1.5));
    await clock.advance(3.5);
    assert.equal(times.length, 5);
    assert.ok(times.slice(2).every((ms) => ms >= 2 ** 31 - 2));
    assert.equal(clock.pending, 0);
  });

  test("calls what is due in its order after a clock jumped, however far", () => {
    for (const jumpMs of [10_000, 2 ** 31, 2 ** 33 + 17, 1e12]) {
      const clock = createStepClock(1000);
      const queue = new DeadlineQueue(clock);
      const told: number[] = [];
      for (const timeoutMs of [9000, 3, 700, 16, 256, 4096, 15])
        queue.add(new Entry(() => told.push(timeoutMs)), timeoutMs);
      clock.nowMs += jumpMs;
      // Added before the timer of the others has its turn.
      queue.add(new Entry(() => told.push(-1)), 5);
      clock.fire();
      assert.deepEqual(told, [3, 15, 16, 256, 700, 4096, 9000]);
      clock.run(clock.nowMs + 6);
      assert.equal(told.at(-1), -1);
      assert.equal(clock.timerMs, undefined);
    }
  });

  test("goes on with the others when an entry throws", () => {
    const clock = createStepClock();
    const queue = new DeadlineQueue(clock);
    let told = 0;
    queue.add(
      new Entry(() => {
        throw new Error("its own fault");
      }),
      10,
    );
    queue.add(new Entry(() => told++), 10);
    queue.add(new Entry(() => told++), 30);
    assert.throws(() => clock.run(10), /its own fault/);
    clock.run(100);
    assert.equal(told, 2);
  });

  test("rest() cancels the timer as soon as nothing waits, and not before", () => {
    const clock = createManualClock();
    const queue = new DeadlineQueue(clock);
    const entry = new Entry(() => {});
    queue.rest();
    queue.add(entry, 5000);
    queue.remove(entry);
    assert.equal(clock.pending, 1);
    queue.rest();
    assert.equal(clock.pending, 0);
    queue.add(entry, 100);
    queue.rest();
    assert.equal(clock.pending, 1);
    queue.remove(entry);
    assert.equal(clock.pending, 0);
    // An entry that is added later wants no rest.
    queue.rest();
    queue.add(entry, 100);
    queue.remove(entry);
    assert.equal(clock.pending, 1);
    queue.rest();
    assert.equal(clock.pending, 0);
  });

  test("a deadline of 100 ms on the system's clock fires after 100 to 105 ms", async () => {
    const queue = new DeadlineQueue(systemClock);
    const lateness: number[] = [];
    for (let round = 0; round < 5; round++) {
      const startMs = systemClock.now();
      await new Promise<void>((resolve) => queue.add(new Entry(resolve), 100));
      lateness.push(systemClock.now() - startMs - 100);
    }
    const [best = 0, second = 0] = lateness.toSorted((a, b) => a - b);
    assert.ok(best >= 0, `early: ${lateness}`);
    // A machine that does other things may be late with the rest.
    assert.ok(second < 5, `late: ${lateness}`);
  });
});

test("deadlineQueueOf() has one queue for each clock", () => {
  const [clock, other] = [createManualClock(), createManualClock()];
  assert.equal(deadlineQueueOf(clock), deadlineQueueOf(clock));
  assert.notEqual(deadlineQueueOf(clock), deadlineQueueOf(other));
});
