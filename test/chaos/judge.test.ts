// The judge over ledgers written by hand: it must see what went wrong, and nothing else.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { judge, judgeCalls, type Terms } from "./judge.ts";
import { type CallEnd, openLedger, type Run, readCalls, readRuns, type SentCall } from "./ledger.ts";
import { inFlightAt } from "./scenarios/sigkill.ts";
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
      "1 calls were answered, and no handler ran",
      "only 1 calls were made, 2 are needed",
      "seen",
      "checked",
    ]);
  });
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
  const good = Array.from({ length: 20 }, (_, index) => call(`good${index}`, ok, { sentMs: 11_000 }));
  const goodRuns = good.map(({ id }) => run(id, { server: "b#2" }));
  const suffering = call("early", late, { sentMs: 12_000 });
  const back = call("back", ok, { sentMs: 25_000 });
  const probe = call("probe", { ...ok, tookMs: 950 }, { method: "safe", sentMs: 15_000 });
  const fine = judged([...good, suffering, probe, back], [...goodRuns, run("probe"), run("back")], terms);
  assert.deepEqual([fine.failed, fine.allowed, fine.misses], [0, 1, []]);
  const ending = judged([...good, call("late", late, { sentMs: 15_000 })], goodRuns, terms);
  assert.deepEqual(ending.misses, [
    "1 calls failed that must not",
    "1 calls waited for the bad server after it was to be taken out",
    "the bad server was well again and got no call",
  ]);
});

test("growthOf() compares the medians of the last two thirds", () => {
  const flat = Array.from({ length: 30 }, (_, index) => ({ heap: 100 + (index % 3) }));
  assert.deepEqual(growthOf(flat), [{ text: "heap: 101 in the middle third, 101 in the last", isGrown: false }]);
  const growing = Array.from({ length: 30 }, (_, index) => ({ heap: 100 + 10 * index }));
  assert.equal(growthOf(growing)[0]?.isGrown, true);
});
