// The judge over ledgers written by hand: it must see what went wrong, and nothing else.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { judge, judgeCalls, type Terms } from "./judge.ts";
import { type CallEnd, openLedger, type Run, readCalls, readRuns, type SentCall } from "./ledger.ts";
import { inFlightAt, tooManyCut } from "./scenarios/sigkill.ts";
import { growthOf } from "./scenarios/soak.ts";
import { takenOut } from "./scenarios/taken-out.ts";

const ok: CallEnd = { outcome: "ok", fate: "-", tookMs: 5, server: "a#1", text: "" };
const cut: CallEnd = { outcome: "unavailable", fate: "maybe-processed", tookMs: 5, server: "-", text: "reset" };

function call(id: string, done: CallEnd | undefined = ok, more: Partial<SentCall> = {}): SentCall {
  return { id, method: "plain", sentMs: 1000, done, ...more };
}

function run(id: string, more: Partial<Run> = {}): Run {
  return { id, method: "plain", server: "a#1", pid: 1, atMs: 1001, ...more };
}

function judged(calls: readonly SentCall[], runs: readonly Run[], terms: Terms = {}) {
  return judgeCalls(calls, runs, { leastCalls: 1, ...terms });
}

describe("judgeCalls()", () => {
  test("judgeCalls() finds nothing when every call was answered and ran once", () => {
    const { calls, failed, allowed, duplicated, p999Ms, misses } = judged([call("1"), call("2")], [run("1"), run("2")]);
    assert.deepEqual(
      { calls, failed, allowed, duplicated, p999Ms, misses },
      { calls: 2, failed: 0, allowed: 0, duplicated: 0, p999Ms: 5, misses: [] },
    );
  });

  test("judgeCalls() counts a failure as failed when the terms do not allow it, and as allowed when they do", () => {
    const calls = [call("1", cut), call("2")];
    const strict = judged(calls, [run("2")]);
    assert.deepEqual([strict.failed, strict.allowed, strict.misses.length], [1, 0, 1]);
    assert.deepEqual(
      strict.culprits.map(({ id }) => id),
      ["1"],
    );
    const mild = judged(calls, [run("2")], { allow: ({ done }) => (done === cut ? "for a reason" : undefined) });
    assert.deepEqual([mild.failed, mild.allowed, mild.misses], [0, 1, []]);
    assert.deepEqual(mild.reasons, { "for a reason": 1 });
  });

  test("judgeCalls() never allows a call that did not end, nor one with a wrong answer", () => {
    const wrong: CallEnd = { ...ok, outcome: "wrong" };
    const { failed, p999Ms } = judged([{ ...call("1"), done: undefined }, call("2", wrong)], [run("1"), run("2")], {
      allow: () => "anything",
    });
    assert.equal(failed, 2);
    assert.equal(p999Ms, -1);
  });

  test("judgeCalls() counts a second run only of what may run once", () => {
    const calls = [call("1"), call("2", ok, { method: "idempotent" }), call("3", ok, { method: "safe" })];
    const { duplicated, misses, culprits } = judged(calls, [
      ...["1", "2", "3"].flatMap((id) => [run(id), run(id, { server: "b#2" })]),
      run("1"),
    ]);
    assert.equal(duplicated, 2);
    assert.deepEqual(misses, ["2 runs too many of calls that may run once"]);
    assert.equal(culprits[0]?.id, "1");
  });

  test("judgeCalls() finds an answer that nobody gave, too few calls, and what the scenario says", () => {
    const { misses } = judged([call("1")], [], { leastCalls: 2, misses: ["seen"], check: () => ["checked"] });
    assert.deepEqual(misses, [
      "1 calls were answered, and no handler ran there",
      "only 1 calls were made, 2 are needed",
      "seen",
      "checked",
    ]);
  });
});

