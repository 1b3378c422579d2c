// What is believed of a resolver's answers, by the manual clock: as rules, and over a whole transport.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createClient } from "@connectrpc/connect";
import type { Endpoint } from "../../../src/core/endpoint.ts";
import { createManualClock } from "../../../src/testing/manual-clock.ts";
import { type BalancedTransportOptions, createBalancedTransport } from "../../../src/transport/balanced-transport.ts";
import {
  EndpointBelief,
  resolveShrinkHold,
  type ShrinkHoldOptions,
} from "../../../src/transport/pool/endpoint-belief.ts";
import { EchoService } from "../../gen/lictor/test/v1/echo_pb.ts";
import { createHandResolver, endpoint } from "../../support/endpoints.ts";
import { createFakeConnector } from "../../support/fake-connector.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";
import { seededRandom } from "../../support/seeded-random.ts";

/** Endpoints of these one-letter ids. */
const fleet = (ids: string) => [...ids].map((id) => endpoint(id));

function believe(options: { emptyGraceMs?: number; shrinkHold?: ShrinkHoldOptions | false } = {}) {
  const { emptyGraceMs = 90_000 } = options;
  const clock = createManualClock();
  const released: string[] = [];
  const broken = new Set<string>();
  const belief = new EndpointBelief({
    emptyGraceMs,
    shrinkHold: resolveShrinkHold(options.shrinkHold, emptyGraceMs),
    clock,
    onRelease: (endpoints) => released.push(endpoints.map(({ id }) => id).join("")),
  });
  /** Gives an answer, and what is in use after it. */
  const answer = (listed: string | readonly Endpoint[], isFirstHand?: boolean) => {
    belief.answer(typeof listed === "string" ? fleet(listed) : listed, (id) => !broken.has(id), isFirstHand);
    return inUse();
  };
  const inUse = () =>
    belief.endpoints
      .map(({ id }) => id)
      .sort()
      .join("");
  return { clock, belief, released, broken, answer, inUse };
}

