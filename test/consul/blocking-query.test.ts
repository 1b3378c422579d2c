import assert from "node:assert/strict";
import { test } from "node:test";
import { type BlockingQuery, followQuery } from "../../src/consul/blocking-query.ts";
import { ConsulError } from "../../src/consul/consul-error.ts";
import type { QueryResult } from "../../src/consul/query.ts";
import { createManualClock, type ManualClock } from "../../src/testing/manual-clock.ts";

/** A read that waits for the test to answer it. */
interface Read {
  readonly index: string | undefined;
  readonly indexAgent: string | undefined;
  readonly waitMs: number | undefined;
  readonly signal: AbortSignal;
  answer(data: string, index?: string, agent?: string): Promise<void>;
  fail(error: unknown): Promise<void>;
}

/** A query whose reads and reports the test holds in its hands. */
interface Followed {
  readonly clock: ManualClock;
  readonly query: BlockingQuery;
  readonly reads: Read[];
  /** `+data` for a change, `=data` for none, `!message` for an error, in order. */
  readonly reports: string[];
  /** The only read that waits to be answered and is not aborted; fails when there is none or more. */
  open(): Read;
}

function follow(options: { waitMs?: number; random?: () => number; onReport?: (query: BlockingQuery) => void } = {}) {
  const { waitMs, random = () => 0, onReport = () => {} } = options;
  const clock = createManualClock();
  const reads: Read[] = [];
  const settled = new Set<Read>();
  const reports: string[] = [];
  const query = followQuery<string>({
    clock,
    random,
    ...(waitMs === undefined ? {} : { waitMs }),
    read: ({ index, indexAgent, waitMs, signal }) =>
      new Promise<QueryResult<string>>((resolve, reject) => {
        const read: Read = {
          index,
          indexAgent,
          waitMs,
          signal,
          answer(data, index, agent) {
            settled.add(read);
            const rest = { knownLeader: true, lastContactMs: 0, filteredByAcls: false };
            resolve({ data, index, ...rest, ...(agent === undefined ? {} : { agent }) });
            return clock.advance(0);
          },
          fail(error) {
            settled.add(read);
            reject(error);
            return clock.advance(0);
          },
        };
        reads.push(read);
        signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      }),
    same: (a, b) => a === b,
    onResult: ({ data }, changed) => {
      reports.push(`${changed ? "+" : "="}${data}`);
      onReport(query);
    },
    onError: (error) => {
      reports.push(`!${error instanceof Error ? error.message : error}`);
      onReport(query);
    },
  });
  const open = () => {
    const waiting = reads.filter((read) => !settled.has(read) && !read.signal.aborted);
    assert.equal(waiting.length, 1, "exactly one read is under way");
    return waiting[0]!;
  };
  return { clock, query, reads, reports, open } satisfies Followed;
}

const httpError = (status: number) =>
  new ConsulError(`status ${status}`, { code: "http", method: "GET", path: "/", address: "http://x", status });

test("followQuery() answers at once first, then waits on the index of the last answer", async () => {
  const { reads, reports, open, query } = follow();
  assert.equal(reads.length, 1);
  assert.deepEqual([open().index, open().waitMs], [undefined, undefined]);
  await open().answer("a", "5");
  assert.equal(open().index, "5");
  await open().answer("b", "6");
  assert.equal(open().index, "6");
  assert.deepEqual(reports, ["+a", "+b"]);
  query.close();
});

test("followQuery() reports an answer in the turn in which it comes, with no timer between", async () => {
  const { clock, reports, open, query } = follow();
  for (let count = 0; count < 40; count++) {
    const answered = open().answer(`v${count}`, String(count + 1));
    for (let microtask = 0; microtask < 5; microtask++) await undefined;
    assert.equal(reports.at(-1), `+v${count}`);
    await answered;
    assert.equal(clock.pending, 0);
  }
  query.close();
});