test("judgeCalls() sees through a client that duplicates, loses or misreports, and a server that keeps no ledger", () => {
  const allowAll: Terms = { allow: () => "anything" };
  const refused: CallEnd = { ...cut, fate: "unprocessed" };
  const others = Array.from({ length: 10 }, (_, index) => call(`c-${index}`));
  const othersRuns = others.map(({ id }) => run(id));
  const found = (calls: readonly SentCall[], runs: readonly Run[]) =>
    judged([...others, ...calls], [...othersRuns, ...runs], allowAll).misses;
  assert.deepEqual(found([call("x")], [run("x")]), []);
  // Sends every call twice.
  assert.deepEqual(found([call("x")], [run("x"), run("x", { server: "b#2" })]), [
    "1 runs too many of calls that may run once",
  ]);
  // Writes down one call and makes two.
  assert.deepEqual(found([], [run("x")]), ["1 runs of calls that nobody made"]);
  // Never ends one.
  assert.deepEqual(found([{ ...call("x"), done: undefined }], [run("x")]), ["1 calls failed that must not"]);
  // Says that it may be made again, and it ran.
  assert.deepEqual(found([call("x", refused)], [run("x")]), ["1 calls were said to be unprocessed, and a handler ran"]);
  assert.deepEqual(found([call("x", refused)], []), []);
  // Its servers write nothing down, or another one does.
  assert.deepEqual(found([call("x")], []), ["1 calls were answered, and no handler ran there"]);
  assert.deepEqual(found([call("x")], [run("x", { server: "b#2" })]), [
    "1 calls were answered, and no handler ran there",
  ]);
});

