import assert from "node:assert/strict";
import { test } from "node:test";
import { type ConsulClientOptions, createConsulClient, eachAgent } from "../../src/consul/consul-client.ts";
import { ConsulError } from "../../src/consul/consul-error.ts";
import { createManualClock } from "../../src/testing/manual-clock.ts";
import { createRecordingLogger } from "../support/recording-logger.ts";

type Answer = (url: URL, init: RequestInit) => Response | Promise<Response>;

/** Agents named a, b and c, each answering as the test says, and what they were asked. */
function bench(names: readonly string[] = ["a", "b", "c"], options: ConsulClientOptions = {}) {
  const answers = new Map<string, Answer>(names.map((name) => [name, () => leader(name)]));
  const asked: string[] = [];
  const clock = createManualClock();
  const logger = createRecordingLogger();
  const client = createConsulClient({
    address: names.map((name) => `http://${name}:8500`),
    clock,
    logger,
    fetch: async (text, init) => {
      const url = new URL(text);
      asked.push(`${url.hostname} ${init.method} ${url.pathname.slice(4)}${url.search}`);
      const answer = answers.get(url.hostname);
      if (answer === undefined) throw new TypeError("refused");
      return answer(url, init);
    },
    ...options,
  });
  return {
    client,
    clock,
    logger,
    set: (name: string, answer: Answer) => answers.set(name, answer),
    /** What was asked since the last look. */
    asked: () => asked.splice(0),
  };
}

const leader = (name: string) => Response.json(`${name}:8300`);
const refused: Answer = () => {
  throw new TypeError("fetch failed", { cause: new Error("ECONNREFUSED") });
};
const status =
  (code: number, text = "", headers: Record<string, string> = {}): Answer =>
  () =>
    new Response(text, { status: code, headers });
/** Answers nothing until the request is given up. */
const silent: Answer = (_, { signal }) =>
  new Promise((_resolve, reject) => signal?.addEventListener("abort", () => reject(signal.reason), { once: true }));
const entries =
  (index: string): Answer =>
  () =>
    Response.json([], { headers: { "X-Consul-Index": index } });

async function failure(promise: Promise<unknown>): Promise<ConsulError> {
  const error = await promise.then(
    () => assert.fail("resolved"),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof ConsulError, String(error));
  return error;
}

test("a client of several agents names them all, and asks the first while it answers", async () => {
  const { client, asked } = bench();
  assert.equal(client.address, "http://a:8500, http://b:8500, http://c:8500");
  for (let count = 0; count < 3; count++) assert.equal(await client.status.leader(), "a:8300");
  assert.deepEqual(asked(), ["a GET status/leader", "a GET status/leader", "a GET status/leader"]);
});

for (const [what, answer] of [
  ["refuses connections", refused],
  ["answers 500", status(500, "rpc error making call: EOF")],
  ["answers 503", status(503)],
  ["answers 429", status(429)],
] as const) {
  test(`a read goes to the next agent at once when one ${what}, and stays there`, async () => {
    const { client, set, asked, logger } = bench();
    set("a", answer);
    assert.equal(await client.status.leader(), "b:8300");
    assert.deepEqual(asked(), ["a GET status/leader", "b GET status/leader"]);
    assert.equal(logger.count("Another Consul agent"), 1);
    // Back again: nobody returns for that.
    set("a", () => leader("a"));
    assert.equal(await client.status.leader(), "b:8300");
    assert.deepEqual(asked(), ["b GET status/leader"]);
    set("b", refused);
    assert.equal(await client.status.leader(), "c:8300");
  });
}

test("a read goes nowhere else when an agent refuses it", async () => {
  const { client, set, asked } = bench();
  set("a", status(403, "Permission denied"));
  assert.equal((await failure(client.status.leader())).status, 403);
  set("a", status(400, "Invalid wait time"));
  assert.equal((await failure(client.status.leader())).status, 400);
  assert.equal(asked().length, 2);
});

test("a read gives a silent agent its share of the time, and the next one the rest", async () => {
  const { client, set, clock, asked } = bench();
  set("a", silent);
  const pending = client.status.leader({ timeoutMs: 4500 });
  await clock.advance(1499);
  assert.equal(asked().length, 1);
  await clock.advance(1);
  assert.equal(await pending, "b:8300");
});

test("a read waits no longer than 2 s for an agent that is silent, while there is another", async () => {
  const { client, set, clock } = bench(["a", "b"]);
  set("a", silent);
  const pending = client.status.leader();
  await clock.advance(2000);
  assert.equal(await pending, "b:8300");
});

test("a read fails with what each agent did when none answers", async () => {
  const { client, set, clock } = bench();
  set("a", refused);
  set("b", status(500, "No cluster leader"));
  set("c", silent);
  const pending = failure(client.status.leader({ timeoutMs: 3000 }));
  await clock.advance(3000);
  const error = await pending;
  assert.deepEqual([error.code, error.status, error.text], ["http", 500, "No cluster leader"]);
  for (const part of [/at http:\/\/a:8500 failed/, /http:\/\/b:8500 answered 500/, /http:\/\/c:8500 gave no answer/]) {
    assert.match(error.message, part);
  }
  assert.equal(error.address, "http://a:8500, http://b:8500, http://c:8500");
  assert.ok(error.cause instanceof AggregateError);
});

