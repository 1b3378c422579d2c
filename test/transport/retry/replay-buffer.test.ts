import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { ReplayBudget } from "../../../src/transport/retry/replay-budget.ts";
import { type ReplayAttempt, ReplayBuffer } from "../../../src/transport/retry/replay-buffer.ts";
import { seededRandom } from "../../support/seeded-random.ts";

/** A source of texts that is read by hand, and says what was done with it. */
class HandSource implements AsyncIterable<string> {
  opened = 0;
  reads = 0;
  thrown: unknown[] = [];
  returned = 0;
  readonly #waiting: PromiseWithResolvers<IteratorResult<string>>[] = [];

  [Symbol.asyncIterator](): AsyncIterator<string> {
    this.opened++;
    return {
      next: () => {
        this.reads++;
        const step = Promise.withResolvers<IteratorResult<string>>();
        this.#waiting.push(step);
        return step.promise;
      },
      throw: async (error) => {
        this.thrown.push(error);
        return { done: true, value: undefined };
      },
      return: async () => {
        this.returned++;
        return { done: true, value: undefined };
      },
    };
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  give(text: string): void {
    this.#waiting.shift()?.resolve({ done: false, value: text });
  }

  finish(): void {
    this.#waiting.shift()?.resolve({ done: true, value: undefined });
  }

  fail(error: unknown): void {
    this.#waiting.shift()?.reject(error);
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

interface Made {
  readonly buffer: ReplayBuffer<string>;
  readonly budget: ReplayBudget;
  /** Attempts that an overflow has chosen. */
  readonly chosen: ReplayAttempt<string>[];
  decoded: number;
}

function makeBuffer(source: AsyncIterable<string>, maxBytes = 100, totalBytes = 1000): Made {
  const budget = new ReplayBudget(totalBytes);
  const chosen: ReplayAttempt<string>[] = [];
  const made: Made = {
    budget,
    chosen,
    decoded: 0,
    buffer: new ReplayBuffer({
      source,
      encode: (text) => {
        if (text === "unencodable") throw new TypeError("no text");
        return encoder.encode(text);
      },
      decode: (bytes) => {
        made.decoded++;
        return decoder.decode(bytes);
      },
      maxBytes,
      budget,
    }),
  };
  const { buffer } = made;
  const begin = buffer.attempt.bind(buffer);
  buffer.attempt = () => {
    const attempt = begin(() => chosen.push(attempt));
    return attempt;
  };
  return made;
}

async function* texts(...all: string[]): AsyncGenerator<string> {
  yield* all;
}

const read = (attempt: ReplayAttempt<string>): AsyncIterator<string> => attempt.iterable[Symbol.asyncIterator]();

/** Lets promises run. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await undefined;
}

async function all(attempt: ReplayAttempt<string>): Promise<string[]> {
  const got: string[] = [];
  for await (const text of attempt.iterable) got.push(text);
  return got;
}

async function assertSuperseded(promise: Promise<unknown>): Promise<void> {
  await assert.rejects(promise, (error) => error instanceof ConnectError && error.code === Code.Canceled);
}

describe("ReplayBuffer", () => {
  test("hands all messages to one attempt after another, reading the source once", async () => {
    const { buffer, budget } = makeBuffer(texts("a", "b", "c"));
    for (let round = 0; round < 3; round++) {
      assert.equal(buffer.mayReplay(), true);
      const attempt = buffer.attempt();
      assert.deepEqual(await all(attempt), ["a", "b", "c"]);
      attempt.abandon();
    }
    assert.equal(budget.leftBytes, 997);
    buffer.end();
    assert.equal(budget.leftBytes, 1000);
    assert.equal(buffer.mayReplay(), false);
  });

  test("asks the source for a message only when an attempt asks for one that nobody had", async () => {
    const source = new HandSource();
    const { buffer } = makeBuffer(source);
    const first = read(buffer.attempt());
    assert.equal(source.opened, 0);
    const step = first.next();
    assert.equal(source.reads, 1);
    source.give("a");
    assert.deepEqual(await step, { done: false, value: "a" });
    await settle();
    assert.equal(source.reads, 1);
    const second = read(buffer.attempt());
    assert.deepEqual(await second.next(), { done: false, value: "a" });
    assert.equal(source.reads, 1);
    const [ours, theirs] = [second.next(), first.next()];
    assert.equal(source.reads, 2);
    source.give("b");
    assert.deepEqual(await ours, { done: false, value: "b" });
    assert.deepEqual(await theirs, { done: false, value: "b" });
    const last = first.next();
    source.finish();
    assert.deepEqual(await last, { done: true, value: undefined });
    assert.deepEqual(await second.next(), { done: true, value: undefined });
    assert.equal(source.reads, 3);
    assert.equal(source.opened, 1);
  });

  test("has a read that an attempt left behind go to the next one", async () => {
    const source = new HandSource();
    const { buffer } = makeBuffer(source);
    const first = buffer.attempt();
    const left = read(first).next();
    first.abandon();
    const next = read(buffer.attempt()).next();
    source.give("a");
    assert.deepEqual(await next, { done: false, value: "a" });
    await assertSuperseded(left);
    assert.equal(source.reads, 1);
  });

  test("keeps messages as they were when they were read", async () => {
    const message = { text: "as sent" };
    async function* changing() {
      yield message;
      message.text = "changed";
    }
    const buffer = new ReplayBuffer({
      source: changing(),
      encode: ({ text }) => encoder.encode(text),
      decode: (bytes) => ({ text: decoder.decode(bytes) }),
      maxBytes: 100,
      budget: new ReplayBudget(),
    });
    for await (const { text } of buffer.attempt().iterable) assert.equal(text, "as sent");
    for await (const { text } of buffer.attempt().iterable) assert.equal(text, "as sent");
  });

  test("reads straight from the source once it is committed, and keeps nothing", async () => {
    const source = new HandSource();
    const { buffer, budget, decoded } = makeBuffer(source);
    const attempt = buffer.attempt();
    const reader = read(attempt);
    const step = reader.next();
    source.give("a");
    await step;
    buffer.commit(attempt);
    buffer.commit(attempt);
    assert.equal(budget.leftBytes, 1000);
    assert.equal(buffer.mayReplay(), false);
    assert.throws(() => buffer.attempt(), /not kept any more/);
    // The promise is the source's own.
    const direct = [reader.next(), reader.next()];
    assert.equal(source.waiting, 2);
    source.give("b");
    source.give("c");
    assert.deepEqual(await Promise.all(direct), [
      { done: false, value: "b" },
      { done: false, value: "c" },
    ]);
    assert.equal(budget.leftBytes, 1000);
    assert.equal(decoded, 0);
  });

  test("gives the committed attempt what it has not had, and the others nothing more", async () => {
    const source = new HandSource();
    const { buffer, budget } = makeBuffer(source);
    const [ahead, behind] = [buffer.attempt(), buffer.attempt()];
    const [aheadReader, behindReader] = [read(ahead), read(behind)];
    for (const text of ["a", "b", "c"]) {
      const step = aheadReader.next();
      source.give(text);
      await step;
    }
    assert.deepEqual(await behindReader.next(), { done: false, value: "a" });
    const pending = aheadReader.next();
    buffer.commit(behind);
    assert.equal(budget.leftBytes, 998);
    assert.deepEqual(await behindReader.next(), { done: false, value: "b" });
    assert.deepEqual(await behindReader.next(), { done: false, value: "c" });
    assert.equal(budget.leftBytes, 1000);
    // What the other had asked for is not lost.
    const next = behindReader.next();
    source.give("d");
    await assertSuperseded(pending);
    assert.deepEqual(await next, { done: false, value: "d" });
    await assertSuperseded(aheadReader.next());
    const last = behindReader.next();
    source.finish();
    assert.deepEqual(await last, { done: true, value: undefined });
    assert.equal(source.reads, 5);
  });

  test("commits to the attempt that has come furthest where a call keeps too much", async () => {
    const source = new HandSource();
    const { buffer, budget, chosen } = makeBuffer(source, 10);
    const [slow, fast] = [buffer.attempt(), buffer.attempt()];
    const [slowReader, fastReader] = [read(slow), read(fast)];
    for (const text of ["12345", "67890"]) {
      const step = fastReader.next();
      source.give(text);
      await step;
    }
    await slowReader.next();
    assert.deepEqual([buffer.mayReplay(), budget.leftBytes, chosen], [true, 990, []]);
    const step = fastReader.next();
    source.give("x");
    assert.deepEqual(await step, { done: false, value: "x" });
    assert.deepEqual(chosen, [fast]);
    assert.equal(buffer.mayReplay(), false);
    assert.equal(budget.leftBytes, 1000);
    await assertSuperseded(slowReader.next());
    const more = fastReader.next();
    source.give("y".repeat(50));
    await more;
    assert.equal(budget.leftBytes, 1000);
  });

  test("commits where all calls together keep too much, and not where they have room again", async () => {
    const budget = new ReplayBudget(10);
    const make = () =>
      new ReplayBuffer({
        source: texts("123456"),
        encode: (text) => encoder.encode(text),
        decode: (bytes) => decoder.decode(bytes),
        maxBytes: 100,
        budget,
      });
    const [first, second, third] = [make(), make(), make()];
    assert.deepEqual(await all(first.attempt()), ["123456"]);
    assert.deepEqual(await all(second.attempt()), ["123456"]);
    assert.deepEqual([first.mayReplay(), second.mayReplay()], [true, false]);
    assert.equal(budget.leftBytes, 4);
    first.end();
    assert.deepEqual(await all(third.attempt()), ["123456"]);
    assert.equal(third.mayReplay(), true);
    third.end();
    second.end();
    assert.equal(budget.leftBytes, 10);
  });

  test("commits to the next attempt where too much came between two", async () => {
    const source = new HandSource();
    const { buffer, budget, chosen } = makeBuffer(source, 3);
    const first = buffer.attempt();
    const left = read(first).next();
    first.abandon();
    source.give("1234");
    await assertSuperseded(left);
    assert.equal(buffer.mayReplay(), true);
    const reader = read(buffer.attempt());
    assert.equal(buffer.mayReplay(), false);
    assert.deepEqual(await reader.next(), { done: false, value: "1234" });
    assert.equal(budget.leftBytes, 1000);
    assert.deepEqual(chosen, []);
    const step = reader.next();
    source.finish();
    assert.equal((await step).done, true);
  });

  test("commits to the attempt that sends what cannot be encoded: it will say why", async () => {
    const { buffer, chosen } = makeBuffer(texts("a", "unencodable", "b"));
    const attempt = buffer.attempt();
    assert.deepEqual(await all(attempt), ["a", "unencodable", "b"]);
    assert.deepEqual(chosen, [attempt]);
  });

  test("fails every attempt as the source does, and allows no other", async () => {
    const source = new HandSource();
    const { buffer } = makeBuffer(source);
    const readers = [read(buffer.attempt()), read(buffer.attempt())];
    const steps = readers.map((reader) => reader.next());
    const error = new Error("the caller's");
    source.fail(error);
    for (const step of steps) await assert.rejects(step, error);
    for (const reader of readers) await assert.rejects(reader.next(), error);
    assert.equal(buffer.mayReplay(), false);
    assert.equal(source.reads, 1);
  });

  test("fails as a source does that cannot be opened, or throws at once", async () => {
    const error = new Error("no");
    const unopenable: AsyncIterable<string> = {
      [Symbol.asyncIterator]() {
        throw error;
      },
    };
    const { buffer } = makeBuffer(unopenable);
    await assert.rejects(read(buffer.attempt()).next(), error);
    assert.equal(buffer.mayReplay(), false);
    buffer.end(error);
  });

  test("keeps throw() from the source, and tells it of the call's end", async () => {
    const source = new HandSource();
    const { buffer } = makeBuffer(source);
    const reader = read(buffer.attempt());
    await assert.rejects(Promise.resolve(reader.throw?.(new Error("attempt"))), /attempt/);
    assert.equal(reader.return, undefined);
    assert.deepEqual(source.thrown, []);
    const pending = reader.next();
    const error = new Error("call");
    buffer.end(error);
    buffer.end(new Error("again"));
    assert.deepEqual(source.thrown, [error]);
    assert.equal(source.returned, 1);
    source.give("late");
    await assertSuperseded(pending);
  });

  test("tells a source of an end without an error by return() alone", async () => {
    const source = new HandSource();
    makeBuffer(source).buffer.end();
    assert.deepEqual(source.thrown, []);
    assert.equal(source.returned, 1);
  });

  test("does as the model does, whatever happens in which order", { timeout: 60_000 }, async () => {
    const { random, seed } = seededRandom();
    for (let round = 0; round < 300; round++) await playRound(random, `SEED=${seed}, round ${round}`);
  });
});

/** An attempt, and what it should get. */
interface Player {
  readonly attempt: ReplayAttempt<string>;
  readonly reader: AsyncIterator<string>;
  /** What it got: texts, "end", or "over". */
  readonly got: string[];
  asked: number;
  isOver: boolean;
}

async function playRound(random: () => number, note: string): Promise<void> {
  const source = new HandSource();
  const maxBytes = Math.floor(random() * 40);
  const { buffer, budget, chosen } = makeBuffer(source, maxBytes, 10_000);
  const length = Math.floor(random() * 12);
  const messages = Array.from({ length }, (_, at) => `${at}:${"x".repeat(Math.floor(random() * 12))}`);
  const failsAtEnd = random() < 0.2;
  const players: Player[] = [];
  let given = 0;

  const live = () => players.filter(({ isOver }) => !isOver);
  const someone = () => live()[Math.floor(random() * live().length)];
  const give = async () => {
    if (source.waiting === 0) return;
    const text = messages[given];
    if (text !== undefined) source.give(text);
    else if (failsAtEnd) source.fail("failed");
    else source.finish();
    given++;
    await settle();
  };
  const ask = (player: Player) => {
    player.asked++;
    player.reader.next().then(
      ({ done, value }) => player.got.push(done === true ? "end" : value),
      (error) => player.got.push(error === "failed" ? "failed" : "over"),
    );
  };

  for (let turn = 0; turn < 60; turn++) {
    const what = random();
    const player = someone();
    if (what < 0.12) {
      if (buffer.mayReplay()) {
        const attempt = buffer.attempt();
        players.push({ attempt, reader: read(attempt), got: [], asked: 0, isOver: false });
      }
    } else if (what < 0.5) {
      if (player !== undefined) ask(player);
    } else if (what < 0.56) {
      if (player !== undefined && live().length > 1) {
        player.attempt.abandon();
        player.isOver = true;
      }
    } else if (what < 0.6) {
      if (player !== undefined && buffer.mayReplay()) {
        buffer.commit(player.attempt);
        chosen.push(player.attempt);
      }
    } else {
      await give();
    }
    assert.ok(source.opened <= 1, note);
    assert.ok(source.waiting <= Math.max(1, ...players.map(({ asked, got }) => asked - got.length)), note);
    const lastBytes = messages[given - 1]?.length ?? 0;
    assert.ok(10_000 - budget.leftBytes <= maxBytes + lastBytes, note);
  }
  while (source.waiting > 0) await give();
  await settle();

  const furthest = Math.max(0, ...players.map(({ asked }) => asked));
  assert.ok(source.reads <= furthest, note);
  assert.ok(chosen.length <= 1, note);
  for (const { attempt, got, asked, isOver } of players) {
    assert.equal(got.length, asked, note);
    const overAt = got.indexOf("over");
    // Up to the place where it was over, an attempt gets the source's messages in order, and its end.
    const expected = (at: number) => messages[at] ?? (failsAtEnd ? "failed" : "end");
    for (const [at, text] of got.entries()) {
      if (overAt !== -1 && at >= overAt) assert.equal(text, "over", note);
      else assert.equal(text, expected(at) === "end" && at > length ? "end" : expected(at), note);
    }
    // The attempt that was chosen goes on; where none was, they all do.
    const goesOn = chosen.length === 0 ? buffer.mayReplay() || failsAtEnd : chosen.includes(attempt);
    if (goesOn && !isOver) assert.equal(overAt, -1, note);
  }
  buffer.end();
  assert.equal(budget.leftBytes, 10_000, note);
  assert.equal(source.returned, 1, note);
}
