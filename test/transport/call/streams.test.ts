// Messages both ways: one request for several attempts, and the end of a stream.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { onceStreamEnds, replayFirst, tellOfEnd, unlessRead } from "../../../src/transport/call/streams.ts";

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

describe("unlessRead()", () => {
  function createSource() {
    const told: string[] = [];
    const source: AsyncIterable<string> = {
      [Symbol.asyncIterator]() {
        told.push("begun");
        return {
          next: async () => ({ done: false, value: "message" }),
          throw: async (error) => {
            told.push(`told ${error.message}`);
            throw error;
          },
          return: async () => {
            told.push("returned");
            return { done: true, value: undefined };
          },
        };
      },
    };
    return { source, told };
  }

  test("begins the source once, and keeps from it how an attempt ends", async () => {
    const { source, told } = createSource();
    const messages = unlessRead(source);
    const attempts = [messages.iterable, messages.iterable].map((iterable) => iterable[Symbol.asyncIterator]());
    assert.equal(messages.wasRead(), false);
    for (const attempt of attempts) {
      await assert.rejects(async () => attempt.throw?.(new Error("refused")), /refused/);
      assert.equal(attempt.return, undefined);
    }
    assert.deepEqual(told, []);
    await attempts[1]?.next();
    await attempts[0]?.next();
    assert.equal(messages.wasRead(), true);
    assert.deepEqual(told, ["begun"]);
  });

  test("end() lets the source clean up, begun or not, and bears one that cannot", async () => {
    const { source, told } = createSource();
    unlessRead(source).end();
    assert.deepEqual(told, ["begun", "returned"]);
    told.length = 0;
    const messages = unlessRead(source);
    await messages.iterable[Symbol.asyncIterator]().next();
    messages.end(new Error("over"));
    assert.deepEqual(told, ["begun", "told over", "returned"]);
    unlessRead<string>({
      [Symbol.asyncIterator]: () => ({ next: async () => ({ done: true, value: undefined }) }),
    }).end();
    unlessRead<string>({
      [Symbol.asyncIterator]: () => {
        throw new Error("locked");
      },
    }).end(new Error("over"));
  });
});

describe("tellOfEnd()", () => {
  test("gives the source's own promises, and tells of the end once it is known", async () => {
    const promises: Promise<IteratorResult<number>>[] = [];
    let left = 2;
    const source: AsyncIterable<number> = {
      [Symbol.asyncIterator]: () => ({
        next() {
          const result = Promise.resolve(
            left > 0 ? { done: false as const, value: left-- } : { done: true as const, value: undefined },
          );
          promises.push(result);
          return result;
        },
      }),
    };
    const ends: unknown[] = [];
    const iterator = tellOfEnd(source, { end: (error) => ends.push(error) })[Symbol.asyncIterator]();
    for (let i = 0; i < 3; i++) {
      assert.deepEqual(ends, []);
      const result = iterator.next();
      assert.equal(result, promises[i]);
      await result;
    }
    assert.deepEqual(ends, [undefined]);
  });

  test("tells of an error, thrown or rejected with, which its reader gets as well", async () => {
    for (const fail of [
      () => Promise.reject(new Error("broke")),
      () => {
        throw new Error("broke");
      },
    ]) {
      const ends: unknown[] = [];
      const source = { [Symbol.asyncIterator]: () => ({ next: fail }) };
      const iterator = tellOfEnd(source, { end: (error) => ends.push(error) })[Symbol.asyncIterator]();
      await assert.rejects(iterator.next(), /broke/);
      assert.match(String(ends), /broke/);
    }
  });
});

describe("onceStreamEnds()", () => {
  test("calls done once, at the end or when the signal aborts", async () => {
    async function* one() {
      yield 1;
    }
    const controller = new AbortController();
    const ends: unknown[] = [];
    const done = (error?: unknown) => ends.push(error);
    for await (const _ of onceStreamEnds(one(), controller.signal, done)) assert.deepEqual(ends, []);
    assert.deepEqual(ends, [undefined]);
    onceStreamEnds(one(), controller.signal, done);
    controller.abort("enough");
    assert.deepEqual(ends, [undefined, "enough"]);
  });
});
