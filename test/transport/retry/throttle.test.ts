import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { markMaybeProcessed } from "../../../src/core/call-fate.ts";
import { RetryThrottle } from "../../../src/transport/retry/throttle.ts";
import { seededRandom } from "../../support/seeded-random.ts";

/** A throttle whose successes the test counts. */
function create(maxTokens: number, tokenRatio: number) {
  const counts = { ok: 0 };
  return { counts, throttle: new RetryThrottle(() => counts.ok, { maxTokens, tokenRatio }) };
}

describe("RetryThrottle", () => {
  test("allows retries while more than half of the tokens are there", () => {
    const { throttle } = create(5, 0.1);
    const allowed = [throttle.allows];
    for (let failures = 0; failures < 7; failures++) {
      throttle.fail(new Error("x"));
      allowed.push(throttle.allows);
    }
    // 5, 4 and 3 tokens are more than 2.5.
    assert.deepEqual(allowed, [true, true, true, false, false, false, false, false]);
    assert.equal(throttle.tokens, 0);
  });

  test("counts successes when it is asked as if they had been counted one by one", () => {
    const { random } = seededRandom(7);
    for (let round = 0; round < 200; round++) {
      const maxTokens = 1 + Math.floor(random() * 20);
      const { counts, throttle } = create(maxTokens, 0.5);
      let tokens = maxTokens;
      for (let step = 0; step < 60; step++) {
        if (random() < 0.6) {
          counts.ok++;
          tokens = Math.min(maxTokens, tokens + 0.5);
        } else {
          throttle.fail(new Error("x"));
          tokens = Math.max(0, tokens - 1);
          assert.equal(throttle.tokens, tokens);
        }
      }
      assert.equal(throttle.allows, tokens > maxTokens / 2);
    }
  });

  test("takes one token for one connection's end", () => {
    const { throttle } = create(100, 0.1);
    const [one, other] = [{}, {}];
    for (let count = 0; count < 50; count++) {
      throttle.fail(markMaybeProcessed(new Error("cut"), one));
      throttle.fail(markMaybeProcessed(new Error("cut"), other));
    }
    assert.equal(throttle.tokens, 98);
  });

  test("keeps its share of tokens when its numbers change, and all of them where they do not", () => {
    const { counts, throttle } = create(10, 0.1);
    for (let count = 0; count < 4; count++) throttle.fail(new Error("x"));
    throttle.configure({ maxTokens: 10, tokenRatio: 0.1 });
    assert.equal(throttle.tokens, 6);
    throttle.configure({ maxTokens: 100, tokenRatio: 1 });
    assert.equal(throttle.tokens, 60);
    counts.ok += 1000;
    assert.equal(throttle.tokens, 100);
  });

  test("bears counts that fall, as those of connections that are gone", () => {
    const { counts, throttle } = create(10, 1);
    for (let count = 0; count < 5; count++) throttle.fail(new Error("x"));
    counts.ok = 3;
    assert.equal(throttle.tokens, 8);
    counts.ok = 0;
    assert.equal(throttle.tokens, 8);
    counts.ok = 1;
    assert.equal(throttle.tokens, 9);
  });
});
