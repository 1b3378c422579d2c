import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createManualClock } from "../../src/testing/manual-clock.ts";
import { createRestartingServers, type RestartingServersOptions } from "../../src/testing/restarting-servers.ts";

/** Servers of no substance on a machine where some ports are busy. */
function machine(options: { busy?: number[]; failing?: Map<number, Error>; closeError?: Error } = {}) {
  const events: string[] = [];
  const listening = new Set<number>();
  let freePort = 50_000;
  return {
    events,
    listening,
    async start(wanted: number) {
      const port = wanted === 0 ? freePort++ : wanted;
      if (options.busy?.includes(port) || listening.has(port)) {
        events.push(`busy ${port}`);
        throw new Error(`port ${port}`, { cause: Object.assign(new Error("in use"), { code: "EADDRINUSE" }) });
      }
      const failure = options.failing?.get(port);
      if (failure !== undefined) {
        events.push(`fails ${port}`);
        throw failure;
      }
      listening.add(port);
      events.push(`start ${port}`);
      return {
        port,
        async close() {
          events.push(`stop ${port}`);
          listening.delete(port);
          if (options.closeError !== undefined) throw options.closeError;
        },
      };
    },
  };
}

function simulate(servers: ReturnType<typeof machine>, options: Partial<RestartingServersOptions> = {}) {
  const clock = createManualClock();
  const simulation = createRestartingServers({
    start: servers.start,
    instances: 2,
    firstPort: 10_000,
    intervalMs: 15_000,
    clock,
    random: () => 0.5,
    ...options,
  });
  return { clock, simulation };
}