test("followQuery() waits 55 s by default, shortened by up to a tenth", async () => {
  const waits: (number | undefined)[] = [];
  for (const random of [() => 0, () => 0.5, () => 0.999_999]) {
    const { open, query } = follow({ random });
    await open().answer("a", "5");
    waits.push(open().waitMs);
    query.close();
  }
  assert.deepEqual(waits, [55_000, 52_250, 49_500]);
});

test("followQuery() throws RangeError when the wait is too short or too long", () => {
  for (const waitMs of [999, 60_001, 0, Number.NaN]) assert.throws(() => follow({ waitMs }), RangeError);
});

test("followQuery() tells that nothing changed when the answer says the same", async () => {
  const { clock, reports, open, query } = follow();
  await open().answer("a", "5");
  await clock.advance(55_000);
  await open().answer("a", "5");
  await open().answer("a", "9");
  assert.deepEqual(reports, ["+a", "=a", "=a"]);
  query.close();
});

test("followQuery() starts from 0 when the index goes back", async () => {
  const { reports, open, query } = follow();
  await open().answer("a", "42");
  await open().answer("b", "10");
  assert.equal(open().index, undefined);
  await open().answer("b", "10");
  assert.equal(open().index, "10");
  assert.deepEqual(reports, ["+a", "+b", "=b"]);
  query.close();
});

test("followQuery() compares indexes exactly when they are beyond 2^53", async () => {
  const { open, query } = follow();
  await open().answer("a", "18446744073709551615");
  await open().answer("b", "18446744073709551614");
  assert.equal(open().index, undefined);
  query.close();
});

test("followQuery() asks without an index when an answer carried none", async () => {
  const { open, query } = follow();
  await open().answer("a", "5");
  await open().answer("b", undefined);
  assert.equal(open().index, undefined);
  query.close();
});

test("followQuery() starts from 0 after an error, with growing delays until a success", async () => {
  const { clock, reads, reports, open, query } = follow({ random: () => 0.5 });
  await open().answer("a", "42");
  const delays = [100, 200, 400];
  for (const delayMs of delays) {
    const count = reads.length;
    await open().fail(new Error("down"));
    await clock.advance(delayMs - 1);
    assert.equal(reads.length, count);
    await clock.advance(1);
    assert.equal(reads.length, count + 1);
    assert.equal(open().index, undefined);
  }
  await open().answer("a", "7");
  await open().fail(new Error("down again"));
  await clock.advance(100);
  assert.equal(open().index, undefined);
  assert.deepEqual(reports, ["+a", "!down", "!down", "!down", "=a", "!down again"]);
  query.close();
});

test("followQuery() backs off more when Consul says that it is overloaded or ill", async () => {
  for (const status of [429, 500]) {
    const { clock, reads, open, query } = follow({ random: () => 0.5 });
    await open().fail(httpError(status));
    await clock.advance(999);
    assert.equal(reads.length, 1);
    await clock.advance(1);
    assert.equal(reads.length, 2);
    query.close();
  }
});

test("followQuery() retries at least every 10 s however long Consul is away", async () => {
  const { clock, reads, open, query } = follow({ random: () => 0.999_999 });
  for (let count = 0; count < 15; count++) {
    await open().fail(httpError(503));
    await clock.advance(10_000);
    assert.equal(reads.length, count + 2);
  }
  query.close();
});

test("followQuery() survives a read that throws before it returns a promise", async () => {
  const clock = createManualClock();
  const errors: unknown[] = [];
  const query = followQuery<string>({
    clock,
    read: () => {
      throw new Error("at once");
    },
    same: Object.is,
    onResult: () => {},
    onError: (error) => errors.push(error),
  });
  assert.equal(errors.length, 0);
  await clock.advance(1000);
  assert.ok(errors.length > 1);
  query.close();
});