describe("EndpointBelief", () => {
  test("believes answers in which one of two, one of three, or half leave, and those that name as many others", () => {
    const { belief, answer } = believe();
    for (const ids of ["ab", "b", "bc", "bcd", "cd", "cdef", "ef", "gh", "gx", "yz"]) {
      assert.equal(answer(ids), ids);
      assert.equal(belief.held, 0);
    }
  });

  test("holds all of an empty answer, from the first of its kind, for emptyGraceMs", async () => {
    const { clock, belief, released, answer, inUse } = believe({ emptyGraceMs: 1000 });
    answer("ab");
    assert.equal(answer(""), "ab");
    await clock.advance(600);
    assert.equal(answer(""), "ab");
    assert.equal(belief.holdOf("a")?.sinceMs, 0);
    await clock.advance(399);
    assert.equal(inUse(), "ab");
    await clock.advance(1);
    assert.equal(inUse(), "");
    assert.deepEqual(released, ["ab"]);
    assert.equal(clock.pending, 0);
  });

  test("holds those whose connections work when more than half go, and lets them go one by one as they break", async () => {
    const { clock, belief, broken, answer, inUse } = believe();
    answer("abcdef");
    broken.add("f");
    assert.equal(answer("ab"), "abcde");
    assert.equal(belief.held, 3);
    assert.equal(belief.drop("d"), true);
    assert.equal(belief.drop("a"), false);
    assert.equal(inUse(), "abce");
    await clock.advance(90_000);
    assert.equal(inUse(), "ab");
    assert.equal(clock.pending, 0);
  });

  test("compares with the largest number within the window, so that a shrink in steps is one too", async () => {
    const quick = believe();
    quick.answer("abcdefgh");
    for (const ids of ["abcdef", "abcd"]) {
      await quick.clock.advance(1000);
      assert.equal(quick.answer(ids), ids);
    }
    assert.equal(quick.answer("abc"), "abcd");
    const slow = believe();
    slow.answer("abcdefgh");
    for (const ids of ["abcdef", "abcd", "abc", "ab", "a"]) {
      await slow.clock.advance(10_001);
      assert.equal(slow.answer(ids), ids);
    }
  });

  test("keeps those that are held through the answers of an agent that comes back by and by", async () => {
    const { clock, belief, answer, inUse } = believe();
    answer("abcd");
    assert.equal(answer(""), "abcd");
    for (const ids of ["b", "bd", "bde"]) {
      await clock.advance(2000);
      answer(ids);
      assert.ok(inUse().startsWith("abcd"));
    }
    assert.equal(belief.held, 2);
    await clock.advance(84_000);
    assert.equal(inUse(), "bde");
  });

  test("takes an address that comes back under another id, or an id with another address, for found", () => {
    const { belief, answer } = believe();
    answer("abc");
    const renamed = endpoint("z", { url: endpoint("a").url });
    assert.equal(answer([renamed]), "bcz");
    assert.equal(answer([renamed, endpoint("b", { url: "http://elsewhere.test:1" })]), "bcz");
    assert.equal(belief.held, 1);
    assert.equal(belief.endpoints.find(({ id }) => id === "b")?.url, "http://elsewhere.test:1");
  });

  test("believes a first answer at once where what was in use is hearsay, but an empty one", () => {
    const { answer } = believe();
    answer("abcdef");
    assert.equal(answer("x", true), "x");
    assert.equal(answer("", true), "x");
    assert.equal(answer("y", true), "y");
  });

  test("holds nothing where it is told so", () => {
    const { clock, answer } = believe({ emptyGraceMs: 0, shrinkHold: false });
    answer("abcdef");
    assert.equal(answer("a"), "a");
    assert.equal(answer(""), "");
    assert.equal(clock.pending, 0);
    const given = believe({ shrinkHold: { share: 0.2, holdMs: 10 } });
    given.answer("abcd");
    assert.equal(given.answer("abc"), "abcd");
  });

  test("keeps to its rules whatever answers come, whatever breaks, and whenever", async () => {
    for (let seed = 1; seed <= 60; seed++) {
      const { random } = seededRandom(seed);
      const { clock, belief, broken, answer, inUse } = believe({ emptyGraceMs: 3000, shrinkHold: { windowMs: 2000 } });
      /** Since when an endpoint is in use without an answer's word. */
      const missing = new Map<string, number>();
      let before = "";
      for (let step = 0; step < 80; step++) {
        const where = `seed ${seed}, step ${step}`;
        const dice = random();
        if (dice < 0.25) {
          const id = before[Math.floor(random() * before.length)];
          if (id !== undefined) {
            broken.add(id);
            const wasHeld = missing.delete(id);
            assert.equal(belief.drop(id), wasHeld, where);
            before = inUse();
          }
        } else if (dice < 0.5) {
          await clock.advance(Math.floor(random() * 1500));
          for (const [id, sinceMs] of missing) if (clock.now() - sinceMs >= 3000) missing.delete(id);
        } else {
          const share = random() < 0.3 ? 0.1 : 0.8;
          const listed = [..."abcdefgh"].filter(() => random() < share).join("");
          for (const id of listed) {
            broken.delete(id);
            missing.delete(id);
          }
          const after = answer(listed);
          for (const id of listed) assert.ok(after.includes(id), where);
          const gone = [...before].filter((id) => !listed.includes(id) && !missing.has(id));
          const kept = gone.filter((id) => after.includes(id));
          // All that work are held, or none is; and few are only where it is no sharp shrink.
          const working = gone.filter((id) => !broken.has(id));
          assert.ok(kept.length === 0 || kept.join() === working.join(), where);
          if (listed === "" || listed.length < before.length / 2) assert.deepEqual(kept, working, where);
          for (const id of kept) missing.set(id, clock.now());
        }
        before = inUse();
        assert.deepEqual(
          [...missing.keys()].sort(),
          [...before].filter((id) => belief.holdOf(id)),
          where,
        );
        assert.equal(clock.pending, missing.size === 0 ? 0 : 1, where);
      }
      belief.close();
      assert.equal(clock.pending, 0);
    }
  });

  test("refuses options outside their range", () => {
    for (const shrinkHold of [{ share: 0 }, { share: 1.1 }, { share: Number.NaN }, { windowMs: -1 }, { holdMs: -1 }]) {
      assert.throws(() => resolveShrinkHold(shrinkHold, 1), RangeError);
    }
  });
});