describe("createRestartingServers()", () => {
  test("createRestartingServers() stops one server every interval, each in its turn, and starts it again 5 ports higher", async () => {
    const servers = machine();
    const { clock, simulation } = simulate(servers);
    await simulation.started;
    assert.deepEqual(servers.events.splice(0), ["start 10000", "start 10001"]);
    await clock.advance(14_999);
    assert.deepEqual(servers.events, []);
    await clock.advance(1);
    assert.deepEqual(servers.events.splice(0), ["stop 10000", "start 10005"]);
    await clock.advance(15_000);
    assert.deepEqual(servers.events.splice(0), ["stop 10001", "start 10006"]);
    await clock.advance(30_000);
    assert.deepEqual(servers.events.splice(0), ["stop 10005", "start 10010", "stop 10006", "start 10011"]);
    await simulation.close();
    assert.equal(servers.listening.size, 0);
    assert.equal(clock.pending, 0);
  });

  test("createRestartingServers() goes as many ports higher as there are servers when there are more than 5", async () => {
    const servers = machine();
    const { clock, simulation } = simulate(servers, { instances: 7 });
    await simulation.started;
    servers.events.length = 0;
    await clock.advance(15_000 * 7);
    assert.deepEqual(
      servers.events.filter((event) => event.startsWith("start")),
      [10_007, 10_008, 10_009, 10_010, 10_011, 10_012, 10_013].map((port) => `start ${port}`),
    );
    await simulation.close();
  });

  test("createRestartingServers() runs without faults when there is no interval", async () => {
    const servers = machine();
    const clock = createManualClock();
    const simulation = createRestartingServers({ start: servers.start, instances: 3, firstPort: 1, clock });
    await simulation.started;
    await clock.advance(1e9);
    assert.deepEqual(servers.events, ["start 1", "start 2", "start 3"]);
    await simulation.close();
    assert.equal(servers.listening.size, 0);
  });

  test("createRestartingServers() skips a busy port at once", async () => {
    const servers = machine({ busy: [10_005, 10_010] });
    const { clock, simulation } = simulate(servers);
    await simulation.started;
    servers.events.length = 0;
    await clock.advance(15_000);
    assert.deepEqual(servers.events, ["stop 10000", "busy 10005", "busy 10010", "start 10015"]);
    await simulation.close();
  });

  test("createRestartingServers() wraps to where the server began when the numbers end", async () => {
    const servers = machine();
    const { clock, simulation } = simulate(servers, { firstPort: 65_530 });
    await simulation.started;
    servers.events.length = 0;
    await clock.advance(60_000);
    assert.deepEqual(
      servers.events.filter((event) => event.startsWith("start")),
      ["start 65535", "start 65531", "start 65530", "start 65531"],
    );
    await simulation.close();
  });

  test("createRestartingServers() backs off when every port is busy instead of going round and round", async () => {
    const busy = [65_531];
    const servers = machine({ busy });
    const { clock, simulation } = simulate(servers, { instances: 1, firstPort: 65_530 });
    await simulation.started;
    busy.push(65_530, 65_535);
    await clock.advance(15_000);
    const round = servers.events.filter((event) => event.startsWith("busy")).length;
    assert.ok(round <= 2, `${round} attempts at once`);
    busy.length = 0;
    await clock.advance(15_000);
    assert.equal(servers.listening.size, 1);
    await simulation.close();
  });

  test("createRestartingServers() takes any free port, at first and at every restart, when the first port is 0", async () => {
    const servers = machine();
    const { clock, simulation } = simulate(servers, { firstPort: 0 });
    await simulation.started;
    await clock.advance(15_000);
    assert.deepEqual(servers.events, ["start 50000", "start 50001", "stop 50000", "start 50002"]);
    await simulation.close();
  });

  test("createRestartingServers() retries a restart that fails on the next port with backoff and leaves the other server alone", async () => {
    const failing = new Map([
      [10_005, new Error("no memory")],
      [10_010, new Error("no memory")],
    ]);
    const servers = machine({ failing });
    const { clock, simulation } = simulate(servers);
    await simulation.started;
    servers.events.length = 0;
    await clock.advance(15_000);
    assert.deepEqual(servers.events, ["stop 10000", "fails 10005"]);
    await clock.advance(99);
    assert.equal(servers.events.length, 2);
    await clock.advance(1);
    assert.deepEqual(servers.events.slice(2), ["fails 10010"]);
    await clock.advance(160);
    assert.deepEqual(servers.events.slice(3), ["start 10015"]);
    assert.ok(servers.listening.has(10_001));
    await simulation.close();
  });

  test("createRestartingServers() never stops the last server that serves, and makes up for it at the next interval", async () => {
    const failing = new Map<number, Error>();
    const servers = machine({ failing });
    const { clock, simulation } = simulate(servers);
    await simulation.started;
    servers.events.length = 0;
    for (let port = 10_005; port < 12_000; port += 5) failing.set(port, new Error("no"));
    await clock.advance(60_000);
    assert.ok(servers.events.includes("stop 10000"));
    assert.ok(!servers.events.includes("stop 10001"));
    failing.clear();
    await clock.advance(30_000);
    assert.ok(servers.events.includes("stop 10001"));
    await simulation.close();
  });

  test("createRestartingServers() starts a server again when its stop failed", async () => {
    const servers = machine({ closeError: new Error("stop failed") });
    const { clock, simulation } = simulate(servers);
    await simulation.started;
    await clock.advance(15_000);
    assert.ok(servers.listening.has(10_005));
    await assert.rejects(simulation.close(), /stop failed/);
    assert.equal(servers.listening.size, 0);
  });

  test("createRestartingServers() stops what runs and rejects when a server cannot be started at first", async () => {
    const servers = machine({ busy: [10_001] });
    const { clock, simulation } = simulate(servers);
    await assert.rejects(simulation.started, /port 10001/);
    assert.deepEqual(servers.events, ["start 10000", "busy 10001", "stop 10000"]);
    assert.equal(clock.pending, 0);
    await simulation.close();
  });

  test("close() ends a backoff at once and is the same promise twice", async () => {
    const servers = machine({ failing: new Map([[10_005, new Error("no")]]) });
    const { clock, simulation } = simulate(servers);
    await simulation.started;
    await clock.advance(15_000);
    assert.equal(simulation.close(), simulation.close());
    await simulation.close();
    assert.equal(clock.pending, 0);
    assert.equal(servers.listening.size, 0);
  });

  test("close() before all servers serve stops those that do", async () => {
    const servers = machine();
    const { simulation } = simulate(servers);
    await simulation.close();
    await simulation.started;
    assert.equal(servers.listening.size, 0);
  });

  test("createRestartingServers() refuses options outside their range", () => {
    const { start } = machine();
    assert.throws(() => createRestartingServers({ start, instances: 0, firstPort: 1 }), RangeError);
    assert.throws(() => createRestartingServers({ start, instances: 2, firstPort: 65_535 }), RangeError);
    assert.throws(() => createRestartingServers({ start, instances: 3, portStep: 2 }), RangeError);
    assert.throws(() => createRestartingServers({ start, awayMs: -1 }), RangeError);
    assert.throws(() => createRestartingServers({ start, instances: 1, firstPort: 1, intervalMs: 0 }), RangeError);
  });

  test("createRestartingServers() stops first and deregisters after when told to, or the other way round", async () => {
    for (const [order, wanted] of [
      ["deregister-first", ["deregister 1", "close 1"]],
      ["stop-first", ["close 1", "deregister 1"]],
    ] as const) {
      const steps: string[] = [];
      await using servers = createRestartingServers({
        async start(port) {
          return {
            port,
            close: async () => steps.push(`close ${port}`),
            deregister: async () => steps.push(`deregister ${port}`),
          };
        },
        firstPort: 1,
        order,
      });
      await servers.started;
      assert.equal(await servers.restart(), true);
      assert.deepEqual(steps, wanted);
    }
  });

  test("restart() restarts the server whose turn it is and tells of every step", async () => {
    const { start } = machine();
    const told: string[] = [];
    const servers = createRestartingServers({
      start,
      firstPort: 10_000,
      onEvent: ({ type, index, port }) => told.push(`${type} ${index} ${port}`),
    });
    await servers.started;
    assert.equal(await servers.restart(), true);
    assert.deepEqual(servers.ports, [10_005, 10_001]);
    assert.equal(await servers.restart(), true);
    assert.deepEqual(servers.ports, [10_005, 10_006]);
    assert.equal(servers.restarts, 2);
    assert.deepEqual(told, [
      "started 0 10000",
      "started 1 10001",
      "stopping 0 10000",
      "stopped 0 10000",
      "started 0 10005",
      "stopping 1 10001",
      "stopped 1 10001",
      "started 1 10006",
    ]);
    await servers.close();
    assert.equal(await servers.restart(), false);
    assert.deepEqual(servers.ports, []);
  });

  test("createRestartingServers() brings a server back on the same port, after a while, when told to", async () => {
    const machineOf = machine();
    const clock = createManualClock();
    await using servers = createRestartingServers({
      start: machineOf.start,
      firstPort: 10_000,
      portStep: 0,
      awayMs: 500,
      clock,
    });
    await servers.started;
    const restarting = servers.restart();
    await clock.advance(499);
    assert.deepEqual(servers.ports, [10_001]);
    await clock.advance(1);
    assert.equal(await restarting, true);
    assert.deepEqual(servers.ports, [10_000, 10_001]);
  });
});
