// The life of a registration on the manual clock, against an agent in memory.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { HealthReport, RegisterOptions } from "../../src/registry/register-options.ts";
import { registerService } from "../../src/registry/register-service.ts";
import type { Registration } from "../../src/registry/registration.ts";
import { createManualClock, type ManualClock } from "../../src/testing/manual-clock.ts";
import { createRecordingLogger, type RecordingLogger } from "../support/recording-logger.ts";
import { consulError, createScriptedConsul, networkError, type ScriptedConsul } from "../support/scripted-consul.ts";

interface Bench {
  readonly consul: ScriptedConsul;
  readonly clock: ManualClock;
  readonly logger: RecordingLogger;
  start(options?: Partial<RegisterOptions>): Registration;
}

const id = "10.0.0.1:10000:Hello";

function bench(): Bench {
  const consul = createScriptedConsul();
  const clock = createManualClock();
  const logger = createRecordingLogger();
  return {
    consul,
    clock,
    logger,
    start: (options = {}) =>
      registerService({
        consul: consul.client,
        name: "Hello",
        host: "10.0.0.1",
        port: 10000,
        clock,
        logger,
        // In the middle of every jitter.
        random: () => 0.5,
        ...options,
      }),
  };
}

/** Closes on the manual clock and makes sure that nothing is left running. */
async function closeAll(registration: Registration, clock: ManualClock): Promise<void> {
  const closed = registration.close();
  await clock.advance(10_000);
  await closed;
  assert.equal(clock.pending, 0, "timers left");
}

const statuses = (consul: ScriptedConsul): unknown[] =>
  consul.calls.filter(({ action }) => action === "update").map(({ detail }) => (detail as { status: string }).status);

const lastOutput = (consul: ScriptedConsul): string => {
  const call = consul.calls.at(-1);
  assert.ok(call?.action === "update");
  return (call.detail as { output: string }).output;
};

describe("registerService() registers", () => {
  test("service and check in one call, critical at first, and passes at once", async () => {
    const { consul, clock, logger, start } = bench();
    const registration = start();
    assert.deepEqual(registration.state, { type: "registering", attempts: 1 });
    await clock.advance(0);
    await registration.registered;
    assert.equal(registration.id, id);
    assert.deepEqual(consul.calls, [
      {
        action: "register",
        detail: {
          ID: id,
          Name: "Hello",
          Tags: ["Hello"],
          Address: "10.0.0.1",
          Port: 10000,
          Meta: {},
          Weights: { Passing: 1, Warning: 1 },
          Check: {
            CheckID: `service:${id}`,
            Status: "critical",
            TTL: "20s",
            DeregisterCriticalServiceAfter: "600s",
          },
        },
      },
      { action: "update", detail: { checkId: `service:${id}`, status: "passing", output: "" } },
    ]);
    assert.deepEqual(registration.state, { type: "registered", sinceMs: 0 });
    assert.equal(logger.count("Registered in Consul"), 1);
    await closeAll(registration, clock);
    assert.deepEqual(registration.state, { type: "closed" });
    assert.equal(consul.services.size, 0);
  });

  test("with a heartbeat every 5 s, 10 % earlier or later", async () => {
    for (const [chance, interval] of [
      [0, 4500],
      [0.5, 5000],
      [0.9999, 5500],
    ] as const) {
      const { consul, clock, start } = bench();
      const registration = start({ random: () => chance });
      await clock.advance(interval - 2);
      assert.equal(consul.count("update"), 1);
      await clock.advance(4);
      assert.equal(consul.count("update"), 2);
      await closeAll(registration, clock);
    }
  });

  test("when Consul comes, trying at least once per heartbeat interval and logging once", async () => {
    const { consul, clock, logger, start } = bench();
    consul.failure = networkError();
    const registration = start({ random: () => 0.9999 });
    await clock.advance(60_000);
    const { state } = registration;
    assert.ok(state.type === "registering" && state.attempts > 14 && state.lastError === consul.failure);
    assert.equal(logger.count("trying on"), 1);
    consul.failure = undefined;
    await clock.advance(5000);
    await registration.registered;
    assert.equal(registration.state.type, "registered");
    assert.equal(consul.count("register"), 1);
    assert.equal(logger.count("Consul is back"), 1);
    await closeAll(registration, clock);
  });

  test("and logs again when the trouble changes its kind", async () => {
    const { consul, clock, logger, start } = bench();
    consul.failure = networkError();
    const registration = start();
    await clock.advance(10_000);
    consul.failure = consulError(403, "Permission denied");
    await clock.advance(10_000);
    assert.equal(logger.count("trying on"), 2);
    await closeAll(registration, clock);
  });
});

