// The queue with calls that do nothing, on a manual clock: who begins, who waits, who is refused, and what they are told.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { GatedCall, GateTicket, Refusal } from "../../../src/grpc/server/call-gate.ts";
import { CallQueue, type CallQueueParts } from "../../../src/server/overload/call-queue.ts";
import { createManualClock, type ManualClock } from "../../../src/testing/manual-clock.ts";
import { createRecordingLogger, type RecordingLogger } from "../../support/recording-logger.ts";

class TestCall implements GatedCall {
  ticket: GateTicket | undefined = undefined;
  readonly beginsLater: boolean;
  readonly onBegin: () => void;
  outcome: "waits" | "runs" | "refused" | "expired" = "waits";
  pushbackMs: number | undefined;
  readonly #clock: ManualClock;
  readonly #dueMs: number | undefined;

  constructor(clock: ManualClock, timeoutMs?: number, onBegin: () => void = () => {}, beginsLater = false) {
    this.#clock = clock;
    this.#dueMs = timeoutMs === undefined ? undefined : clock.now() + timeoutMs;
    this.onBegin = onBegin;
    this.beginsLater = beginsLater;
  }

  remainingMs(): number | undefined {
    return this.#dueMs === undefined ? undefined : this.#dueMs - this.#clock.now();
  }

  begin(): void {
    this.outcome = "runs";
    this.onBegin();
  }

  refuse({ pushbackMs }: Refusal): void {
    this.outcome = "refused";
    this.pushbackMs = pushbackMs;
  }

  onDeadline(): void {
    this.outcome = "expired";
  }
}

interface Scene {
  readonly queue: CallQueue;
  readonly clock: ManualClock;
  readonly logger: RecordingLogger;
  enter(options?: Enter): TestCall;
  /** The next turn of the event loop. */
  turn(): void;
}

interface Enter {
  readonly timeoutMs?: number;
  readonly weight?: number;
  readonly heldBytes?: number;
  readonly beginsLater?: boolean;
  readonly onBegin?: () => void;
}

function openScene(options: Partial<CallQueueParts> = {}): Scene {
  const clock = createManualClock();
  const logger = createRecordingLogger();
  let turns: (() => void)[] = [];
  const queue = new CallQueue({
    maxConcurrentCalls: 2,
    maxQueued: 10,
    queueTimeoutMs: 200,
    clock,
    logger,
    random: () => 0.5,
    yieldToLoop: (run) => turns.push(run),
    ...options,
  });
  return {
    queue,
    clock,
    logger,
    enter({ timeoutMs, weight = 1, heldBytes = 0, beginsLater = false, onBegin } = {}) {
      const call = new TestCall(clock, timeoutMs, onBegin, beginsLater);
      queue.gate(weight, true).enter(call, heldBytes);
      return call;
    },
    turn() {
      const now = turns;
      turns = [];
      for (const run of now) run();
    },
  };
}

const outcomes = (calls: readonly TestCall[]) => calls.map(({ outcome }) => outcome);

