// Who is found, who is left out, and how they come back. All by a clock that is turned by hand.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { markAnswered, markMaybeProcessed } from "../../../src/core/call-fate.ts";
import { seededRandom } from "../../support/seeded-random.ts";
import { createWatchedFleet } from "../../support/watched-fleet.ts";

const refused = () => markAnswered(new ConnectError("still bad", Code.Unavailable));

describe("OutlierDetection", () => {
  test("ejects after five failures in a row, in a fleet of two", () => {
    const fleet = createWatchedFleet(["a", "b"]);
    fleet.fail("a", 4);
    assert.deepEqual(fleet.ejected(), []);
    fleet.fail("a");
    assert.deepEqual(fleet.ejected(), ["a"]);
    assert.equal(fleet.detection.standing(fleet.of("a"))?.fault, "failures");
    assert.equal(fleet.logger.count("endpoint ejected"), 1);
    fleet.detection.close();
    assert.equal(fleet.clock.pending, 0);
  });

  test("counts from the start after a success, whatever the kind of call", () => {
    const fleet = createWatchedFleet(["a", "b"]);
    fleet.fail("a", 4);
    fleet.of("a").counts.ok++;
    fleet.fail("a", 4);
    assert.deepEqual(fleet.ejected(), []);
    // An answer that no server is to blame for is a success as well.
    fleet.fail("a", 1, Code.NotFound);
    fleet.fail("a", 4);
    assert.deepEqual(fleet.ejected(), []);
    fleet.fail("a");
    assert.deepEqual(fleet.ejected(), ["a"]);
    fleet.detection.close();
  });

  for (const [code, isAnswered, isFault] of [
    [Code.Unavailable, true, true],
    [Code.Internal, true, true],
    [Code.Unknown, true, true],
    [Code.DataLoss, true, true],
    [Code.DeadlineExceeded, true, true],
    [Code.DeadlineExceeded, false, true],
    [Code.Internal, false, true],
    [Code.InvalidArgument, true, false],
    [Code.ResourceExhausted, true, false],
    [Code.Unimplemented, true, false],
    [Code.Aborted, true, false],
    [Code.Canceled, false, false],
    [Code.Canceled, true, false],
  ] as const) {
    test(`${isFault ? "blames" : "does not blame"} a server for ${Code[code]}${isAnswered ? "" : " without an answer"}`, () => {
      const fleet = createWatchedFleet(["a", "b"]);
      fleet.fail("a", 20, code, isAnswered);
      assert.deepEqual(fleet.ejected(), isFault ? ["a"] : []);
      fleet.detection.close();
    });
  }

  test("does not blame it for calls that it has not seen", () => {
    const fleet = createWatchedFleet(["a", "b"]);
    for (let i = 0; i < 20; i++) fleet.detection.onCallFailed(fleet.of("a"), refused(), "unprocessed");
    assert.deepEqual(fleet.ejected(), []);
    fleet.detection.close();
  });

  test("takes the calls that a lost connection takes along for one failure", () => {
    const fleet = createWatchedFleet(["a", "b"]);
    const lose = () => {
      fleet.of("a").state = "failing";
      fleet.detection.onState(fleet.of("a"));
      fleet.fail("a", 50, Code.Unavailable, false);
      fleet.of("a").state = "ready";
      fleet.detection.onState(fleet.of("a"));
    };
    for (let i = 0; i < 4; i++) lose();
    assert.deepEqual(fleet.ejected(), []);
    lose();
    assert.deepEqual(fleet.ejected(), ["a"]);
    fleet.detection.close();
  });

  test("takes them for one failure, too, where its successor is there before they fail", () => {
    const fleet = createWatchedFleet(["a", "b"]);
    const loseAt = (connection: object) => {
      for (let i = 0; i < 50; i++) {
        const error = markMaybeProcessed(new ConnectError("lost", Code.Unavailable), connection);
        fleet.detection.onCallFailed(fleet.of("a"), error, "maybe-processed");
      }
    };
    for (let i = 0; i < 4; i++) loseAt({});
    assert.deepEqual(fleet.ejected(), []);
    loseAt({});
    assert.deepEqual(fleet.ejected(), ["a"]);
    fleet.detection.close();
  });

  test("never ejects the last one, nor anyone where most look bad", () => {
    const lone = createWatchedFleet(["a"]);
    lone.fail("a", 50);
    assert.deepEqual(lone.ejected(), []);
    lone.detection.close();

    const three = createWatchedFleet(["a", "b", "c"]);
    three.fail("a", 5);
    assert.deepEqual(three.ejected(), ["a"]);
    three.fail("b", 5);
    assert.deepEqual(three.ejected(), []);
    assert.equal(three.logger.count("most endpoints look bad"), 1);
    three.fail("c", 5);
    assert.deepEqual(three.ejected(), []);
    three.detection.close();
  });

  test("ends a panic when enough answer again", async () => {
    const fleet = createWatchedFleet(["a", "b", "c"]);
    for (const id of ["a", "b", "c"]) fleet.fail(id, 5);
    assert.deepEqual(fleet.ejected(), []);
    for (let i = 0; i < 5; i++) {
      await fleet.clock.advance(500);
      fleet.fail("a");
      fleet.of("b").succeed();
      fleet.of("c").succeed();
    }
    assert.deepEqual(fleet.ejected(), ["a"]);
    fleet.detection.close();
  });

  test("ejects no more than maxEjectionPercent, the first ones found", () => {
    const fleet = createWatchedFleet([..."abcdefghij"], { maxEjectionPercent: 20 });
    for (const id of "abcd") fleet.fail(id, 5);
    assert.deepEqual(fleet.ejected(), ["a", "b"]);
    fleet.detection.close();
  });

  test("brings an endpoint back by a PING and then one call at a time", async () => {
    const fleet = createWatchedFleet(["a", "b"]);
    fleet.fail("a", 5);
    assert.equal(fleet.detection.probe(true), undefined);
    await fleet.clock.advance(999);
    assert.equal(fleet.of("a").pings, 0);
    await fleet.clock.advance(1);
    assert.equal(fleet.of("a").pings, 1);
    assert.equal(fleet.detection.hasProbes, true);
    // Calls that may be made again go first.
    assert.equal(fleet.detection.probe(false), undefined);
    const probe = fleet.detection.probe(true);
    assert.equal(probe?.endpoint.id, "a");
    assert.equal(fleet.detection.probe(true), undefined);
    probe?.done({ latencyMs: 5 });
    assert.deepEqual(fleet.ejected(), []);
    assert.deepEqual(fleet.returned, ["a"]);
    assert.equal(fleet.detection.hasProbes, false);
    assert.equal(fleet.clock.pending, 0);
    fleet.detection.close();
  });

  for (const [whose, meta, pings] of [
    ["somebody else's", {}, 2],
    ["ours", { lictor: "1" }, 6],
  ] as const) {
    test(`sends a server of ${whose} ${pings} PINGs at most while it answers no call`, async () => {
      const fleet = createWatchedFleet(["a", "b"], { consecutiveFailures: 1 }, undefined, meta);
      const probeFails = async (waitMs: number) => {
        await fleet.clock.advance(waitMs);
        const probe = fleet.detection.probe(true);
        assert.equal(probe?.endpoint.id, "a");
        probe?.done({ error: new ConnectError("late", Code.DeadlineExceeded), latencyMs: 1000 });
      };
      // Its handlers hang, and it is there.
      fleet.fail("a", 1, Code.DeadlineExceeded, false);
      for (const waitMs of [1000, 2000, 4000, 8000, 16_000, 30_000]) await probeFails(waitMs);
      assert.equal(fleet.of("a").pings, pings);
      // An answer, whatever it says, lets it be asked again.
      fleet.fail("a");
      await probeFails(30_000);
      assert.equal(fleet.of("a").pings, pings + 1);
      fleet.detection.close();
      assert.equal(fleet.clock.pending, 0);
    });
  }

  test("leaves it alone twice as long after each probe that fails, up to maxEjectionMs", async () => {
    const fleet = createWatchedFleet(["a", "b"], { baseEjectionMs: 1000, maxEjectionMs: 4000 });
    fleet.fail("a", 5);
    for (const aloneMs of [1000, 2000, 4000, 4000]) {
      await fleet.clock.advance(aloneMs - 1);
      assert.equal(fleet.detection.hasProbes, false, `${aloneMs} ms`);
      await fleet.clock.advance(1);
      const probe = fleet.detection.probe(true);
      assert.ok(probe, `${aloneMs} ms`);
      probe.done({ latencyMs: 5, error: refused() });
      assert.equal(fleet.detection.hasProbes, false);
    }
    assert.deepEqual(fleet.ejected(), ["a"]);
    fleet.detection.close();
  });

  test("lets any call probe where none that may be made again comes for 2 s, and none at all after 10 s", async () => {
    const fleet = createWatchedFleet(["a", "b"]);
    fleet.fail("a", 5);
    await fleet.clock.advance(2999);
    assert.equal(fleet.detection.probe(false), undefined);
    await fleet.clock.advance(1);
    const probe = fleet.detection.probe(false);
    assert.ok(probe);
    // Nothing is known of a call that was cancelled: the next one may try.
    probe.done({ latencyMs: 5, error: new ConnectError("left", Code.Canceled) });
    assert.deepEqual(fleet.ejected(), ["a"]);
    await fleet.clock.advance(8000);
    assert.deepEqual(fleet.ejected(), []);
    assert.equal(fleet.clock.pending, 0);
    fleet.detection.close();
  });

  test("spends no call on a server that answers no PING, however long", async () => {
    const fleet = createWatchedFleet(["a", "b"]);
    fleet.of("a").answersPings = false;
    fleet.fail("a", 5);
    await fleet.clock.advance(600_000);
    assert.equal(fleet.detection.probe(true), undefined);
    assert.equal(fleet.of("a").pings, 1);
    fleet.of("a").revive();
    assert.ok(fleet.detection.probe(true));
    fleet.detection.close();
  });

  test("asks a server that lets a deadline pass, and ejects it after a second without an answer", async () => {
    const fleet = createWatchedFleet(["a", "b"]);
    fleet.of("a").answersPings = false;
    fleet.fail("a", 1, Code.DeadlineExceeded, false);
    assert.equal(fleet.of("a").pings, 1);
    await fleet.clock.advance(999);
    assert.deepEqual(fleet.ejected(), []);
    await fleet.clock.advance(1);
    assert.deepEqual(fleet.ejected(), ["a"]);
    assert.equal(fleet.detection.standing(fleet.of("a"))?.fault, "silence");
    await fleet.clock.advance(60_000);
    fleet.of("a").revive();
    const probe = fleet.detection.probe(true);
    assert.ok(probe);
    probe.done({ latencyMs: 1 });
    assert.deepEqual(fleet.ejected(), []);
    assert.equal(fleet.clock.pending, 0);
    fleet.detection.close();
  });

  test("has the connection of a silent one made anew after 20 s, once", async () => {
    const fleet = createWatchedFleet(["a", "b"]);
    const a = fleet.of("a");
    a.answersPings = false;
    fleet.fail("a", 1, Code.DeadlineExceeded, false);
    // A second until it is found, and one in which it is left alone.
    await fleet.clock.advance(21_999);
    assert.equal(a.renewals, 0);
    await fleet.clock.advance(1);
    assert.equal(a.renewals, 1);
    await fleet.clock.advance(600_000);
    assert.deepEqual([a.renewals, a.pings, fleet.clock.pending], [1, 1, 0]);
    // The next connection comes about: a call may try it.
    a.state = "connecting";
    fleet.detection.onState(a);
    assert.deepEqual(fleet.ejected(), ["a"]);
    a.state = "ready";
    fleet.detection.onState(a);
    const probe = fleet.detection.probe(true);
    assert.ok(probe);
    probe.done({ latencyMs: 1 });
    assert.deepEqual(fleet.returned, ["a"]);
    fleet.detection.close();
    assert.equal(fleet.clock.pending, 0);
  });

  test("does not eject it where the answer comes, and asks again no sooner than after 5 s", async () => {
    const fleet = createWatchedFleet(["a", "b"]);
    for (const expected of [1, 1, 1, 2]) {
      fleet.of("a").counts.ok++;
      fleet.fail("a", 1, Code.DeadlineExceeded, false);
      assert.equal(fleet.of("a").pings, expected);
      await fleet.clock.advance(2000);
    }
    assert.deepEqual(fleet.ejected(), []);
    assert.equal(fleet.clock.pending, 0);
    fleet.detection.close();
  });

  test("leaves out two of three that are silent, and none where all are", async () => {
    const fleet = createWatchedFleet(["a", "b", "c"]);
    const hang = async (id: string) => {
      fleet.of(id).answersPings = false;
      fleet.fail(id, 1, Code.DeadlineExceeded, false);
      await fleet.clock.advance(1000);
    };
    await hang("a");
    await hang("b");
    assert.deepEqual(fleet.ejected(), ["a", "b"]);
    await hang("c");
    assert.deepEqual(fleet.ejected(), []);
    fleet.detection.close();
  });

  test("takes the next connection for an answer", async () => {
    const fleet = createWatchedFleet(["a", "b"]);
    fleet.of("a").answersPings = false;
    fleet.fail("a", 1, Code.DeadlineExceeded, false);
    await fleet.clock.advance(1000);
    fleet.of("a").state = "failing";
    fleet.detection.onState(fleet.of("a"));
    await fleet.clock.advance(60_000);
    assert.equal(fleet.detection.probe(true), undefined);
    fleet.of("a").state = "ready";
    fleet.detection.onState(fleet.of("a"));
    assert.ok(fleet.detection.probe(true));
    fleet.detection.close();
  });

  test("looks at calls only while there are some, and not at all in a fleet of one", async () => {
    const lone = createWatchedFleet(["a"]);
    assert.equal(lone.detection.isAsleep, false);
    lone.detection.wake();
    assert.equal(lone.clock.pending, 0);
    const fleet = createWatchedFleet(["a", "b"]);
    assert.equal(fleet.detection.isAsleep, true);
    fleet.detection.wake();
    for (let i = 0; i < 10; i++) {
      fleet.of("a").succeed();
      await fleet.clock.advance(1000);
      assert.equal(fleet.detection.isAsleep, false);
    }
    await fleet.clock.advance(3000);
    assert.equal(fleet.detection.isAsleep, true);
    assert.equal(fleet.sleeps, 1);
    assert.equal(fleet.clock.pending, 0);
  });

  test("asks a server on which calls stand still for half a second", async () => {
    const fleet = createWatchedFleet(["a", "b"]);
    fleet.detection.wake();
    fleet.of("a").answersPings = false;
    fleet.of("a").counts.unaryActive = 3;
    for (let i = 0; i < 16; i++) {
      fleet.of("b").succeed(20);
      await fleet.clock.advance(100);
    }
    assert.deepEqual(fleet.ejected(), ["a"]);
    fleet.detection.close();
  });

  /** Calls a second and their latency, for `seconds`. */
  async function run(
    fleet: ReturnType<typeof createWatchedFleet>,
    seconds: number,
    loads: Record<string, readonly [perSecond: number, latencyMs: number]>,
  ) {
    for (let tenth = 0; tenth < seconds * 10; tenth++) {
      for (const [id, [perSecond, latencyMs]] of Object.entries(loads)) {
        const { counts } = fleet.of(id);
        counts.unaryActive = (perSecond * latencyMs) / 1000;
        const ended = perSecond / 10;
        counts.unaryEnded += ended;
        counts.ok += ended;
      }
      await fleet.clock.advance(100);
    }
  }

  test("ejects a server whose calls take much longer than those of the others, within 10 s", async () => {
    for (const ids of [
      ["a", "b"],
      ["a", "b", "c"],
    ]) {
      const fleet = createWatchedFleet(ids);
      fleet.detection.wake();
      const fast = Object.fromEntries(ids.map((id) => [id, [500, 2] as const]));
      await run(fleet, 12, fast);
      assert.deepEqual(fleet.ejected(), []);
      await run(fleet, 7, { ...fast, a: [10, 600] });
      assert.deepEqual(fleet.ejected(), ["a"]);
      assert.equal(fleet.detection.standing(fleet.of("a"))?.fault, "latency");
      await fleet.clock.advance(4000);
      // Back only by a call that is fast.
      const slow = fleet.detection.probe(true);
      assert.ok(slow);
      slow.done({ latencyMs: 600 });
      assert.deepEqual(fleet.ejected(), ["a"]);
      await fleet.clock.advance(8000);
      fleet.detection.probe(true)?.done({ latencyMs: 20 });
      assert.deepEqual(fleet.ejected(), []);
      fleet.detection.close();
    }
  });

  test("leaves be what is slow by less than the floor, slow for a moment, or slow with all others", async () => {
    const fleet = createWatchedFleet(["a", "b", "c"]);
    fleet.detection.wake();
    await run(fleet, 15, { a: [100, 200], b: [500, 1], c: [500, 1] });
    await run(fleet, 2, { a: [5, 2000], b: [500, 1], c: [500, 1] });
    await run(fleet, 10, { a: [500, 1], b: [500, 1], c: [500, 1] });
    await run(fleet, 15, { a: [10, 1500], b: [10, 1200], c: [10, 900] });
    assert.deepEqual(fleet.ejected(), []);
    fleet.detection.close();
  });

  test("finds by A50's failure percentage and success rate where they are asked for", async () => {
    const ids = [..."abcdef"];
    for (const options of [
      { failurePercentage: { thresholdPercent: 40, requestVolume: 10 } },
      { successRate: { stdevFactor: 1.5, requestVolume: 10 } },
    ]) {
      const fleet = createWatchedFleet(ids, { ...options, intervalMs: 5000 });
      fleet.detection.wake();
      for (let i = 0; i < 50; i++) {
        for (const id of ids) fleet.of(id).succeed();
        if (i % 2 === 0) fleet.fail("c", 2);
        assert.deepEqual(fleet.ejected(), []);
        await fleet.clock.advance(100);
      }
      assert.deepEqual(fleet.ejected(), ["c"]);
      fleet.detection.close();
    }
  });

  test("forgets all when it is switched off", () => {
    const fleet = createWatchedFleet(["a", "b"]);
    fleet.fail("a", 5);
    fleet.detection.configure(undefined);
    assert.deepEqual(fleet.ejected(), []);
    fleet.fail("a", 50);
    assert.deepEqual(fleet.ejected(), []);
    assert.equal(fleet.clock.pending, 0);
  });

  test("keeps to its bounds whatever happens", async () => {
    for (let seed = 1; seed <= 30; seed++) {
      const { random } = seededRandom(seed);
      const ids = [..."abcdefg"].slice(0, 2 + Math.floor(random() * 6));
      const fleet = createWatchedFleet(ids, {}, random);
      fleet.detection.wake();
      for (let step = 0; step < 150; step++) {
        const watched = fleet.of(ids[Math.floor(random() * ids.length)] ?? "a");
        const { id } = watched.endpoint;
        const what = random();
        if (what < 0.3) watched.succeed(1 + Math.floor(random() * 10));
        else if (what < 0.6) fleet.fail(id, 1 + Math.floor(random() * 6), Code.Internal);
        else if (what < 0.7) fleet.fail(id, 1, Code.DeadlineExceeded, false);
        else if (what < 0.75) watched.answersPings = false;
        else if (what < 0.85) watched.revive();
        else if (what < 0.95) {
          watched.state = watched.state === "ready" ? "failing" : "ready";
          fleet.detection.onState(watched);
        }
        const probe = random() < 0.3 ? fleet.detection.probe(random() < 0.5) : undefined;
        probe?.done(random() < 0.5 ? { latencyMs: 1 } : { latencyMs: 1, error: refused() });
        await fleet.clock.advance(random() * 1500);

        const connected = fleet.all.filter(({ state }) => state === "ready");
        const out = connected.filter((each) => fleet.detection.isEjected(each));
        const silent = out.filter((each) => fleet.detection.standing(each)?.fault === "silence");
        assert.ok(connected.length === 0 || out.length < connected.length, `seed ${seed}: all are out`);
        const most = Math.max(1, Math.floor(connected.length / 2));
        assert.ok(out.length - silent.length <= most, `seed ${seed}: ${out.length} of ${connected.length} are out`);
      }
      // Whoever is well comes back.
      for (const watched of fleet.all) {
        watched.revive();
        watched.state = "ready";
        fleet.detection.onState(watched);
      }
      for (let i = 0; i < 100; i++) {
        await fleet.clock.advance(1000);
        fleet.detection.probe(true)?.done({ latencyMs: 1 });
      }
      assert.deepEqual(fleet.ejected(), [], `seed ${seed}`);
      assert.deepEqual(
        fleet.all.filter((each) => fleet.detection.standing(each) !== undefined),
        [],
      );
      await fleet.clock.advance(5000);
      assert.equal(fleet.clock.pending, 0, `seed ${seed}: timers are left`);
      fleet.detection.close();
    }
  });
});
