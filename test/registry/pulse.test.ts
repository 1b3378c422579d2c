import assert from "node:assert/strict";
import { test } from "node:test";
import { startPulse } from "../../src/registry/pulse.ts";
import { createManualClock } from "../../src/testing/manual-clock.ts";

const random = () => 0.5;

test("startPulse() beats on schedule while no beat is answered, eight at once, giving up the oldest", async () => {
  const clock = createManualClock();
  const failures: unknown[] = [];
  const underWay = new Set<AbortSignal>();
  let beats = 0;
  let most = 0;
  const pulse = startPulse({
    beat: (signal) => {
      beats++;
      underWay.add(signal);
      return new Promise((_, reject) => {
        signal.addEventListener("abort", () => {
          underWay.delete(signal);
          reject(signal.reason);
        });
        most = Math.max(most, underWay.size);
      });
    },
    intervalMs: 1000,
    onSuccess: () => assert.fail("nothing succeeded"),
    onFailure: (error) => failures.push(error),
    clock,
    random,
  });
  await clock.advance(19_000);
  assert.equal(beats, 20);
  assert.equal(most, 8);
  assert.equal(failures.length, 12);
  pulse.stop();
  await clock.advance(10_000);
  assert.equal(underWay.size, 0);
  assert.equal(beats, 20);
  assert.equal(failures.length, 12, "a callback followed stop()");
  assert.equal(clock.pending, 0);
});

test("startPulse() reports a failure unless a later beat has succeeded", async () => {
  const clock = createManualClock();
  const told: string[] = [];
  const answers: { resolve(): void; reject(error: unknown): void }[] = [];
  const pulse = startPulse({
    beat: () => new Promise((resolve, reject) => answers.push({ resolve, reject })),
    intervalMs: 1000,
    onSuccess: () => told.push("success"),
    onFailure: (error) => told.push((error as Error).message),
    clock,
    random,
  });
  await clock.advance(3000);
  answers[0]?.reject(new Error("first"));
  await clock.advance(0);
  answers[2]?.resolve();
  await clock.advance(0);
  answers[1]?.reject(new Error("second"));
  await clock.advance(0);
  answers[3]?.reject(new Error("fourth"));
  await clock.advance(0);
  assert.deepEqual(told, ["first", "success", "fourth"]);
  pulse.stop();
});
