import assert from "node:assert/strict";
import { test } from "node:test";
import { ConsulError } from "../../src/consul/consul-error.ts";
import { createLeaderlessReads } from "../../src/consul/leaderless-reads.ts";
import type { QueryOptions, QueryResult } from "../../src/consul/query.ts";
import { createManualClock } from "../../src/testing/manual-clock.ts";

const noLeader = new ConsulError("answered 500", {
  code: "http",
  method: "GET",
  path: "/",
  address: "http://a",
  status: 500,
  text: "No cluster leader",
});
const silence = new ConsulError("no answer", { code: "timeout", method: "GET", path: "/", address: "http://a" });

type Answer = Partial<QueryResult<string>> | Error | undefined;

/** Reads whose answers the test gives by consistency; undefined: none comes. */
function bench(options: { patienceMs?: number } = {}) {
  const clock = createManualClock(100_000);
  const asked: string[] = [];
  const leader: boolean[] = [];
  const answers: { default: Answer; stale: Answer } = { default: {}, stale: {} };
  const read = createLeaderlessReads<string>({
    clock,
    onLeader: (hasLeader) => leader.push(hasLeader),
    ...options,
    async read({ consistency = "default", index, waitMs, timeoutMs }: QueryOptions) {
      asked.push([consistency, index, waitMs, timeoutMs].filter((part) => part !== undefined).join(" "));
      const answer = answers[consistency === "stale" ? "stale" : "default"];
      if (answer === undefined) return new Promise(() => {});
      if (answer instanceof Error) throw answer;
      return { data: "x", index: "10", knownLeader: true, lastContactMs: 0, filteredByAcls: false, ...answer };
    },
  });
  const { signal } = new AbortController();
  return {
    clock,
    answers,
    leader,
    asked: () => asked.splice(0),
    first: () => read({ signal }),
    waits: (index = "10") => read({ index, waitMs: 55_000, signal }),
  };
}

test("createLeaderlessReads() reads by default consistency while there is a leader", async () => {
  const { asked, first, waits, leader, clock } = bench();
  assert.equal((await first()).data, "x");
  assert.equal((await waits()).index, "10");
  assert.deepEqual(asked(), ["default", "default 10 55000"]);
  assert.deepEqual([leader, clock.pending], [[], 0]);
});

test("createLeaderlessReads() asks any server while there is none, and the leader again when one says so", async () => {
  const { asked, answers, first, waits, leader, clock } = bench();
  await first();
  answers.default = noLeader;
  answers.stale = { knownLeader: false, lastContactMs: 0 };
  await clock.advance(1000);
  assert.equal((await waits()).knownLeader, false);
  assert.deepEqual(asked(), ["default", "default 10 55000", "stale"]);
  assert.deepEqual(leader, [false]);
  // Waits there as well, but not for long: a new leader is to be found.
  await waits();
  assert.deepEqual(asked(), ["stale 10 5000"]);
  answers.stale = { knownLeader: true, lastContactMs: 3 };
  answers.default = {};
  // The next read is to be answered at once.
  assert.equal((await waits()).index, undefined);
  assert.deepEqual(leader, [false, true]);
  await first();
  assert.deepEqual(asked(), ["stale 10 5000", "default"]);
});

test("createLeaderlessReads() takes no answer that is older than what is known", async () => {
  const { answers, first, waits, clock } = bench();
  await first();
  await clock.advance(10_000);
  answers.default = noLeader;
  answers.stale = { knownLeader: false, lastContactMs: 13_000 };
  await assert.rejects(waits(), (error) => error === noLeader);
  answers.stale = { knownLeader: false, lastContactMs: undefined };
  await assert.rejects(waits(), (error) => error === noLeader);
  // Heard from the leader, but not yet of what the leader has told us.
  answers.stale = { knownLeader: true, lastContactMs: 20, index: "9" };
  await assert.rejects(waits(), (error) => error === noLeader);
  answers.stale = { knownLeader: false, lastContactMs: 9000 };
  assert.equal((await waits()).data, "x");
});

test("createLeaderlessReads() asks the leader again when a server says that there is one, though all count anew", async () => {
  const { answers, first, waits, leader } = bench();
  await first();
  answers.default = noLeader;
  answers.stale = { knownLeader: false, lastContactMs: 0 };
  await waits();
  // The servers were lost, and set up anew from nothing.
  answers.stale = { knownLeader: true, lastContactMs: 0, index: "3" };
  answers.default = { data: "new", index: "3" };
  assert.equal((await waits()).data, "new");
  assert.deepEqual(leader, [false, true]);
});

test("createLeaderlessReads() takes any answer where nothing is known", async () => {
  const { answers, first } = bench();
  answers.default = noLeader;
  answers.stale = { knownLeader: false, lastContactMs: 9e12, data: "old" };
  assert.equal((await first()).data, "old");
});

test("createLeaderlessReads() asks any server beside when the first answer takes its time", async () => {
  const { answers, asked, first, clock } = bench();
  answers.default = undefined;
  answers.stale = { knownLeader: false, lastContactMs: 500, data: "soon" };
  const pending = first();
  await clock.advance(999);
  assert.deepEqual(asked(), ["default"]);
  await clock.advance(1);
  assert.equal((await pending).data, "soon");
  assert.deepEqual(asked(), ["stale"]);
});

test("createLeaderlessReads() asks nobody beside when told to be patient", async () => {
  const { answers, asked, first, clock } = bench({ patienceMs: Number.POSITIVE_INFINITY });
  answers.default = undefined;
  void first();
  await clock.advance(60_000);
  assert.deepEqual(asked(), ["default"]);
});

test("createLeaderlessReads() tries briefly after silence, and rejects with what the default read failed with", async () => {
  const { answers, asked, first, waits } = bench();
  await first();
  answers.default = silence;
  answers.stale = new Error("silent too");
  await assert.rejects(waits(), (error) => error === silence);
  assert.deepEqual(asked(), ["default", "default 10 55000", "stale 3000"]);
});

test("createLeaderlessReads() asks nobody else after an error that is not for want of a leader", async () => {
  const { answers, asked, first } = bench();
  const details = { code: "http", method: "GET", path: "/", address: "http://a", status: 500 } as const;
  for (const error of [
    new ConsulError("filter", { ...details, text: "Failed to create boolean expression evaluator" }),
    new ConsulError("rights", { ...details, status: 403, text: "No cluster leader" }),
    new ConsulError("gone", { ...details, code: "network" }),
    new TypeError("bad option"),
  ]) {
    answers.default = error;
    await assert.rejects(first(), (reason) => reason === error);
  }
  assert.deepEqual(asked(), ["default", "default", "default", "default"]);
});