test("followQuery() spends its two tokens when early answers change nothing, then reads once a second", async () => {
  const { clock, reads, open, query } = follow();
  await open().answer("a", "5");
  await open().answer("a", "5");
  await open().answer("a", "5");
  assert.equal(reads.length, 4);
  await open().answer("a", "5");
  for (let count = 4; count < 8; count++) {
    assert.equal(reads.length, count);
    await clock.advance(999);
    assert.equal(reads.length, count);
    await clock.advance(1);
    assert.equal(reads.length, count + 1);
    await open().answer("a", "5");
  }
  query.close();
});

test("followQuery() cannot be made to spin by answers without an index", async () => {
  const { clock, reads, open, query } = follow();
  for (let count = 0; count < 4; count++) await open().answer("a", undefined);
  assert.equal(reads.length, 4);
  await clock.advance(1000);
  assert.equal(reads.length, 5);
  query.close();
});

test("followQuery() spends nothing when a wait ran its whole time", async () => {
  const { clock, reads, open, query } = follow();
  await open().answer("a", "5");
  for (let count = 2; count < 10; count++) {
    await clock.advance(55_000);
    await open().answer("a", "5");
    assert.equal(reads.length, count + 1);
  }
  await open().answer("a", "5");
  await open().answer("a", "5");
  assert.equal(clock.pending, 0, "both tokens are left");
  query.close();
});

test("followQuery() takes at most 50 changes in any one second", async () => {
  const { clock, reports, reads, open, query } = follow();
  const times: number[] = [];
  for (let count = 0; count < 175; count++) {
    if (reads.length === reports.length) await clock.advance(1000);
    times.push(clock.now());
    await open().answer(`v${count}`, String(count + 1));
  }
  for (const start of times) {
    assert.ok(times.filter((time) => time >= start && time < start + 1000).length <= 50);
  }
  assert.equal(times.at(-1), 3000, "and no fewer");
  query.close();
});

test("refresh() reads at once beside the blocking read and reports the answer", async () => {
  const { reads, reports, query } = follow();
  await reads[0]?.answer("a", "5");
  let done = false;
  const refreshed = query.refresh().then(() => {
    done = true;
  });
  assert.equal(reads.length, 3);
  assert.deepEqual([reads[2]?.index, reads[2]?.waitMs], [undefined, undefined]);
  assert.equal(reads[1]?.signal.aborted, false);
  assert.equal(done, false);
  await reads[2]?.answer("b", "6");
  await refreshed;
  assert.deepEqual(reports, ["+a", "+b"]);
  query.close();
});

test("refresh() shares the read under way and reads again after it", async () => {
  const { reads, query } = follow();
  await reads[0]?.answer("a", "5");
  const [first, second] = [query.refresh(), query.refresh()];
  assert.equal(reads.length, 3);
  await reads[2]?.answer("a", "5");
  await Promise.all([first, second]);
  const third = query.refresh();
  assert.equal(reads.length, 4);
  await reads[3]?.answer("a", "5");
  await third;
  query.close();
});

test("refresh() does not put an older answer over a newer one of the blocking read", async () => {
  const { reads, reports, query } = follow();
  await reads[0]?.answer("a", "5");
  const refreshed = query.refresh();
  await reads[1]?.answer("c", "7");
  await reads[2]?.answer("b", "6");
  await refreshed;
  assert.deepEqual(reports, ["+a", "+c"]);
  assert.equal(reads[3]?.index, "7");
  query.close();
});

test("the blocking read does not put an older answer over a newer one of refresh()", async () => {
  const { reads, reports, clock, query } = follow();
  await reads[0]?.answer("a", "5");
  const refreshed = query.refresh();
  await reads[2]?.answer("c", "7");
  await refreshed;
  await reads[1]?.answer("b", "6");
  assert.deepEqual(reports, ["+a", "+c"]);
  assert.equal(reads[3]?.index, "7");
  assert.equal(clock.pending, 0);
  query.close();
});

