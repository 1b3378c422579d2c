// One request for several attempts.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { replayFirst } from "../../src/transport/streams.ts";

describe("replayFirst()", () => {
  test("reads the first message once, when it is asked for, and hands it to every attempt", async () => {
    let reads = 0;
    let ended = 0;
    const source: AsyncIterable<string> = {
      [Symbol.asyncIterator]: () => ({
        next: async () => ({ done: false, value: `message ${++reads}` }),
        throw: async () => ({ done: true, value: ++ended }),
      }),
    };
    const replayed = replayFirst(source);
    const attempts = [replayed[Symbol.asyncIterator](), replayed[Symbol.asyncIterator]()];
    assert.equal(reads, 0);
    for (const attempt of attempts) {
      assert.deepEqual(await attempt.next(), { done: false, value: "message 1" });
      assert.deepEqual(await attempt.next(), { done: true, value: undefined });
      await assert.rejects(async () => attempt.throw?.(new Error("failed")), /failed/);
    }
    assert.deepEqual([reads, ended], [1, 0]);
  });

  test("hands an end and an error to every attempt as well", async () => {
    const none = replayFirst((async function* () {})());
    assert.equal((await none[Symbol.asyncIterator]().next()).done, true);
    assert.equal((await none[Symbol.asyncIterator]().next()).done, true);
    const failing = replayFirst(
      // biome-ignore lint/correctness/useYield: a stream that fails before its first message
      (async function* () {
        throw new Error("no request");
      })(),
    );
    await assert.rejects(failing[Symbol.asyncIterator]().next(), /no request/);
    await assert.rejects(failing[Symbol.asyncIterator]().next(), /no request/);
  });
});