describe("registerService() keeps registered", () => {
  for (const [version, error] of [
    ["1.8", undefined],
    ["1.8 with ACLs", consulError(500, `Unknown check "service:${id}"`)],
    ["1.22", consulError(404, `Unknown check ID "service:${id}". Ensure that the check ID is passed.`)],
  ] as const) {
    test(`when the agent has forgotten it, in the words of ${version}: once, and passing within one heartbeat`, async () => {
      const { consul, clock, logger, start } = bench();
      const registration = start();
      await clock.advance(12_000);
      consul.services.clear();
      consul.calls.length = 0;
      if (error !== undefined) {
        consul.gate = (call) =>
          call.action === "update" && !consul.services.has(id) ? Promise.reject(error) : undefined;
      }
      await clock.advance(5000);
      assert.deepEqual(
        consul.calls.map(({ action }) => action),
        ["update", "register", "update"],
      );
      assert.equal(consul.services.get(id)?.status, "passing");
      assert.equal(logger.count("forgotten"), 1);
      await closeAll(registration, clock);
    });
  }

  test("once a heartbeat interval, not faster, when whoever takes registrations never knows the check", async () => {
    const { consul, clock, start } = bench();
    consul.gate = (call) =>
      call.action === "update" ? Promise.reject(consulError(404, 'Unknown check ID "x".')) : undefined;
    const registration = start();
    await clock.advance(60_000);
    assert.ok(consul.count("register") >= 10, `${consul.count("register")} registrations`);
    assert.ok(consul.count("register") <= 13, `${consul.count("register")} registrations`);
    assert.equal(registration.state.type, "registering");
    consul.gate = () => undefined;
    await clock.advance(6000);
    assert.equal(registration.state.type, "registered");
    await closeAll(registration, clock);
  });

  test("after an outage in which the agent forgot it, with one registration", async () => {
    const { consul, clock, logger, start } = bench();
    const registration = start();
    await clock.advance(12_000);
    consul.failure = networkError();
    await clock.advance(65_000);
    assert.equal(registration.state.type, "registered");
    consul.failure = undefined;
    consul.services.clear();
    consul.calls.length = 0;
    await clock.advance(5000);
    assert.equal(consul.count("register"), 1);
    assert.equal(consul.services.get(id)?.status, "passing");
    assert.equal(logger.count("trying on"), 1);
    await closeAll(registration, clock);
  });

  test("by heartbeats on schedule while Consul does not answer", async () => {
    const { consul, clock, start } = bench();
    const registration = start();
    await clock.advance(0);
    consul.gate = ({ action }) => (action === "update" ? new Promise(() => {}) : undefined);
    await clock.advance(20_000);
    assert.equal(consul.count("update"), 5);
    await clock.advance(80_000);
    assert.equal(consul.count("update"), 21);
    assert.equal(consul.count("register"), 1);
    await closeAll(registration, clock);
  });

  test("and registers once when several heartbeats are told at once that it is unknown", async () => {
    const { consul, clock, start } = bench();
    const registration = start();
    await clock.advance(0);
    const held: (() => void)[] = [];
    consul.gate = ({ action }) =>
      action === "update" ? new Promise((resolve) => held.push(() => resolve())) : undefined;
    await clock.advance(15_000);
    assert.equal(held.length, 3);
    consul.services.clear();
    consul.gate = () => undefined;
    consul.calls.length = 0;
    for (const answer of held) answer();
    await clock.advance(1000);
    assert.equal(consul.count("register"), 1);
    assert.equal(consul.services.get(id)?.status, "passing");
    await closeAll(registration, clock);
  });

  test("and does not believe an old heartbeat's answer over a newer one's", async () => {
    const { consul, clock, start } = bench();
    const registration = start();
    await clock.advance(0);
    let answerOld: (error: unknown) => void = () => {};
    consul.gate = ({ action }) => (action === "update" ? new Promise((_, reject) => (answerOld = reject)) : undefined);
    await clock.advance(5000);
    consul.gate = () => undefined;
    await clock.advance(5000);
    answerOld(consulError(404, "Unknown check ID"));
    await clock.advance(1000);
    assert.equal(consul.count("register"), 1);
    await closeAll(registration, clock);
  });

  test("checks of the agent's own by asking for the service every interval", async () => {
    for (const check of [{ type: "grpc" }, { type: "http" }, { type: "tcp" }] as const) {
      const { consul, clock, start } = bench();
      const registration = start({ check: { ...check, intervalMs: 2000 } });
      await clock.advance(0);
      await registration.registered;
      assert.equal(consul.count("update"), 0);
      consul.services.clear();
      await clock.advance(2000);
      assert.equal(consul.count("register"), 2);
      assert.ok(consul.services.has(id));
      await clock.advance(10_000);
      assert.equal(consul.count("register"), 2);
      await closeAll(registration, clock);
    }
  });
});