describe("CallQueue", () => {
  test("lets as many begin as the limit says, the others in order as those end", () => {
    const { queue, enter, turn } = openScene();
    const calls = [enter(), enter(), enter(), enter()];
    assert.deepEqual(outcomes(calls), ["runs", "runs", "waits", "waits"]);
    assert.deepEqual(queue.stats, { running: 2, queued: 2, limit: 2, shed: 0, expired: 0 });
    calls[1]?.ticket?.release();
    turn();
    assert.deepEqual(outcomes(calls), ["runs", "runs", "runs", "waits"]);
    // Again is nothing.
    calls[1]?.ticket?.release();
    turn();
    assert.deepEqual(outcomes(calls), ["runs", "runs", "runs", "waits"]);
    for (const call of calls) call.ticket?.release();
    turn();
    assert.equal(queue.stats.running, 0);
    assert.equal(queue.stats.queued, 0);
    queue.stop();
  });

  test("counts calls by their weight", () => {
    const { queue, enter } = openScene();
    const light = Array.from({ length: 20 }, () => enter({ weight: 0 }));
    const half = [enter({ weight: 0.5 }), enter({ weight: 0.5 })];
    const whole = [enter(), enter()];
    assert.ok(light.every(({ outcome }) => outcome === "runs"));
    assert.deepEqual(outcomes([...half, ...whole]), ["runs", "runs", "runs", "waits"]);
    for (const call of [...light, ...half, ...whole]) call.ticket?.release();
    assert.equal(queue.stats.running, 0);
    queue.stop();
  });

  test("gives handlers that compute some milliseconds of each turn: the rest waits for the next", async () => {
    let nowMs = 0;
    const scene = openScene({
      maxConcurrentCalls: 100,
      clock: { now: () => nowMs, schedule: () => () => {} },
    });
    const { enter, turn } = scene;
    const computing = (): TestCall => {
      const call: TestCall = enter({
        onBegin: () => {
          nowMs += 2;
        },
      });
      if (call.outcome === "runs") call.ticket?.release();
      return call;
    };
    const calls = Array.from({ length: 8 }, computing);
    // 0, 2 and 4 ms; at 6 ms the turn is over.
    assert.deepEqual(outcomes(calls.slice(0, 4)), ["runs", "runs", "runs", "waits"]);
    turn();
    assert.deepEqual(outcomes(calls.slice(3, 7)), ["runs", "runs", "runs", "waits"]);
    turn();
    assert.ok(calls.every(({ outcome }) => outcome === "runs"));
  });

  test("lets few begin in a turn of those whose handlers run only later", () => {
    const { enter, turn, queue } = openScene({ maxConcurrentCalls: 100 });
    const calls = Array.from({ length: 10 }, () => enter({ beginsLater: true }));
    const running = () => calls.filter(({ outcome }) => outcome === "runs").length;
    assert.equal(running(), 4);
    turn();
    assert.equal(running(), 8);
    turn();
    assert.equal(running(), 10);
    queue.stop();
  });

  test("refuses whoever has waited as long as may be, though nothing ends", async () => {
    const { queue, clock, enter } = openScene();
    const calls = [enter(), enter(), enter()];
    await clock.advance(150);
    const later = enter();
    await clock.advance(49);
    assert.equal(calls[2]?.outcome, "waits");
    await clock.advance(2);
    assert.equal(calls[2]?.outcome, "refused");
    assert.equal(later.outcome, "waits");
    await clock.advance(150);
    assert.equal(later.outcome, "refused");
    assert.equal(queue.stats.shed, 2);
    queue.stop();
    assert.equal(clock.pending, 0);
  });

  test("never begins a call whose deadline has passed: it is told so", async () => {
    const { queue, clock, enter, turn } = openScene();
    const [first] = [enter(), enter()];
    const late = enter({ timeoutMs: 50 });
    const next = enter({ timeoutMs: 500 });
    await clock.advance(60);
    first?.ticket?.release();
    turn();
    assert.equal(late.outcome, "expired");
    assert.equal(next.outcome, "runs");
    assert.equal(queue.stats.expired, 1);
    queue.stop();
  });

  test("counts as expired what leaves the queue at its deadline, and not what its client gave up", async () => {
    const { queue, clock, enter } = openScene();
    for (const call of [enter(), enter()]) assert.equal(call.outcome, "runs");
    const late = enter({ timeoutMs: 50 });
    const left = enter({ timeoutMs: 500 });
    await clock.advance(50);
    late.ticket?.release();
    left.ticket?.release();
    assert.deepEqual({ ...queue.stats, limit: 0 }, { running: 2, queued: 0, limit: 0, shed: 0, expired: 1 });
    queue.stop();
  });

  test("refuses what comes beyond maxQueued, of which 0 lets nobody wait for others", () => {
    const { queue, enter } = openScene({ maxQueued: 1 });
    assert.deepEqual(outcomes([enter(), enter(), enter(), enter()]), ["runs", "runs", "waits", "refused"]);
    queue.stop();
    const none = openScene({ maxQueued: 0 });
    assert.deepEqual(outcomes([none.enter(), none.enter(), none.enter()]), ["runs", "runs", "refused"]);
    none.queue.stop();
  });

  test("refuses what comes beyond 64 MiB of messages that wait", () => {
    const { queue, enter } = openScene({ maxQueued: 1000 });
    const large = { heldBytes: 32 * 1024 * 1024 };
    const calls = [enter(), enter(), enter(large), enter(large), enter()];
    assert.deepEqual(outcomes(calls), ["runs", "runs", "waits", "waits", "refused"]);
    queue.stop();
  });

  test("refuses at once who could not have its turn in time, by the pace of the queue", async () => {
    const scene = openScene({ maxConcurrentCalls: 1, maxQueued: 1000 });
    const { queue, clock, enter, turn } = scene;
    let running = enter();
    // Each takes 50 ms.
    for (let round = 0; round < 20; round++) {
      const next = enter();
      await clock.advance(50);
      running.ticket?.release();
      turn();
      assert.equal(next.outcome, "runs");
      running = next;
    }
    const gate = queue.gate(1, true);
    enter();
    enter();
    // Two before it: 100 ms.
    assert.equal(gate.refusalFor(undefined), undefined);
    assert.equal(gate.refusalFor(150), undefined);
    assert.ok(gate.refusalFor(60) !== undefined);
    enter();
    enter();
    enter();
    assert.ok(gate.refusalFor(undefined) !== undefined);
    queue.stop();
  });

  test("knows the pace of the queue where many begin at once", async () => {
    const { queue, clock, enter, turn } = openScene({ maxConcurrentCalls: 40, maxQueued: 10_000 });
    const gate = queue.gate(1, true);
    let running = Array.from({ length: 40 }, () => enter());
    const waiting = Array.from({ length: 160 }, () => enter());
    // Forty end every 100 ms: 2.5 ms for each.
    for (let round = 0; round < 2; round++) {
      await clock.advance(100);
      for (const call of running) call.ticket?.release();
      running = waiting.filter((call) => call.outcome === "waits").slice(0, 40);
      turn();
    }
    // 80 before it have their turns within the 200 ms that a call may wait, 120 have not.
    assert.equal(queue.stats.queued, 80);
    assert.equal(gate.refusalFor(undefined), undefined);
    for (let more = 0; more < 40; more++) enter();
    assert.ok(gate.refusalFor(undefined) !== undefined);
    queue.stop();
  });

  test("counts a handler whose call is over for 10 s more, where it never settles", async () => {
    const { queue, clock, enter, turn } = openScene({ maxConcurrentCalls: 2, queueTimeoutMs: 60_000 });
    const [hung, slow, next] = [enter(), enter(), enter()];
    hung?.ticket?.abandon();
    await clock.advance(4000);
    slow?.ticket?.abandon();
    await clock.advance(5999);
    slow?.ticket?.release();
    slow?.ticket?.release();
    assert.equal(queue.stats.running, 1);
    turn();
    assert.equal(next?.outcome, "runs");
    await clock.advance(1);
    assert.equal(queue.stats.running, 1);
    // Late, but not twice.
    hung?.ticket?.release();
    next?.ticket?.release();
    assert.equal(queue.stats.running, 0);
    await clock.advance(20_000);
    assert.equal(queue.stats.running, 0);
    queue.stop();
    assert.equal(clock.pending, 0);
  });

  test("sends few elsewhere at once, in proportion to what it answers, and tells the others when to come again", async () => {
    const scene = openScene({ maxQueued: 0, maxConcurrentCalls: 1 });
    const { queue, enter } = scene;
    const running = enter();
    const refused = Array.from({ length: 200 }, () => enter());
    assert.equal(refused.filter(({ pushbackMs }) => pushbackMs === undefined).length, 100);
    assert.ok(refused.slice(100).every(({ pushbackMs = 0 }) => pushbackMs >= 50));
    // The more are refused, the later they are told to come.
    assert.ok((refused[199]?.pushbackMs ?? 0) > (refused[100]?.pushbackMs ?? 0));
    running.ticket?.release();
    for (let answered = 0; answered < 10; answered++) enter().ticket?.release();
    enter();
    assert.equal(enter().pushbackMs, undefined);
    assert.ok((enter().pushbackMs ?? 0) >= 50);
    queue.stop();
  });

  test("logs once when it begins, once a second with counts, and when it is over", async () => {
    const scene = openScene({ maxQueued: 0, maxConcurrentCalls: 1 });
    const { queue, clock, enter, logger } = scene;
    enter();
    for (let call = 0; call < 5; call++) enter();
    const shed = () =>
      logger.lines.filter(({ message }) => message === "Shedding calls").map(({ fields }) => fields.shed);
    assert.deepEqual(shed(), [1]);
    await clock.advance(999);
    assert.deepEqual(shed(), [1]);
    await clock.advance(1);
    assert.deepEqual(shed(), [1, 4]);
    await clock.advance(5000);
    assert.deepEqual(shed(), [1, 4]);
    assert.equal(logger.count("no longer"), 1);
    assert.equal(clock.pending, 0);
    enter();
    assert.deepEqual(shed(), [1, 4, 1]);
    queue.stop();
    assert.equal(clock.pending, 0);
  });

  test("finds its limit by itself with adaptive", async () => {
    const { queue, clock, enter, turn } = openScene({ maxConcurrentCalls: "adaptive", maxQueued: 100_000 });
    const before = queue.stats.limit;
    // As many under way as it allows, none slower for it.
    let running: TestCall[] = [];
    for (let round = 0; round < 30; round++) {
      while (queue.stats.running < queue.stats.limit) running.push(enter());
      await clock.advance(20);
      for (const call of running) call.ticket?.release();
      running = [];
      turn();
    }
    assert.ok(queue.stats.limit > 2 * before, `${before} -> ${queue.stats.limit}`);
    queue.stop();
  });
});