test("judge() reads what programs have written, but for a line that a kill cut short", () => {
  const folder = mkdtempSync(join(tmpdir(), "lictor-judge-"));
  try {
    const client = join(folder, "client");
    const server = join(folder, "server");
    const ledger = openLedger(client);
    ledger.write("sent a-0 plain 1000");
    ledger.write("sent a-1 up 1001");
    ledger.write('done a-1 unavailable unprocessed 3.5 - "two words"');
    ledger.write('done a-0 ok - 4 s#1 ""');
    writeFileSync(server, "run a-0 plain s#1 17 1002\nrun a-1 up s#1");
    assert.deepEqual(readCalls(client)[1], {
      id: "a-1",
      method: "up",
      sentMs: 1001,
      done: { outcome: "unavailable", fate: "unprocessed", tookMs: 3.5, server: "-", text: "two words" },
    });
    assert.deepEqual(readRuns(server), [{ id: "a-0", method: "plain", server: "s#1", pid: 17, atMs: 1002 }]);
    const { calls, failed } = judge({ clients: [client], servers: [server, join(folder, "none")] }, {});
    assert.deepEqual([calls, failed], [2, 1]);
    ledger.write("nonsense");
    assert.throws(() => readCalls(client), /nonsense/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("inFlightAt() allows what was at a server when it was killed, marked maybe-processed, and may run once", () => {
  const kills = [{ fromMs: 2000, toMs: 2010, ledgerName: "a#1" }];
  const at = (more: Partial<SentCall>, runs: readonly Run[] = []) => {
    const one = judged([call("1", { ...cut, tookMs: 60 }, { sentMs: 1960, ...more })], runs).culprits[0];
    assert.ok(one);
    return inFlightAt(kills, one);
  };
  assert.equal(at({}), true);
  assert.equal(at({}, [run("1")]), true);
  assert.equal(at({}, [run("1", { server: "b#2" })]), false);
  assert.equal(at({ method: "safe" }), false);
  assert.equal(at({ sentMs: 1000 }), false);
  assert.equal(at({ sentMs: 2400 }), false);
  assert.equal(at({ done: { ...cut, fate: "unprocessed" } }), false);
});

test("tooManyCut() finds that more calls were lost than can have been under way", () => {
  const kills = [{ fromMs: 2000, toMs: 2010, ledgerName: "a#1" }];
  const lost = (count: number) => {
    const calls = Array.from({ length: count }, (_, index) => call(`c-${index}`, cut, { sentMs: 2000 }));
    return tooManyCut(kills, 1, judged(calls, []).culprits);
  };
  assert.deepEqual(lost(4), []);
  assert.deepEqual(lost(5), ["5 calls were cut by 1 kills, of 1 clients: 4 at most"]);
});

test("takenOut() allows what was sent to the bad server until it must be taken out, and sees those that wait after", () => {
  const terms = takenOut({
    faultMs: 10_000,
    wellMs: 20_000,
    withinMs: 3000,
    deadlineMs: 1000,
    ledgerName: "a#1",
    clients: 1,
    mustReturn: true,
  });
  const late: CallEnd = { ...cut, outcome: "deadline_exceeded", tookMs: 1000 };
  const elsewhere: CallEnd = { ...ok, server: "b#2" };
  const good = Array.from({ length: 20 }, (_, index) => call(`c-good${index}`, elsewhere, { sentMs: 11_000 }));
  const goodRuns = good.map(({ id }) => run(id, { server: "b#2" }));
  const suffering = call("c-early", late, { sentMs: 12_000 });
  const back = call("c-back", ok, { sentMs: 25_000 });
  const probe = call("c-probe", { ...elsewhere, tookMs: 950 }, { method: "safe", sentMs: 15_000 });
  const probeRun = run("c-probe", { server: "b#2" });
  const runs = [...goodRuns, probeRun, run("c-back")];
  const fine = judged([...good, suffering, probe, back], runs, terms);
  assert.deepEqual([fine.failed, fine.allowed, fine.misses], [0, 1, []]);
  const ending = judged([...good, call("c-late", late, { sentMs: 15_000 })], goodRuns, terms);
  assert.deepEqual(ending.misses, [
    "1 calls failed that must not",
    "1 calls waited for the bad server after it was to be taken out",
    "nobody called when the bad server was well again",
  ]);
  // A client waits for it again and again.
  const second = { ...probe, id: "c-probe2" };
  const again = judged([...good, probe, second, back], [...runs, { ...probeRun, id: second.id }], terms);
  assert.deepEqual(again.misses, ["1 calls waited for the bad server after it was to be taken out"]);
  // One of two clients never goes back.
  const never = Array.from({ length: 3 }, (_, index) => call(`d-${index}`, elsewhere, { sentMs: 25_000 }));
  const neverRuns = never.map(({ id }) => run(id, { server: "b#2" }));
  assert.deepEqual(judged([...good, back, ...never], [...goodRuns, run("c-back"), ...neverRuns], terms).misses, [
    "the bad server was well again and got 0 of the last 3 calls of d",
  ]);
  // Nothing that was never sent may fail, nor what ran elsewhere, nor half of all.
  const failed = (one: SentCall, its: readonly Run[] = []) =>
    judged([...good, back, one], [...goodRuns, run("c-back"), ...its], terms).failed;
  assert.equal(failed(suffering), 0);
  assert.equal(failed({ ...suffering, done: { ...late, fate: "unprocessed" } }), 1);
  assert.equal(failed(suffering, [run("c-early", { server: "b#2" })]), 1);
  const many = Array.from({ length: 20 }, (_, index) => call(`c-many${index}`, late, { sentMs: 12_000 }));
  assert.deepEqual(judged([...good, back, ...many], [...goodRuns, run("c-back")], terms).misses, [
    "20 of 40 calls suffered meanwhile",
  ]);
});

test("growthOf() compares the medians of the last two thirds", () => {
  const flat = Array.from({ length: 30 }, (_, index) => ({ heap: 100 + (index % 3) }));
  assert.deepEqual(growthOf(flat), [{ text: "heap: 101 in the middle third, 101 in the last", isGrown: false }]);
  const growing = Array.from({ length: 30 }, (_, index) => ({ heap: 100 + 10 * index }));
  assert.equal(growthOf(growing)[0]?.isGrown, true);
});