describe("registerService() reports health", () => {
  test("pass, warn and fail with their notes, logging changes only", async () => {
    const { consul, clock, logger, start } = bench();
    let report: HealthReport = { status: "pass" };
    const registration = start({ health: () => report });
    await clock.advance(5000);
    report = { status: "warn", note: "disk 91 % full" };
    await clock.advance(10_000);
    report = { status: "fail", note: "disk full" };
    await clock.advance(5000);
    assert.deepEqual(statuses(consul), ["passing", "passing", "warning", "warning", "critical"]);
    assert.equal(lastOutput(consul), "disk full");
    assert.equal(logger.count("Health has changed"), 2);
    await closeAll(registration, clock);
  });

  test("as fail when the function throws, rejects or returns nonsense", async () => {
    const cases: [() => unknown, RegExp][] = [
      [
        () => {
          throw new Error("no database");
        },
        /no database/,
      ],
      [() => Promise.reject(new Error("no queue")), /no queue/],
      [() => "fine", /no report: fine/],
      [() => undefined, /no report/],
    ];
    for (const [health, note] of cases) {
      const { consul, clock, start } = bench();
      const registration = start({ health: health as () => HealthReport });
      await clock.advance(0);
      await registration.registered;
      assert.deepEqual(statuses(consul), ["critical"]);
      assert.match(lastOutput(consul), note);
      await closeAll(registration, clock);
    }
  });

  test("as fail when there is no answer within the interval, and asks again once it came", async () => {
    const { consul, clock, start } = bench();
    let asked = 0;
    let answer: (report: HealthReport) => void = () => {};
    const registration = start({
      health: () => {
        asked++;
        return asked === 1 ? new Promise((resolve) => (answer = resolve)) : { status: "pass" };
      },
    });
    await clock.advance(4499);
    assert.deepEqual(statuses(consul), []);
    await clock.advance(1);
    assert.deepEqual(statuses(consul), ["critical"]);
    await clock.advance(10_000);
    assert.equal(asked, 1);
    assert.deepEqual(statuses(consul), ["critical", "critical", "critical"]);
    answer({ status: "pass" });
    await clock.advance(5000);
    assert.equal(asked, 2);
    assert.equal(statuses(consul).at(-1), "passing");
    await closeAll(registration, clock);
  });
});

describe("Registration.maintenance()", () => {
  test("is in force when it resolves, and is put back before the first pass after a re-registration", async () => {
    const { consul, clock, start } = bench();
    const registration = start();
    await clock.advance(0);
    await registration.maintenance(true, "disk swap");
    assert.deepEqual(registration.state, { type: "maintenance", reason: "disk swap" });
    assert.equal(consul.services.get(id)?.maintenance, "disk swap");
    consul.services.clear();
    consul.calls.length = 0;
    await clock.advance(5000);
    assert.deepEqual(
      consul.calls.map(({ action }) => action),
      ["update", "register", "maintenance", "update"],
    );
    assert.deepEqual(registration.state, { type: "maintenance", reason: "disk swap" });
    await registration.maintenance(false);
    assert.equal(consul.services.get(id)?.maintenance, undefined);
    assert.equal(registration.state.type, "registered");
    await closeAll(registration, clock);
  });

  test("asked for before Consul is there is in force before the first pass", async () => {
    const { consul, clock, start } = bench();
    consul.failure = networkError();
    const registration = start();
    const asked = registration.maintenance(true, "not yet");
    await clock.advance(1000);
    consul.failure = undefined;
    await clock.advance(5000);
    await asked;
    assert.deepEqual(consul.calls.map(({ action }) => action).slice(0, 3), ["register", "maintenance", "update"]);
    await closeAll(registration, clock);
  });

  test("stands while Consul is away, and the latest wish wins", async () => {
    const { consul, clock, start } = bench();
    const registration = start();
    await clock.advance(0);
    consul.failure = networkError();
    const asked = [registration.maintenance(true, "one"), registration.maintenance(true, "two")];
    await clock.advance(20_000);
    consul.failure = undefined;
    await clock.advance(5000);
    await Promise.all(asked);
    assert.equal(consul.services.get(id)?.maintenance, "two");
    await closeAll(registration, clock);
  });

  test("rejects when Consul refuses it, and drops the wish", async () => {
    const { consul, clock, start } = bench();
    const registration = start();
    await clock.advance(0);
    const refusal = consulError(403, "Permission denied");
    consul.gate = ({ action }) => (action === "maintenance" ? Promise.reject(refusal) : undefined);
    await assert.rejects(registration.maintenance(true), refusal);
    await clock.advance(20_000);
    assert.equal(consul.count("maintenance"), 1);
    assert.equal(registration.state.type, "registered");
    await closeAll(registration, clock);
  });

  test("rejects when the registration is closed first, or already", async () => {
    const { consul, clock, start } = bench();
    consul.failure = networkError();
    const registration = start();
    const asked = assert.rejects(registration.maintenance(true), /its registration is closed/);
    await closeAll(registration, clock);
    await asked;
    await assert.rejects(registration.maintenance(true), /its registration is closed/);
  });
});