test("refresh() costs no token when the blocking read wakes to the same news", async () => {
  const { clock, reads, reports, query } = follow();
  await reads[0]?.answer("v0", "1");
  for (let count = 1; count < 10; count++) {
    const refreshed = query.refresh();
    await reads.at(-1)?.answer(`v${count}`, String(count + 1));
    await refreshed;
    await reads.at(-2)?.answer(`v${count}`, String(count + 1));
    assert.equal(clock.pending, 0);
    assert.deepEqual(reports.slice(-2), [`+v${count}`, `=v${count}`]);
  }
  query.close();
});

test("refresh() drops an answer of the time before a reset that the blocking read saw", async () => {
  const { reads, reports, query } = follow();
  await reads[0]?.answer("old", "42");
  const refreshed = query.refresh();
  await reads[1]?.answer("new", "10");
  await reads[2]?.answer("old", "43");
  await refreshed;
  assert.deepEqual(reports, ["+old", "+new"]);
  assert.equal(reads[3]?.index, undefined);
  query.close();
});

test("refresh() starts the blocking read anew when it sees the index go back", async () => {
  const { reads, reports, open, query } = follow();
  await reads[0]?.answer("old", "42");
  const refreshed = query.refresh();
  await reads[2]?.answer("new", "10");
  await refreshed;
  assert.equal(reads[1]?.signal.aborted, true);
  assert.equal(open().index, "10");
  await open().answer("newer", "11");
  assert.deepEqual(reports, ["+old", "+new", "+newer"]);
  query.close();
});

test("refresh() does not set the index when the blocking read has failed meanwhile", async () => {
  const { clock, reads, reports, query } = follow({ random: () => 0.5 });
  await reads[0]?.answer("old", "42");
  const refreshed = query.refresh();
  await reads[1]?.fail(new Error("killed"));
  await reads[2]?.answer("old", "42");
  await refreshed;
  await clock.advance(100);
  assert.equal(reads[3]?.index, undefined);
  assert.deepEqual(reports, ["+old", "!killed", "=old"]);
  query.close();
});

test("refresh() ends the backoff when it finds Consul back", async () => {
  const { clock, reads, reports, open, query } = follow({ random: () => 0.5 });
  for (let count = 0; count < 8; count++) {
    await open().fail(new Error("down"));
    if (count < 7) await clock.advance(10_000);
  }
  const refreshed = query.refresh();
  await reads.at(-1)?.answer("a", "5");
  await refreshed;
  assert.equal(open().index, "5");
  assert.equal(clock.pending, 0);
  assert.equal(reports.at(-1), "+a");
  query.close();
});

test("refresh() resolves when it failed, reports the error, and asks again until it knows", async () => {
  const { clock, reads, reports, query } = follow({ random: () => 0.5 });
  await reads[0]?.answer("a", "5");
  const refreshed = query.refresh();
  await reads[2]?.fail(new Error("lost"));
  await refreshed;
  assert.deepEqual(reports, ["+a", "!lost"]);
  assert.equal(reads[1]?.signal.aborted, false);
  await clock.advance(100);
  await reads[3]?.fail(new Error("lost"));
  await clock.advance(200);
  await reads[4]?.answer("a", "5");
  assert.deepEqual(reports, ["+a", "!lost", "!lost", "=a"]);
  assert.equal(clock.pending, 0);
  await clock.advance(60_000);
  assert.equal(reads.length, 5);
  query.close();
});

test("refresh() asks no more after a failure when the blocking read has answered", async () => {
  const { clock, reads, query } = follow({ random: () => 0.5 });
  await reads[0]?.answer("a", "5");
  const refreshed = query.refresh();
  await reads[2]?.fail(new Error("lost"));
  await refreshed;
  await reads[1]?.answer("b", "6");
  assert.equal(clock.pending, 0);
  query.close();
});