test("a write is sent once, and moves the next request on when it gets no answer", async () => {
  const { client, set, asked } = bench();
  set("a", refused);
  assert.equal((await failure(client.kv.put("key", "value"))).code, "network");
  assert.deepEqual(asked(), ["a PUT kv/key"]);
  assert.equal(await client.status.leader(), "b:8300");
  assert.deepEqual(asked(), ["b GET status/leader"]);
});

test("what belongs to one agent is asked of the first, whichever is in use", async () => {
  const { client, set, asked } = bench();
  set("a", refused);
  await client.status.leader();
  asked();
  await failure(client.agent.self());
  await failure(client.agent.registerService({ Name: "x" }));
  assert.deepEqual(asked(), ["a GET agent/self", "a PUT agent/service/register"]);
});

test("a read that waits is repeated elsewhere without its index", async () => {
  const { client, set, asked } = bench();
  set("a", status(500, "rpc error making call: EOF"));
  set("b", entries("7"));
  const result = await client.health.service("x", { index: "42", waitMs: 1000, indexAgent: "http://a:8500" });
  assert.deepEqual([result.index, result.agent], ["7", "http://b:8500"]);
  assert.deepEqual(asked(), ["a GET health/service/x?index=42&wait=1000ms", "b GET health/service/x"]);
  // Of an agent that is not in use any more: the index is left out at once.
  await client.health.service("x", { index: "42", waitMs: 1000, indexAgent: "http://a:8500" });
  await client.health.service("x", { index: "7", waitMs: 1000, indexAgent: "http://b:8500" });
  assert.deepEqual(asked(), ["b GET health/service/x", "b GET health/service/x?index=7&wait=1000ms"]);
});

test("a read that waits at an agent leaves it as soon as another request finds it silent", async () => {
  const { client, set, clock, asked } = bench(["a", "b"]);
  set("a", silent);
  set("b", entries("7"));
  const waiting = client.health.service("x", { index: "42", waitMs: 55_000 });
  const refreshing = client.health.service("x", { timeoutMs: 2000 });
  await clock.advance(1000);
  assert.equal((await refreshing).agent, "http://b:8500");
  assert.equal((await waiting).agent, "http://b:8500");
  assert.deepEqual(asked(), [
    "a GET health/service/x?index=42&wait=55000ms",
    "a GET health/service/x",
    "b GET health/service/x",
    "b GET health/service/x",
  ]);
});

test("an agent that asked to be left alone is asked last for that long", async () => {
  const { client, set, clock, asked } = bench(["a", "b"]);
  set("a", status(429, "slow down", { "Retry-After": "30" }));
  assert.equal(await client.status.leader(), "b:8300");
  set("b", refused);
  set("a", () => leader("a"));
  asked();
  assert.equal(await client.status.leader(), "a:8300");
  // It is in use, and would be asked first now.
  assert.deepEqual(asked(), ["b GET status/leader", "a GET status/leader"]);
  await clock.advance(30_000);
  assert.equal(await client.status.leader(), "a:8300");
});

test("an aborted read rejects with the reason, and asks nobody else", async () => {
  const { client, set, asked } = bench();
  set("a", silent);
  const controller = new AbortController();
  const reason = new Error("enough");
  const pending = client.health.service("x", { index: "1", signal: controller.signal });
  controller.abort(reason);
  await assert.rejects(pending, (error) => error === reason);
  assert.equal(asked().length, 1);
});

test("eachAgent() gives a client for each agent", async () => {
  const { client, asked } = bench(["a", "b"], { token: "t0ken" });
  const [first, second] = eachAgent(client);
  assert.deepEqual([first.address, second?.address], ["http://a:8500", "http://b:8500"]);
  await second?.agent.registerService({ Name: "x" }).catch(() => {});
  assert.deepEqual(asked(), ["b PUT agent/service/register"]);
  assert.deepEqual(eachAgent(first), [first]);
});

test("createConsulClient() refuses lists that name no agent, or one twice", () => {
  for (const address of [[], [""], ["http://a", ""], ["http://a:8500", "a:8500"], ["http://u:pa55@a", "ftp://a"]]) {
    assert.throws(
      () => createConsulClient({ address }),
      (error) => error instanceof TypeError && !error.message.includes("pa55"),
      JSON.stringify(address),
    );
  }
});

test("clients of the same agents in the same order share what they know, others do not", () => {
  const identity = (...address: string[]) => createConsulClient({ address }).identity;
  assert.equal(identity("a:1", "b:1"), identity("http://a:1", "http://b:1"));
  assert.notEqual(identity("a:1", "b:1"), identity("b:1", "a:1"));
  assert.notEqual(identity("a:1", "b:1"), identity("a:1"));
  assert.equal(identity("a:1"), createConsulClient("a:1").identity);
});