describe("createBalancedTransport() under answers that are not believed", () => {
  async function setUp(ids: string, options: Partial<BalancedTransportOptions> = {}) {
    const clock = createManualClock();
    const resolver = createHandResolver(fleet(ids));
    const fake = createFakeConnector(clock);
    const logger = createRecordingLogger();
    const transport = createBalancedTransport({ resolver, connector: fake.connector, clock, logger, ...options });
    const client = createClient(EchoService, transport);
    const call = async () => (await client.unary({ text: "x" })).server;
    const first = call();
    for (const id of ids) fake.of(id).becomeReady();
    await first;
    await clock.advance(5000);
    /** Who answers, in the order of their ids. */
    const round = async (calls = 2 * ids.length) => {
      const servers = new Set<string>();
      for (let i = 0; i < calls; i++) servers.add(await call());
      return [...servers].sort().join("");
    };
    return { clock, resolver, fake, logger, transport, call, round };
  }

  test("goes on calling all while an agent was wiped and comes back, without a connection more", async () => {
    const { clock, resolver, fake, logger, transport, round } = await setUp("abcd");
    for (const ids of ["", "c", "cd"]) {
      resolver.push(fleet(ids));
      await clock.advance(1000);
      assert.equal(await round(), "abcd");
    }
    resolver.push(fleet("abcd"));
    await clock.advance(200_000);
    assert.equal(await round(), "abcd");
    assert.equal(fake.opened.length, 4);
    assert.equal(logger.count("is not believed while connections work"), 1);
    await transport.close();
    assert.equal(clock.pending, 0);
  });

  test("lets those go at once whose GOAWAY or end follows their leave, and connects to none of them again", async () => {
    const { clock, resolver, fake, transport, round } = await setUp("abc");
    resolver.push(fleet("a"));
    assert.equal(await round(), "abc");
    fake.of("b").beToldToLeave();
    assert.equal(await round(), "ac");
    fake.of("c").lose();
    assert.equal(await round(), "a");
    await clock.advance(200_000);
    assert.equal(fake.opened.length, 3);
    await transport.close();
    assert.equal(clock.pending, 0);
  });

  test("keeps no server for long where a whole fleet leaves, and comes back elsewhere", async () => {
    const { clock, resolver, fake, transport, call, round } = await setUp("ab");
    resolver.push([]);
    assert.equal(await round(), "ab");
    await clock.advance(1000);
    fake.of("a").beToldToLeave();
    fake.of("b").beToldToLeave();
    assert.equal(fake.opened.length, 2);
    resolver.push(fleet("cd"));
    const waiting = call();
    fake.of("c").becomeReady();
    fake.of("d").becomeReady();
    assert.match(await waiting, /[cd]/);
    assert.equal(await round(), "cd");
    await transport.close();
  });

  test("follows servers that leave one after another, twenty times as fast as people restart them", async () => {
    const { clock, resolver, fake, transport, round } = await setUp("ab");
    let ids = "ab";
    for (const next of "cdefghijkl") {
      const leaving = ids.charAt(0);
      ids = ids.slice(1);
      resolver.push(fleet(ids));
      assert.equal(await round(), ids);
      await clock.advance(350);
      ids += next;
      resolver.push(fleet(ids));
      fake.of(next).becomeReady();
      assert.equal(await round(), ids);
      assert.equal(fake.of(leaving).state.type, "closed");
      await clock.advance(400);
    }
    await transport.close();
  });

  test("keeps the connection where a node comes back under another name", async () => {
    const { resolver, fake, transport, round } = await setUp("ab");
    resolver.push([endpoint("x", { url: endpoint("a").url }), endpoint("y", { url: endpoint("b").url })]);
    assert.equal(fake.opened.length, 2);
    assert.equal(await round(), "ab");
    fake.of("a").lose();
    assert.equal(fake.opened.length, 3);
    fake.of("x").becomeReady();
    assert.equal(await round(), "bx");
    await transport.close();
  });

  test("replaces the connection of an id that moves to another address", async () => {
    const { resolver, fake, transport, round } = await setUp("ab");
    const old = fake.of("a");
    resolver.push([endpoint("a", { url: "http://elsewhere.test:1" }), endpoint("b")]);
    assert.equal(old.state.type, "closed");
    assert.equal(fake.opened.length, 3);
    assert.equal(await round(), "b");
    fake.of("a").becomeReady();
    assert.equal(await round(), "ab");
    await transport.close();
  });

  test("puts the first true answer in the place of what a store had", async () => {
    const { resolver, transport, fake, round } = await setUp("abcdef");
    resolver.push(fleet("abcdef"), { source: "store", stale: true });
    resolver.push([]);
    assert.equal(await round(), "abcdef");
    resolver.push(fleet("z"));
    fake.of("z").becomeReady();
    assert.equal(await round(), "z");
    await transport.close();
  });
});