test("close() aborts every read, leaves no timer, and no callback follows", async () => {
  const { clock, reads, reports, query } = follow();
  await reads[0]?.answer("a", "5");
  const refreshed = query.refresh();
  query.close();
  query.close();
  assert.ok(reads[1]?.signal.aborted && reads[2]?.signal.aborted);
  await reads[1]?.answer("b", "6");
  await reads[2]?.answer("b", "6");
  await refreshed;
  await query.refresh();
  await clock.advance(120_000);
  assert.deepEqual(reports, ["+a"]);
  assert.equal(reads.length, 3);
  assert.equal(clock.pending, 0);
});

test("close() drops an answer that has come and is not yet reported", async () => {
  const { clock, reports, open, query } = follow();
  const answered = open().answer("a", "5");
  query.close();
  await answered;
  assert.deepEqual(reports, []);
  assert.equal(clock.pending, 0);
});

test("close() ends a pause, whatever it is for", async () => {
  const failing = follow();
  await failing.open().fail(new Error("down"));
  assert.equal(failing.clock.pending, 1);
  failing.query.close();
  assert.equal(failing.clock.pending, 0);

  const spinning = follow();
  for (let count = 0; count < 4; count++) await spinning.open().answer("a", "5");
  assert.equal(spinning.clock.pending, 1);
  spinning.query.close();
  await spinning.clock.advance(10_000);
  assert.equal(spinning.clock.pending, 0);
  assert.equal(spinning.reads.length, 4);

  const rechecking = follow();
  await rechecking.reads[0]?.answer("a", "5");
  const refreshed = rechecking.query.refresh();
  await rechecking.reads[2]?.fail(new Error("lost"));
  await refreshed;
  assert.equal(rechecking.clock.pending, 1);
  rechecking.query.close();
  assert.equal(rechecking.clock.pending, 0);
});

test("close() may be called from within a callback", async () => {
  const answered = follow({ onReport: (query) => query.close() });
  await answered.open().answer("a", "5");
  const failed = follow({ onReport: (query) => query.close() });
  await failed.open().fail(new Error("down"));
  for (const { clock, reads, reports } of [answered, failed]) {
    await clock.advance(60_000);
    assert.equal(reads.length, 1);
    assert.equal(reports.length, 1);
    assert.equal(clock.pending, 0);
  }
});

test("followQuery() sends an index with whose it is, and compares it with none of another agent", async () => {
  const { reads, reports, open, query, clock } = follow();
  await reads[0]?.answer("a", "50", "http://one");
  assert.deepEqual([open().index, open().indexAgent], ["50", "http://one"]);
  // Another agent has answered: its index is lower, and says nothing of the other's.
  await open().answer("b", "7", "http://two");
  await clock.advance(1000);
  assert.deepEqual([open().index, open().indexAgent], ["7", "http://two"]);
  assert.deepEqual(reports, ["+a", "+b"]);
  query.close();
});

test("refresh() starts the blocking read anew when another agent answers it", async () => {
  const { reads, reports, open, query, clock } = follow();
  await reads[0]?.answer("a", "50", "http://one");
  const waiting = open();
  const refreshed = query.refresh();
  await reads.at(-1)?.answer("b", "60", "http://two");
  await refreshed;
  assert.equal(waiting.signal.aborted, true);
  await clock.advance(0);
  assert.deepEqual([open().index, open().indexAgent], ["60", "http://two"]);
  assert.deepEqual(reports, ["+a", "+b"]);
  query.close();
});

test("followQuery() leaves Consul alone for as long as it asks, refresh() included", async () => {
  const { reads, reports, open, query, clock } = follow();
  const details = { code: "http", method: "GET", path: "/", address: "http://x", status: 429 } as const;
  await reads[0]?.fail(new ConsulError("slow down", { ...details, retryAfterMs: 20_000 }));
  await clock.advance(10_000);
  await query.refresh();
  await clock.advance(9_999);
  assert.equal(reads.length, 1);
  await clock.advance(1);
  await open().answer("a", "5");
  void query.refresh();
  assert.equal(reads.length, 4);
  assert.deepEqual(reports, ["!slow down", "+a"]);
  query.close();
});