describe("Registration.close()", () => {
  test("deregisters once, with the same promise every time, and disposing is closing", async () => {
    const { consul, clock, start } = bench();
    const registration = start();
    await clock.advance(0);
    const first = registration.close();
    assert.equal(registration.state.type, "closing");
    assert.equal(registration.close(), first);
    assert.equal(registration[Symbol.asyncDispose](), first);
    await first;
    assert.equal(consul.count("deregister"), 1);
    const { length } = consul.calls;
    await clock.advance(100_000);
    assert.equal(consul.calls.length, length);
    assert.equal(clock.pending, 0);
  });

  test("waits for a registration in flight, so that the deregistration comes after it", async () => {
    const { consul, clock, start } = bench();
    let answer: () => void = () => {};
    consul.gate = ({ action }) => (action === "register" ? new Promise((resolve) => (answer = resolve)) : undefined);
    const registration = start();
    await clock.advance(0);
    const closed = registration.close();
    await clock.advance(1000);
    assert.equal(consul.count("deregister"), 0);
    answer();
    await closed;
    assert.deepEqual(
      consul.calls.map(({ action }) => action),
      ["register", "deregister"],
    );
    assert.equal(consul.services.size, 0);
    await assert.rejects(registration.registered, /its registration is closed/);
    assert.equal(clock.pending, 0);
  });

  test("gives up a registration that hangs, and still deregisters", async () => {
    const { consul, clock, start } = bench();
    let answer: () => void = () => {};
    consul.gate = ({ action }) => (action === "register" ? new Promise((resolve) => (answer = resolve)) : undefined);
    const registration = start();
    await clock.advance(0);
    const closed = registration.close();
    await clock.advance(2000);
    await closed;
    assert.equal(consul.count("deregister"), 1);
    // The request was aborted: an answer that comes now is nobody's.
    answer();
    await clock.advance(0);
    assert.equal(consul.services.size, 0);
    assert.equal(clock.pending, 0);
  });

  test("is done in bounded time and says so when Consul is away", async () => {
    const { consul, clock, logger, start } = bench();
    const registration = start();
    await clock.advance(0);
    consul.failure = networkError();
    const closed = registration.close();
    await clock.advance(3000);
    await closed;
    assert.equal(logger.count("Cannot deregister"), 1);
    consul.failure = undefined;
    consul.services.clear();
    await clock.advance(100_000);
    assert.equal(consul.services.size, 0, "registered again after close");
    assert.equal(clock.pending, 0);
  });

  test("comes by itself when the signal aborts", async () => {
    const { consul, clock, start } = bench();
    const controller = new AbortController();
    const registration = start({ signal: controller.signal });
    await clock.advance(0);
    controller.abort();
    await registration.close();
    assert.equal(consul.count("deregister"), 1);
    assert.equal(clock.pending, 0);
  });

  test("is not needed when the signal had aborted before: nothing is sent", async () => {
    const { consul, start } = bench();
    const reason = new Error("too late");
    assert.throws(() => start({ signal: AbortSignal.abort(reason) }), reason);
    assert.deepEqual(consul.calls, []);
  });
});

describe("Registration.gone()", () => {
  const entry = (node: string) => ({
    Node: { Node: node, Address: "10.0.0.1", Meta: null },
    Service: { ID: id, Service: "Hello", Tags: null, Meta: null, Address: "10.0.0.1", Port: 10000 },
    Checks: [],
  });

  test("resolves when the agent's node no longer lists the id, whatever other nodes list", async () => {
    const { consul, clock, start } = bench();
    consul.setHealth([entry("node-1"), entry("node-2")]);
    const registration = start();
    await clock.advance(0);
    await closeAll(registration, clock);
    let gone = false;
    const waited = registration.gone().then(() => {
      gone = true;
    });
    await clock.advance(100);
    assert.equal(gone, false);
    consul.setHealth([entry("node-2")]);
    await waited;
    assert.equal(consul.waiting, 0);
    assert.equal(clock.pending, 0);
  });

  test("goes on through errors and rejects with the signal's reason", async () => {
    const { consul, clock, start } = bench();
    consul.setHealth([entry("node-1")]);
    const registration = start();
    await clock.advance(0);
    await closeAll(registration, clock);
    const controller = new AbortController();
    const waited = assert.rejects(registration.gone({ signal: controller.signal }), /enough/);
    await clock.advance(100);
    consul.failHealth(networkError());
    await clock.advance(20_000);
    assert.equal(consul.waiting, 1);
    controller.abort(new Error("enough"));
    await waited;
    assert.equal(consul.waiting, 0);
    assert.equal(clock.pending, 0);
  });
});
