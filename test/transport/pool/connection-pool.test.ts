// Many endpoints: what is made of their connections as they come, one after another.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { NewPicker } from "../../../src/balancer/picker.ts";
import { roundRobin } from "../../../src/balancer/round-robin.ts";
import { silentLogger } from "../../../src/core/logger.ts";
import { createManualClock } from "../../../src/testing/manual-clock.ts";
import { ConnectionPool } from "../../../src/transport/pool/connection-pool.ts";
import { resolveReadiness } from "../../../src/transport/pool/readiness-options.ts";
import { createHandResolver, endpoint } from "../../support/endpoints.ts";
import { createFakeConnector } from "../../support/fake-connector.ts";

const ids = Array.from({ length: 300 }, (_, i) => String(i).padStart(3, "0"));

function setUp() {
  const clock = createManualClock();
  const resolver = createHandResolver(ids.map((id) => endpoint(id)));
  const fake = createFakeConnector(clock);
  const lists: string[][] = [];
  const balancer: NewPicker = (ready, previous) => {
    lists.push(ready.map(({ id }) => id));
    return roundRobin(ready, previous);
  };
  const pool = new ConnectionPool({
    resolver,
    connector: fake.connector,
    balancer,
    backoff: {},
    random: () => 0.5,
    ...resolveReadiness({}, undefined),
    settleMs: 100,
    emptyGraceMs: 1000,
    shrinkHold: { share: 0.5, windowMs: 10_000, holdMs: 1000 },
    clock,
    logger: silentLogger,
  });
  pool.start();
  return { clock, resolver, fake, lists, pool };
}

describe("ConnectionPool", () => {
  test("makes one picker of a first round that comes together, and wakes who waits for it once", async () => {
    const { fake, lists, pool } = setUp();
    let woken = 0;
    pool.onceChanged(() => woken++);
    for (const id of ids.toReversed()) fake.of(id).becomeReady();
    assert.deepEqual(lists, [ids]);
    assert.equal(woken, 1);
    assert.equal(pool.state.type, "ready");
    await pool.close(0);
  });

  test("puts those that come later where they belong, and takes out those that are lost", async () => {
    const { clock, fake, lists, pool } = setUp();
    for (const id of ["050", "200"]) fake.of(id).becomeReady();
    await clock.advance(100);
    for (const id of ["100", "000", "299", "150"]) fake.of(id).becomeReady();
    fake.of("100").lose();
    fake.of("000").lose();
    assert.deepEqual(lists, [
      ["050", "200"],
      ["050", "100", "200"],
      ["000", "050", "100", "200"],
      ["000", "050", "100", "200", "299"],
      ["000", "050", "100", "150", "200", "299"],
      ["000", "050", "150", "200", "299"],
      ["050", "150", "200", "299"],
    ]);
    await pool.close(0);
  });

  test("hands over new descriptions, and keeps the picker where nothing changed", async () => {
    const { clock, resolver, fake, lists, pool } = setUp();
    const [first, second] = [endpoint("000"), endpoint("001")];
    for (const id of ["000", "001"]) fake.of(id).becomeReady();
    await clock.advance(100);
    resolver.push([first, second]);
    assert.equal(lists.length, 2);
    resolver.push([second, first]);
    assert.equal(lists.length, 2);
    resolver.push([first, endpoint("001", { weight: 5 })]);
    assert.equal(lists.length, 3);
    assert.ok(pool.state.type === "ready");
    const { picker } = pool.state;
    assert.deepEqual([picker.pick()?.endpoint.weight, picker.pick()?.endpoint.weight].sort(), [1, 5]);
    fake.of("000").lose();
    fake.of("001").lose();
    assert.deepEqual(lists.slice(3), [["001"], []]);
    assert.equal(pool.state.type, "failing");
    await pool.close(0);
  });
});
