import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createManualClock, type ManualClock } from "../../../src/testing/manual-clock.ts";
import { HedgedCall, type HedgedCallOptions, type HedgeVerdict } from "../../../src/transport/retry/hedged-call.ts";
import { seededRandom } from "../../support/seeded-random.ts";

interface Attempt {
  readonly atMs: number;
  readonly signal: AbortSignal;
  answer(text: string): void;
  fail(verdict: HedgeVerdict, text?: string): void;
}

/** An error that says what it means. */
class Judged extends Error {
  readonly verdict: HedgeVerdict;
  constructor(verdict: HedgeVerdict, text: string) {
    super(text);
    this.verdict = verdict;
  }
}

interface Made {
  readonly clock: ManualClock;
  readonly call: HedgedCall<string>;
  readonly attempts: Attempt[];
  readonly starts: () => number[];
  readonly budget: { allows: boolean; asked: number };
}

function makeCall(maxAttempts: number, hedgingDelayMs: number, options: Partial<HedgedCallOptions<string>> = {}): Made {
  const clock = createManualClock();
  const attempts: Attempt[] = [];
  const budget = { allows: true, asked: 0 };
  const call = new HedgedCall<string>({
    policy: { maxAttempts, hedgingDelayMs },
    clock,
    signal: undefined,
    attempt(number, signal) {
      assert.equal(number, attempts.length);
      const { promise, resolve, reject } = Promise.withResolvers<string>();
      signal.addEventListener("abort", () => reject(signal.reason));
      attempts.push({
        atMs: clock.now(),
        signal,
        answer: resolve,
        fail: (verdict, text = `attempt ${number}`) => reject(new Judged(verdict, text)),
      });
      return promise;
    },
    judge: (error) => (error as Judged).verdict,
    mayHedge() {
      budget.asked++;
      return budget.allows;
    },
    ...options,
  });
  return { clock, call, attempts, budget, starts: () => attempts.map(({ atMs }) => atMs) };
}

describe("HedgedCall", () => {
  test("makes one attempt after another, a delay apart, up to the most there are", async () => {
    const { clock, call, attempts, starts } = makeCall(4, 500);
    const answer = call.start();
    assert.deepEqual(starts(), [0]);
    await clock.advance(10_000);
    assert.deepEqual(starts(), [0, 500, 1000, 1500]);
    assert.equal(call.begun, 4);
    assert.equal(clock.pending, 0);
    attempts[2]?.answer("third");
    assert.equal(await answer, "third");
    assert.deepEqual(
      attempts.map(({ signal }) => signal.aborted),
      [true, true, false, true],
    );
    assert.match(String(attempts[0]?.signal.reason), /another attempt/);
  });

  test("makes them all at once without a delay", async () => {
    const { clock, call, attempts, starts } = makeCall(3, 0);
    const answer = call.start();
    assert.deepEqual(starts(), [0, 0, 0]);
    assert.equal(clock.pending, 0);
    attempts[1]?.answer("second");
    assert.equal(await answer, "second");
  });

  test("makes no second one where the first is answered in time, and keeps no timer", async () => {
    const { clock, call, attempts } = makeCall(3, 500);
    const answer = call.start();
    await clock.advance(499);
    attempts[0]?.answer("first");
    assert.equal(await answer, "first");
    assert.equal(clock.pending, 0);
    await clock.advance(5000);
    assert.equal(attempts.length, 1);
    assert.equal(attempts[0]?.signal.aborted, false);
  });

  test("makes the next at once after a failure that is not fatal, and counts the delay from there", async () => {
    const { clock, call, attempts, starts } = makeCall(4, 500);
    const answer = call.start();
    await clock.advance(200);
    attempts[0]?.fail("next");
    await clock.advance(499);
    assert.deepEqual(starts(), [0, 200]);
    await clock.advance(1);
    assert.deepEqual(starts(), [0, 200, 700]);
    attempts[2]?.answer("third");
    assert.equal(await answer, "third");
  });

  test("fails at once with a fatal failure, and ends the rest", async () => {
    const { clock, call, attempts } = makeCall(4, 500);
    const answer = call.start();
    await clock.advance(500);
    attempts[1]?.fail("fatal", "no such thing");
    await assert.rejects(answer, /no such thing/);
    assert.match(String(attempts[0]?.signal.reason), /canceled.*another attempt/);
    assert.equal(clock.pending, 0);
    await clock.advance(5000);
    assert.equal(attempts.length, 2);
  });

  test("fails with the last failure where all attempts fail", async () => {
    const { clock, call, attempts } = makeCall(2, 500);
    const answer = call.start();
    await clock.advance(500);
    attempts[1]?.fail("next");
    attempts[0]?.fail("next");
    await assert.rejects(answer, /attempt 0/);
    assert.equal(attempts.length, 2);
    assert.equal(clock.pending, 0);
  });

  test("waits as long as a server asks it to, and a delay more for the one after", async () => {
    const { clock, call, attempts, starts } = makeCall(4, 500);
    const answer = call.start();
    await clock.advance(100);
    attempts[0]?.fail(2000);
    await clock.advance(1999);
    assert.deepEqual(starts(), [0]);
    await clock.advance(1 + 500);
    assert.deepEqual(starts(), [0, 2100, 2600]);
    attempts[1]?.answer("second");
    assert.equal(await answer, "second");
  });

  test("makes no more where a server says so, and goes on with those under way", async () => {
    const { clock, call, attempts } = makeCall(4, 500);
    const answer = call.start();
    await clock.advance(500);
    attempts[0]?.fail("stop");
    await clock.advance(5000);
    assert.equal(attempts.length, 2);
    attempts[1]?.answer("second");
    assert.equal(await answer, "second");
    const alone = makeCall(4, 500);
    const failed = alone.call.start();
    alone.attempts[0]?.fail("stop");
    await assert.rejects(failed, /attempt 0/);
    assert.equal(alone.clock.pending, 0);
  });

  test("makes no more where the budget says no, but the first always", async () => {
    const { clock, call, attempts, budget } = makeCall(4, 500);
    budget.allows = false;
    const answer = call.start();
    assert.equal(budget.asked, 0);
    await clock.advance(500);
    assert.equal(budget.asked, 1);
    budget.allows = true;
    await clock.advance(5000);
    assert.equal(attempts.length, 1);
    attempts[0]?.fail("next");
    await assert.rejects(answer, /attempt 0/);

    const atOnce = makeCall(4, 0);
    atOnce.budget.allows = false;
    const last = atOnce.call.start();
    assert.equal(atOnce.attempts.length, 1);
    atOnce.attempts[0]?.fail("next");
    await assert.rejects(last, /attempt 0/);
  });

  test("fails with the last failure where the budget says no at the time that a server asked for", async () => {
    const { clock, call, attempts, budget } = makeCall(4, 500);
    const answer = call.start();
    attempts[0]?.fail(1000);
    await clock.advance(900);
    budget.allows = false;
    const rejected = assert.rejects(answer, /attempt 0/);
    await clock.advance(100);
    await rejected;
    assert.equal(attempts.length, 1);
  });

  test("ends everything with the call's signal, whose reason it rejects with", async () => {
    const controller = new AbortController();
    const { clock, call, attempts } = makeCall(4, 500, { signal: controller.signal });
    const answer = call.start();
    await clock.advance(500);
    const reason = { over: true };
    controller.abort(reason);
    await assert.rejects(answer, (error) => error === reason);
    assert.deepEqual(
      attempts.map(({ signal }) => signal.reason),
      [reason, reason],
    );
    assert.equal(clock.pending, 0);
    const late = makeCall(4, 500, { signal: AbortSignal.abort(reason) });
    await assert.rejects(late.call.start(), (error) => error === reason);
    assert.equal(late.attempts.length, 0);
  });

  test("ends an answered attempt with the call's signal, until it is released", async () => {
    for (const isReleased of [false, true]) {
      const controller = new AbortController();
      const { call, attempts } = makeCall(2, 500, { signal: controller.signal });
      const answer = call.start();
      attempts[0]?.answer("first");
      await answer;
      if (isReleased) call.release();
      controller.abort();
      assert.equal(attempts[0]?.signal.aborted, !isReleased);
    }
  });

  test("goes on with one attempt alone where it must", async () => {
    const { clock, call, attempts } = makeCall(4, 500);
    const answer = call.start();
    await clock.advance(500);
    call.keepOnly(1);
    assert.deepEqual(
      attempts.map(({ signal }) => signal.aborted),
      [true, false],
    );
    await clock.advance(5000);
    assert.equal(attempts.length, 2);
    attempts[1]?.fail("next");
    await assert.rejects(answer, /attempt 1/);
  });

  test("takes an attempt that throws for one that failed", async () => {
    const { call } = makeCall(2, 0, {
      attempt: (number) => {
        throw new Judged("next", `thrown ${number}`);
      },
    });
    await assert.rejects(call.start(), /thrown 1/);
  });

  test("ends exactly once, with no attempt and no timer left, whatever happens in which order", async () => {
    const { random, seed } = seededRandom();
    for (let round = 0; round < 200; round++) await playRound(random, `SEED=${seed}, round ${round}`);
  });
});

