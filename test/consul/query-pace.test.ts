import assert from "node:assert/strict";
import { test } from "node:test";
import { ConsulError } from "../../src/consul/consul-error.ts";
import { createQueryPace } from "../../src/consul/query-pace.ts";
import { createRetryDelays } from "../../src/consul/retry-delays.ts";
import { createManualClock } from "../../src/testing/manual-clock.ts";

test("createQueryPace() frees two idle answers, then one a second", async () => {
  const clock = createManualClock();
  const pace = createQueryPace(clock);
  assert.deepEqual([pace.afterNothing(), pace.afterNothing()], [0, 0]);
  assert.equal(pace.afterNothing(), 1000);
  await clock.advance(1000);
  assert.equal(pace.afterNothing(), 1000);
  await clock.advance(60_000);
  assert.deepEqual([pace.afterNothing(), pace.afterNothing(), pace.afterNothing()], [0, 0, 1000]);
});

test("createQueryPace() lets 50 changes a second through and delays the next", async () => {
  const clock = createManualClock();
  const pace = createQueryPace(clock);
  for (let count = 1; count < 50; count++) {
    assert.equal(pace.afterChange(), 0);
    await clock.advance(1);
  }
  // The 50th at 49 ms: the next read may answer when the first is a second old.
  assert.equal(pace.afterChange(), 951);
  await clock.advance(951);
  assert.equal(pace.afterChange(), 1);
});

test("createQueryPace() never slows changes when they come at 40 a second", async () => {
  const clock = createManualClock();
  const pace = createQueryPace(clock);
  for (let count = 0; count < 300; count++) {
    assert.equal(pace.afterChange(), 0);
    await clock.advance(25);
  }
});

const failure = (status?: number, retryAfterMs?: number) =>
  new ConsulError("x", {
    code: status === undefined ? "network" : "http",
    method: "GET",
    path: "/",
    address: "http://x",
    ...(status === undefined ? {} : { status }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });

test("createRetryDelays() starts at 100 ms, doubles, stays within 10 s and starts again after reset()", () => {
  const delays = createRetryDelays(() => 0.5);
  const first = Array.from({ length: 9 }, () => delays.after(failure()));
  assert.deepEqual(first, [100, 200, 400, 800, 1600, 3200, 6400, 8000, 8000]);
  delays.reset();
  assert.equal(delays.after(new Error("any")), 100);
  const longest = createRetryDelays(() => 0.999_999);
  for (let count = 0; count < 20; count++) assert.ok(longest.after(failure()) <= 10_000);
});

test("createRetryDelays() waits longer when Consul is overloaded or ill", () => {
  for (const status of [429, 500, 503]) assert.equal(createRetryDelays(() => 0.5).after(failure(status)), 1000);
  for (const status of [400, 403, 404]) assert.equal(createRetryDelays(() => 0.5).after(failure(status)), 100);
});

test("createRetryDelays() waits as long as Consul asks, and a little more, so that not all return together", () => {
  assert.equal(createRetryDelays(() => 0).after(failure(429, 20_000)), 20_000);
  assert.equal(createRetryDelays(() => 0.8).after(failure(503, 20_000)), 24_000);
  assert.equal(createRetryDelays(() => 0.5).after(failure(429, 0)), 1000);
});
