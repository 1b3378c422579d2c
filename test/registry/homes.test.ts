// Registration with several agents on the manual clock: how soon the next one is asked, how often, and what becomes of maintenance.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { RegisterOptions } from "../../src/registry/register-options.ts";
import { registerService } from "../../src/registry/register-service.ts";
import { createManualClock } from "../../src/testing/manual-clock.ts";
import { createRecordingLogger } from "../support/recording-logger.ts";

type Answer = (path: string, init: RequestInit) => Response | Promise<Response>;

const ok: Answer = () => new Response("");
const refused: Answer = () => {
  throw new TypeError("fetch failed", { cause: new Error("ECONNREFUSED") });
};
/** Answers nothing until the request is given up. */
const silent: Answer = (_, { signal }) =>
  new Promise((_resolve, reject) => signal?.addEventListener("abort", () => reject(signal.reason), { once: true }));

/** Agents of these names, each answering as the test says, and what they were sent. */
function bench(names: readonly string[], options: Partial<RegisterOptions> = {}) {
  const answers = new Map<string, Answer>(names.map((name) => [name, ok]));
  const sent: { readonly at: string; readonly what: string }[] = [];
  const clock = createManualClock();
  const logger = createRecordingLogger();
  const fetch = async (text: string, init: RequestInit): Promise<Response> => {
    const { hostname, pathname, search } = new URL(text);
    const what = `${pathname.replace(/^\/v1\/(agent\/)?/, "").replace(/\/10\..*$/, "")}${search}`;
    sent.push({ at: hostname, what });
    const answer = answers.get(hostname);
    assert.ok(answer !== undefined);
    return answer(pathname, init);
  };
  const address = names.map((name) => `http://${name}:8500`);
  return {
    clock,
    logger,
    sent,
    set: (name: string, answer: Answer) => answers.set(name, answer),
    count: (at: string, what: RegExp) => sent.filter((one) => one.at === at && what.test(one.what)).length,
    start: () =>
      registerService({
        consul: { address, fetch, clock },
        name: "Hello",
        host: "10.0.0.1",
        port: 10000,
        clock,
        logger,
        random: () => 0.5,
        ...options,
      }),
  };
}

async function closeAll(registration: { close(): Promise<void> }, clock: ReturnType<typeof createManualClock>) {
  const closed = registration.close();
  await clock.advance(10_000);
  await closed;
  assert.equal(clock.pending, 0, "timers left");
}

for (const [what, answer, withinMs] of [
  ["refuses connections", refused, 500],
  ["is silent", silent, 4000],
] as const) {
  test(`registerService() has the second agent soon when the first ${what} from the start`, async () => {
    const { clock, set, start } = bench(["a", "b"]);
    set("a", answer);
    const registration = start();
    await clock.advance(withinMs);
    assert.equal(registration.state.type, "registered");
    await closeAll(registration, clock);
  });
}

test("registerService() asks ten agents in turn, and then at its pace, where none answers", async () => {
  const names = Array.from({ length: 10 }, (_, index) => `agent${index}`);
  const { clock, set, sent, start } = bench(names);
  for (const name of names) set(name, refused);
  const registration = start();
  await clock.advance(3000);
  assert.equal(new Set(sent.map(({ at }) => at)).size, 10);
  const before = sent.length;
  await clock.advance(60_000);
  // No more often than a heartbeat interval, but for the first few.
  assert.ok(sent.length - before <= 25, `${sent.length - before} requests a minute`);
  set("agent7", ok);
  await clock.advance(60_000);
  assert.equal(registration.state.type, "registered");
  await closeAll(registration, clock);
});

test("registerService() has not to wait for an agent that is silent over maintenance, but takes that to the next", async () => {
  const { clock, set, count, start } = bench(["a", "b"]);
  const registration = start();
  await clock.advance(0);
  const inMaintenance = registration.maintenance(true, "a test");
  await clock.advance(0);
  await inMaintenance;
  set("a", silent);
  let isResumed = false;
  void registration.maintenance(false).then(() => {
    isResumed = true;
  });
  await clock.advance(16_000);
  assert.equal(registration.state.type, "registered");
  assert.ok(isResumed);
  // It stays there: nothing was amiss with it.
  await clock.advance(60_000);
  assert.equal(count("b", /^service\/register/), 1);
  assert.equal(count("a", /^service\/register/), 1);
  await closeAll(registration, clock);
});

test("gone() waits 1 s at most for an agent that is silent, where another can tell", async () => {
  const { clock, set, start } = bench(["a", "b"]);
  const registration = start();
  await clock.advance(0);
  set("a", silent);
  set("b", (path, init) => {
    if (path.startsWith("/v1/health/")) return Response.json([], { headers: { "X-Consul-Index": "7" } });
    return path === "/v1/agent/self" ? Response.json({ Config: { NodeName: "b" } }) : ok(path, init);
  });
  await clock.advance(16_000);
  assert.equal(registration.state.type, "registered");
  await closeAll(registration, clock);
  let isGone = false;
  void registration.gone().then(() => {
    isGone = true;
  });
  // Another, of whom the query knows by now that the first agent is silent.
  await clock.advance(1000 + 2000);
  assert.ok(isGone);
  assert.equal(clock.pending, 0);
});