async function playRound(random: () => number, note: string): Promise<void> {
  const maxAttempts = 2 + Math.floor(random() * 4);
  const delayMs = Math.floor(random() * 3) * 50;
  const controller = new AbortController();
  const { clock, call, attempts, budget } = makeCall(maxAttempts, delayMs, { signal: controller.signal });
  let outcome: string | undefined;
  const settled = (text: string) => {
    assert.equal(outcome, undefined, note);
    outcome = text;
  };
  call.start().then(
    (text) => settled(`answer ${text}`),
    (error) => settled(`error ${error.message}`),
  );
  const ended = new Set<number>();
  const verdicts: HedgeVerdict[] = ["next", "next", "stop", "fatal", 70];
  let answered: number | undefined;
  for (let turn = 0; turn < 40 && outcome === undefined; turn++) {
    const open = attempts.map((_, at) => at).filter((at) => !ended.has(at));
    const at = open[Math.floor(random() * open.length)];
    const what = random();
    if (what < 0.4) await clock.advance(Math.floor(random() * 100));
    else if (what < 0.45) budget.allows = !budget.allows;
    else if (what < 0.48) controller.abort(new Error("aborted"));
    else if (at !== undefined) {
      ended.add(at);
      if (what < 0.6) {
        attempts[at]?.answer(String(at));
        answered ??= at;
      } else attempts[at]?.fail(verdicts[Math.floor(random() * verdicts.length)] ?? "next");
    }
    await clock.advance(0);
  }
  if (outcome === undefined) {
    for (let at = 0; at < 10 && outcome === undefined; at++) {
      for (const attempt of attempts) attempt.fail("next");
      await clock.advance(100);
    }
  }
  assert.notEqual(outcome, undefined, note);
  assert.ok(attempts.length <= maxAttempts, note);
  assert.equal(clock.pending, 0, note);
  if (answered !== undefined && outcome === `answer ${answered}`) {
    for (const [at, { signal }] of attempts.entries()) {
      if (at !== answered && !ended.has(at)) assert.equal(signal.aborted, true, note);
    }
  }
}
