// The Durable Object's class on a fake state, on every runtime; test/workerd runs it where it lives.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConsulClientOptions } from "../../src/consul/client-options.ts";
import { createConsulClient } from "../../src/consul/consul-client.ts";
import type { Endpoint } from "../../src/core/endpoint.ts";
import {
  type ServiceWatchOptions,
  serviceWatchObject,
  type WatchObject,
  type WatchObjectState,
} from "../../src/edge/service-watch-object.ts";
import { createWatchObjectSource } from "../../src/edge/watch-object-source.ts";
import { startEmbeddedConsul } from "../../src/testing/embedded-consul.ts";
import { createManualClock, type ManualClock } from "../../src/testing/manual-clock.ts";
import { openOverSource } from "../support/edge-fakes.ts";
import { eventually } from "../support/eventually.ts";
import { createRecordingLogger } from "../support/recording-logger.ts";
import { consulError, createScriptedConsul, networkError, type ScriptedConsul } from "../support/scripted-consul.ts";
import { serviceEntry } from "../support/service-entry.ts";

const startMs = 1_700_000_000_000;

interface Answer {
  readonly endpoints: readonly Endpoint[];
  readonly confirmedAtMs: number;
  readonly stale: boolean;
  readonly isGraceOver?: boolean;
}

/** A Durable Object's state; the store outlives it, as the real one outlives an eviction. */
function fakeState(name: string | undefined, store = new Map<string, unknown>()): WatchObjectState {
  return {
    id: name === undefined ? {} : { name },
    storage: {
      get: async (key) => structuredClone(store.get(key)),
      put: async (key, value) => {
        store.set(key, structuredClone(value));
      },
    },
  };
}

/** An object over a scripted agent, on a clock that is turned by hand. */
function openObject(
  setting: {
    readonly consul?: ScriptedConsul;
    readonly clock?: ManualClock;
    readonly store?: Map<string, unknown>;
    readonly state?: WatchObjectState;
    readonly options?: Partial<ServiceWatchOptions>;
  } = {},
) {
  const consul = setting.consul ?? createScriptedConsul();
  const clock = setting.clock ?? createManualClock(startMs);
  const store = setting.store ?? new Map<string, unknown>();
  const HelloWatch = serviceWatchObject<null>((_env, name) => ({
    service: name,
    consul: consul.client,
    clock,
    random: () => 0.5,
    ...setting.options,
  }));
  const object = new HelloWatch(setting.state ?? fakeState("HelloService", store), null);
  return { object, consul, clock, store };
}

function get(object: WatchObject): Promise<Response> {
  return object.fetch(new Request("https://object.test/"));
}

/** The answer, turning the clock by nothing so that what is ready comes. */
async function read(object: WatchObject, clock: ManualClock): Promise<Answer> {
  const response = get(object);
  await clock.advance(0);
  const { status } = await response;
  const text = await (await response).text();
  assert.equal(status, 200, text);
  return JSON.parse(text);
}

function urls({ endpoints }: Answer): string[] {
  return endpoints.map(({ url }) => url);
}

/** Lets the object end its watch, so that no timer stays. */
async function idle(clock: ManualClock): Promise<void> {
  await clock.advance(300_000);
  assert.equal(clock.pending, 0, "an idle object has no timer");
}

test("serviceWatchObject() answers a GET with the snapshot in JSON", async () => {
  const { object, consul, clock } = openObject();
  consul.setHealth([serviceEntry({ id: "b" }), serviceEntry({ id: "a", service: { Address: "::1", Port: 81 } })]);
  const response = get(object);
  await clock.advance(0);
  const { headers, status } = await response;
  assert.equal(status, 200);
  assert.match(headers.get("content-type") ?? "", /^application\/json/);
  assert.equal(headers.get("cache-control"), "no-store");
  const answer: Answer = await (await response).json();
  assert.deepEqual(urls(answer), ["http://[::1]:81", "http://10.0.0.1:10000"]);
  assert.equal(answer.confirmedAtMs, startMs);
  assert.equal(answer.stale, false);
  await idle(clock);
});

test("serviceWatchObject() holds one blocking query for any number of requests, and tells changes", async () => {
  const { object, consul, clock } = openObject();
  consul.setHealth([serviceEntry({ id: "a" })]);
  const many = Promise.all(Array.from({ length: 50 }, () => get(object)));
  await clock.advance(0);
  for (const response of await many) assert.equal(response.status, 200);
  assert.equal(consul.waiting, 1);
  assert.equal(consul.count("health"), 2, "one read and one blocking read");
  consul.setHealth([serviceEntry({ id: "a" }), serviceEntry({ id: "b", service: { Port: 10001 } })]);
  await clock.advance(0);
  assert.deepEqual(urls(await read(object, clock)), ["http://10.0.0.1:10000", "http://10.0.0.1:10001"]);
  assert.equal(consul.waiting, 1);
  await idle(clock);
});

test("serviceWatchObject() gives each object a watch of its own, whatever they ask", async () => {
  const consul = createScriptedConsul();
  consul.setHealth([serviceEntry()]);
  const clock = createManualClock(startMs);
  // All that makes two watches one but for the clock.
  const options = { random: () => 0.5 };
  const first = openObject({ consul, clock, options });
  const second = openObject({ consul, clock, options });
  await read(first.object, clock);
  await read(second.object, clock);
  assert.equal(consul.waiting, 2);
  await idle(clock);
});

test("serviceWatchObject() takes the silence of a live watch for confirmation", async () => {
  const { object, consul, clock } = openObject();
  consul.setHealth([serviceEntry()]);
  await read(object, clock);
  await clock.advance(30_000);
  const answer = await read(object, clock);
  assert.equal(answer.confirmedAtMs, startMs + 30_000);
  assert.equal(answer.stale, false);
  await idle(clock);
});

test("serviceWatchObject() keeps the last snapshot while Consul is away, with the time of Consul's last word", async () => {
  const { object, consul, clock } = openObject();
  consul.setHealth([serviceEntry()]);
  await read(object, clock);
  await clock.advance(20_000);
  assert.equal((await read(object, clock)).confirmedAtMs, startMs + 20_000);
  consul.failure = networkError();
  consul.failHealth(networkError());
  await clock.advance(5000);
  const answer = await read(object, clock);
  assert.deepEqual(urls(answer), ["http://10.0.0.1:10000"]);
  assert.equal(answer.stale, true);
  assert.equal(answer.confirmedAtMs, startMs, "the silence before was an agent that was gone");
  consul.failure = undefined;
  await clock.advance(10_000);
  const back = await read(object, clock);
  assert.deepEqual([back.stale, back.confirmedAtMs], [false, startMs + 35_000]);
  await idle(clock);
});

test("serviceWatchObject() gives a list that shrinks to nothing a grace of 90 s", async () => {
  const { object, consul, clock } = openObject({ options: { idleMs: 200_000 } });
  consul.setHealth([serviceEntry()]);
  await read(object, clock);
  await clock.advance(10_000);
  consul.setHealth([]);
  await clock.advance(89_000);
  const held = await read(object, clock);
  assert.deepEqual(urls(held), ["http://10.0.0.1:10000"]);
  assert.equal(held.stale, true);
  assert.equal(held.confirmedAtMs, startMs + 10_000, "true until Consul said otherwise");
  await clock.advance(1000);
  const believed = await read(object, clock);
  assert.deepEqual([urls(believed), believed.stale, believed.confirmedAtMs], [[], false, startMs + 100_000]);
  consul.setHealth([serviceEntry()]);
  await clock.advance(0);
  assert.equal((await read(object, clock)).stale, false);
  await idle(clock);
});

test("serviceWatchObject() says once the grace is over, also after a pause, and until there are instances again", async () => {
  const { object, consul, clock } = openObject({ options: { idleMs: 200_000 } });
  const isOver = async () => (await read(object, clock)).isGraceOver ?? false;
  assert.equal(await isOver(), false, "a first empty list has had none");
  consul.setHealth([serviceEntry()]);
  await clock.advance(0);
  await read(object, clock);
  consul.setHealth([]);
  await clock.advance(89_999);
  assert.equal(await isOver(), false);
  await clock.advance(1);
  assert.equal(await isOver(), true);
  await idle(clock);
  assert.equal(await isOver(), true);
  consul.setHealth([serviceEntry()]);
  await clock.advance(0);
  assert.equal(await isOver(), false);
  await idle(clock);
});

test("serviceWatchObject() begins the grace anew where the clock is set back, and no more than that", async () => {
  const manual = createManualClock(startMs);
  let offsetMs = 0;
  const clock = { ...manual, now: () => manual.now() + offsetMs } as ManualClock;
  const { object, consul } = openObject({ clock, options: { idleMs: 200_000 } });
  consul.setHealth([serviceEntry()]);
  await read(object, clock);
  consul.setHealth([]);
  await clock.advance(60_000);
  await read(object, clock);
  offsetMs = -3_600_000;
  assert.equal((await read(object, clock)).endpoints.length, 1);
  await clock.advance(89_999);
  assert.equal((await read(object, clock)).endpoints.length, 1);
  await clock.advance(1);
  const believed = await read(object, clock);
  assert.deepEqual([believed.endpoints.length, believed.stale], [0, false]);
  // The watch ends in time too.
  await clock.advance(60_000);
  offsetMs -= 3_600_000;
  await idle(clock);
});

test("serviceWatchObject() lets the grace go when an instance is back", async () => {
  const { object, consul, clock } = openObject({ options: { idleMs: 200_000 } });
  consul.setHealth([serviceEntry()]);
  await read(object, clock);
  consul.setHealth([]);
  await clock.advance(80_000);
  consul.setHealth([serviceEntry()]);
  await clock.advance(20_000);
  const back = await read(object, clock);
  assert.deepEqual([urls(back).length, back.stale, back.confirmedAtMs], [1, false, startMs + 100_000]);
  consul.setHealth([]);
  await clock.advance(80_000);
  assert.equal((await read(object, clock)).endpoints.length, 1, "90 s anew");
  await idle(clock);
});

test("serviceWatchObject() answers an empty list at once where it was never another", async () => {
  const { object, clock } = openObject();
  const answer = await read(object, clock);
  assert.deepEqual([answer.endpoints, answer.stale], [[], false]);
  await idle(clock);
});

test("serviceWatchObject() starts an evicted object with the stored snapshot, and shows its age", async () => {
  const before = openObject();
  before.consul.setHealth([serviceEntry()]);
  await read(before.object, before.clock);
  await before.clock.advance(59_000);
  await read(before.object, before.clock);
  await idle(before.clock);

  const consul = createScriptedConsul();
  consul.failure = networkError();
  const clock = createManualClock(startMs + 3_600_000);
  const after = openObject({ consul, clock, store: before.store });
  const answer = await read(after.object, clock);
  assert.deepEqual(urls(answer), ["http://10.0.0.1:10000"]);
  assert.equal(answer.stale, true);
  assert.ok(answer.confirmedAtMs >= startMs + 59_000 && answer.confirmedAtMs < startMs + 300_000);
  await idle(clock);
});

test("serviceWatchObject() waits a second for a silent Consul where it has a stored snapshot", async () => {
  const before = openObject();
  before.consul.setHealth([serviceEntry()]);
  await read(before.object, before.clock);
  await idle(before.clock);

  const after = openObject({ store: before.store });
  after.consul.gate = () => new Promise(() => {});
  let status: number | undefined;
  const response = get(after.object).then((answer) => {
    status = answer.status;
    return answer;
  });
  await after.clock.advance(999);
  assert.equal(status, undefined);
  await after.clock.advance(1);
  const answer: Answer = await (await response).json();
  assert.deepEqual([urls(answer).length, answer.stale], [1, true]);
  await idle(after.clock);
});

test("serviceWatchObject() remembers over an eviction since when Consul has answered with nothing", async () => {
  const store = new Map<string, unknown>();
  const first = openObject({ store });
  first.consul.setHealth([serviceEntry()]);
  await read(first.object, first.clock);
  first.consul.setHealth([]);
  await first.clock.advance(0);
  const emptied = structuredClone([...store]);
  await idle(first.clock);

  const clock = createManualClock(startMs + 80_000);
  const second = openObject({ clock, store: new Map(emptied) });
  assert.equal((await read(second.object, clock)).endpoints.length, 1, "80 s: held");
  await clock.advance(10_000);
  assert.equal((await read(second.object, clock)).endpoints.length, 0, "90 s: believed");
  await idle(clock);
});

test("serviceWatchObject() ignores what was stored for another question or in another shape", async () => {
  const other = openObject({ options: { service: "Other" } });
  other.consul.setHealth([serviceEntry()]);
  await read(other.object, other.clock);
  await idle(other.clock);
  const logger = createRecordingLogger();
  const stored = [...other.store.values()][0] as { readonly key: string };
  const key = stored.key.replace("other", "helloservice");
  assert.notEqual(key, stored.key);
  for (const value of [stored, 1, null, { key }, { key, endpoints: [{ url: 1 }], confirmedAtMs: 1 }]) {
    const store = new Map([...other.store.keys()].map((key) => [key, value]));
    const { object, consul, clock } = openObject({ store, options: { logger } });
    consul.failure = networkError();
    const response = get(object);
    await clock.advance(0);
    assert.equal((await response).status, 503);
    await idle(clock);
  }
  assert.equal(logger.count("stored snapshot"), 2, "a shape that is wrong is told of");
});

test("serviceWatchObject() serves what it has stored to the same question alone, and stores no secret", async () => {
  const client = (options: ConsulClientOptions) =>
    createConsulClient({
      address: "https://c.test",
      token: "s3cret",
      fetch: async () => Response.json([]),
      ...options,
    });
  const asked: Partial<ServiceWatchOptions> = { consul: client({}), near: "_agent" };
  const store = new Map<string, unknown>();
  const first = openObject({
    store,
    options: { ...asked, consul: client({ fetch: async () => Response.json([serviceEntry()]) }) },
  });
  await read(first.object, first.clock);
  await idle(first.clock);
  assert.doesNotMatch(JSON.stringify([...store]), /s3cret/);
  const away = { fetch: () => Promise.reject(new TypeError("fetch failed")) };
  const knows = async (options: Partial<ServiceWatchOptions>) => {
    const { object, clock } = openObject({
      store: new Map(store),
      options: { ...asked, consul: client(away), ...options },
    });
    const response = get(object);
    await clock.advance(1000);
    const { status } = await response;
    await idle(clock);
    return status === 200;
  };
  assert.equal(await knows({}), true);
  assert.equal(await knows({ consul: client({ ...away, token: "another" }) }), true, "a token that was renewed");
  for (const other of [
    { scheme: "https" },
    { passingOnly: false },
    { near: "n2" },
    { consistency: "stale" },
    { tags: ["v2"] },
    { filter: "x" },
    { datacenter: "dc2" },
    { consul: client({ ...away, address: "https://d.test" }) },
    { consul: client({ ...away, datacenter: "dc2" }) },
    { consul: client({ ...away, namespace: "team" }) },
    { consul: client({ ...away, partition: "team" }) },
  ] as const satisfies readonly Partial<ServiceWatchOptions>[]) {
    assert.equal(await knows(other), false, Object.keys(other)[0]);
  }
});

test("serviceWatchObject() goes on without a storage that does not answer within a second", async () => {
  const logger = createRecordingLogger();
  const storage = { get: () => new Promise(() => {}), put: async () => {} };
  const { object, consul, clock } = openObject({
    state: { id: { name: "HelloService" }, storage },
    options: { logger },
  });
  consul.setHealth([serviceEntry()]);
  const response = get(object);
  await clock.advance(999);
  assert.equal(consul.count("health"), 0);
  await clock.advance(1);
  assert.equal((await response).status, 200);
  assert.equal(logger.count("Cannot read the stored"), 1);
  await idle(clock);
});

test("serviceWatchObject() believes no stored time that is later than now", async () => {
  const store = new Map<string, unknown>();
  const before = openObject({ store, clock: createManualClock(startMs + 86_400_000) });
  before.consul.setHealth([serviceEntry()]);
  await read(before.object, before.clock);
  before.consul.setHealth([]);
  await before.clock.advance(0);
  const emptied = structuredClone([...store]);
  await idle(before.clock);

  const clock = createManualClock(startMs);
  const after = openObject({ clock, store: new Map(emptied) });
  after.consul.failure = networkError();
  const answer = await read(after.object, clock);
  assert.deepEqual([answer.confirmedAtMs, answer.endpoints.length, answer.stale], [startMs, 1, true]);
  await idle(clock);
  // The grace has begun now, whenever Consul is back.
  const again = createManualClock(startMs);
  const third = openObject({ clock: again, store: new Map(emptied), options: { idleMs: 200_000 } });
  third.consul.failure = networkError();
  assert.equal((await read(third.object, again)).endpoints.length, 1);
  await again.advance(45_000);
  third.consul.failure = undefined;
  await again.advance(44_999);
  assert.equal((await read(third.object, again)).endpoints.length, 1);
  await again.advance(1);
  assert.equal((await read(third.object, again)).endpoints.length, 0);
  await idle(again);
});

test("serviceWatchObject() does not end a watch that a request still waits for", async () => {
  const { object, consul, clock } = openObject({ options: { idleMs: 100, waitTimeoutMs: 5000 } });
  consul.setHealth([serviceEntry()]);
  const gate = Promise.withResolvers<void>();
  consul.gate = () => gate.promise;
  const response = get(object);
  await clock.advance(4000);
  gate.resolve();
  await clock.advance(0);
  assert.equal((await response).status, 200);
  await idle(clock);
});

test("serviceWatchObject() stores a changed list at once, and a confirmed one once a minute", async () => {
  const puts: unknown[] = [];
  const state: WatchObjectState = {
    id: { name: "HelloService" },
    storage: {
      get: async () => undefined,
      put: async (_key, value) => {
        puts.push(value);
      },
    },
  };
  const { object, consul, clock } = openObject({ state });
  consul.setHealth([serviceEntry()]);
  for (let second = 0; second < 130; second++) {
    await read(object, clock);
    await clock.advance(1000);
  }
  assert.equal(puts.length, 3, "the list, and twice its confirmation");
  consul.setHealth([serviceEntry({ id: "b" })]);
  await clock.advance(0);
  assert.equal(puts.length, 4);
  await idle(clock);
  assert.equal(puts.length, 5, "the last confirmation before it went idle");
});

test("serviceWatchObject() goes on where its storage fails", async () => {
  const logger = createRecordingLogger();
  const fail = () => Promise.reject(new Error("the disk is full"));
  const { object, consul, clock } = openObject({
    state: { id: { name: "HelloService" }, storage: { get: fail, put: fail } },
    options: { logger },
  });
  consul.setHealth([serviceEntry()]);
  assert.equal((await read(object, clock)).endpoints.length, 1);
  await clock.advance(0);
  assert.deepEqual([logger.count("Cannot read the stored"), logger.count("Cannot store")], [1, 1]);
  await idle(clock);
});

test("serviceWatchObject() stops to watch after idleMs without a request, and starts again when asked", async () => {
  const { object, consul, clock } = openObject({ options: { idleMs: 5000 } });
  consul.setHealth([serviceEntry()]);
  await read(object, clock);
  await clock.advance(4000);
  await read(object, clock);
  await clock.advance(4000);
  assert.equal(consul.waiting, 1, "asked 4 s ago");
  await clock.advance(1000);
  assert.equal(consul.waiting, 0);
  assert.equal(clock.pending, 0);
  consul.setHealth([]);
  consul.setHealth([serviceEntry({ id: "b", service: { Port: 10009 } })]);
  assert.deepEqual(urls(await read(object, clock)), ["http://10.0.0.1:10009"]);
  assert.equal(consul.waiting, 1);
  await idle(clock);
});

test("serviceWatchObject() answers 503 with the reason where Consul refuses and nothing is known", async () => {
  const { object, consul, clock } = openObject();
  consul.failure = consulError(403, "Permission denied");
  const response = get(object);
  await clock.advance(0);
  assert.equal((await response).status, 503);
  assert.equal(
    await (await response).text(),
    'Cannot list service "HelloService" of Consul at http://scripted: answered 403: Permission denied\n',
  );
  consul.failure = undefined;
  consul.setHealth([serviceEntry()]);
  await clock.advance(2000);
  assert.equal((await read(object, clock)).endpoints.length, 1, "it tries on by itself");
  await idle(clock);
});

test("serviceWatchObject() answers 503 after waitTimeoutMs without an answer", async () => {
  const { object, consul, clock } = openObject({ options: { waitTimeoutMs: 700 } });
  consul.gate = () => new Promise(() => {});
  const response = get(object);
  await clock.advance(700);
  assert.equal((await response).status, 503);
  assert.match(await (await response).text(), /: no answer within 700 ms\n$/);
  await idle(clock);
});

test("serviceWatchObject() repeats no text of what a token function throws", async () => {
  const clock = createManualClock(startMs);
  const token = () => {
    throw new RangeError("s3cret-token is too old");
  };
  const { object } = openObject({ clock, options: { consul: createConsulClient({ token }) } });
  const response = get(object);
  await clock.advance(0);
  const text = await (await response).text();
  assert.equal((await response).status, 503);
  assert.match(text, /the read failed with RangeError/);
  assert.doesNotMatch(text, /s3cret/);
  await idle(clock);
});

test("serviceWatchObject() answers 500 and says why where the options are no good, without a secret", async () => {
  const env = { TOKEN: "s3cret-token", PORT: 8500 };
  const cases: readonly [(env: { TOKEN: string }, name: string) => ServiceWatchOptions, RegExp][] = [
    [(_env, name) => ({ service: name, consul: "http://a.test", idleMs: 0 }), /"idleMs" must be > 0: received 0/],
    [(_env, name) => ({ service: name, consul: "http://a.test", waitTimeoutMs: -1 }), /"waitTimeoutMs" must be > 0/],
    [(_env, name) => ({ service: name, consul: "http://a.test", waitMs: 5 }), /"waitMs" must be from 1000 to 60000/],
    [(_env, name) => ({ service: name, consul: "ftp://me:s3cret-token@a.test" }), /scheme must be http/],
    [({ TOKEN }, name) => ({ service: name, consul: { token: `${TOKEN}\n` } }), /token as it must be visible ASCII/],
    [() => ({ service: "", consul: "http://a.test" }), /"service" must be a non-empty string/],
    [
      ({ TOKEN }) => {
        throw new Error(`no such token: ${TOKEN}`);
      },
      /^The options of the watch cannot be had: Error\n$/,
    ],
    [
      // A binding within another, which no one could know of.
      ({ TOKEN }) => {
        throw new SyntaxError(JSON.stringify({ nested: [`${TOKEN.toUpperCase()}`, TOKEN] }));
      },
      /^The options of the watch cannot be had: SyntaxError\n$/,
    ],
    [
      ({ TOKEN }) => {
        throw Object.assign(new Error("x"), { name: `no ${TOKEN}` });
      },
      /^The options of the watch cannot be had: Error\n$/,
    ],
    [
      ({ TOKEN }) => {
        throw TOKEN;
      },
      /^The options of the watch cannot be had: string\n$/,
    ],
    [() => undefined as never, /^Cannot watch a service as its options must be an object: received undefined\n$/],
    [(_env, name) => ({ service: name, consul: 5 as never }), /must be given options or an address: received 5/],
    [({ TOKEN }, name) => ({ service: name, consul: `http://h:8500/?token=${TOKEN}` }), /no query and no fragment/],
    [
      ({ TOKEN }, name) => ({ service: name, consul: {}, near: { TOKEN } as never }),
      /"near" must be .*: received object/,
    ],
    [
      ({ TOKEN }, name) => ({ service: name, consul: {}, idleMs: TOKEN as never }),
      /"idleMs" must be > 0: received string/,
    ],
  ];
  for (const [options, expected] of cases) {
    const Watch = serviceWatchObject(options);
    const object = new Watch(fakeState("HelloService"), env);
    for (const response of [await get(object), await get(object)]) {
      const text = await response.text();
      assert.equal(response.status, 500);
      assert.match(text, expected);
      assert.doesNotMatch(text, /s3cret/i);
    }
  }
});

test("serviceWatchObject() throws TypeError where it is given no function", () => {
  for (const options of [undefined, null, { service: "HelloService" }]) {
    assert.throws(() => serviceWatchObject(options as never), {
      name: "TypeError",
      message: /^Cannot make a class that watches a service as "options" must be a function: received /,
    });
  }
});

test('serviceWatchObject() names an object without a name ""', async () => {
  const names: string[] = [];
  const Watch = serviceWatchObject((_env, name) => {
    names.push(name);
    return { service: name, consul: "http://a.test" };
  });
  assert.equal((await get(new Watch(fakeState(undefined), {}))).status, 500);
  assert.deepEqual(names, [""]);
});

test("serviceWatchObject() answers 405 to what is no GET", async () => {
  const { object, consul } = openObject();
  const response = await object.fetch(new Request("https://object.test/", { method: "POST", body: "{}" }));
  assert.deepEqual([response.status, response.headers.get("allow")], [405, "GET"]);
  assert.equal(consul.count("health"), 0);
});

test("serviceWatchObject() tells Unix time on the system's clock, over a real socket", async () => {
  await using consul = await startEmbeddedConsul();
  const client = createConsulClient(consul.address);
  await client.agent.registerService({ Name: "HelloService", Address: "10.0.0.9", Port: 1234 });
  const Watch = serviceWatchObject((_env, name) => ({
    service: name,
    consul: consul.address,
    idleMs: 100,
    // An agent keeps a query that was given up until its wait is over.
    waitMs: 1000,
  }));
  const object = new Watch(fakeState("HelloService"), {});
  const answer: Answer = await (await get(object)).json();
  assert.deepEqual(urls(answer), ["http://10.0.0.9:1234"]);
  assert.ok(Math.abs(answer.confirmedAtMs - Date.now()) < 10_000, String(answer.confirmedAtMs));
  await eventually("the blocking query", () => consul.openQueries === 1);
  await eventually("its end", () => consul.openQueries === 0);
});

test("createWatchObjectSource() reads the object's snapshot", async () => {
  const { object, consul, clock } = openObject();
  consul.setHealth([serviceEntry()]);
  const source = createWatchObjectSource({ fetch: (url, init) => object.fetch(new Request(url, init ?? {})) });
  const snapshot = source.read(new AbortController().signal);
  await clock.advance(0);
  const { endpoints, confirmedAtMs } = await snapshot;
  assert.deepEqual([endpoints.map(({ url }) => url), confirmedAtMs], [["http://10.0.0.1:10000"], startMs]);
  await idle(clock);
});

test("createWatchObjectSource() is known by the stub's id where that tells it from others", () => {
  const fetch = async () => new Response();
  const known = (id: unknown, name?: unknown) => createWatchObjectSource({ fetch, id, name } as never);
  assert.equal(known({ toString: () => "4f2a" }, "Hello").identity, "durable object 4f2a");
  assert.equal(known({ toString: () => "4f2a" }, "Hello").description, 'the Durable Object "Hello"');
  const throwing = {
    toString: () => {
      throw new Error("no such method");
    },
  };
  for (const id of [
    undefined,
    null,
    {},
    Object.create(null),
    { toString: () => "" },
    { toString: () => 5 },
    throwing,
  ]) {
    assert.equal("identity" in known(id, () => {}), false);
  }
  assert.equal(known(undefined, () => {}).description, "the Durable Object");
});

test("createWatchObjectSource() hands on what the object says of its list: stale, and a grace that nobody has to wait for twice", async () => {
  const { object, consul, clock } = openObject({ options: { idleMs: 200_000 } });
  consul.setHealth([serviceEntry()]);
  const source = createWatchObjectSource({ fetch: (url, init) => object.fetch(new Request(url, init ?? {})) });
  const { call, state } = openOverSource({ clock, source, maxAgeMs: 0, maxStaleMs: 0 });
  const ended = async () => {
    const done = call().catch(() => {});
    await clock.advance(1);
    await done;
    return [state().endpoints.length, state().stale];
  };
  await ended();
  await clock.advance(0);
  assert.equal(state().endpoints.length, 1);
  consul.setHealth([]);
  await clock.advance(0);
  const { stale } = (await read(object, clock)) satisfies Answer;
  assert.equal(stale, true);
  assert.deepEqual(await ended(), [1, true]);
  await clock.advance(90_000);
  assert.equal((await ended())[0], 0);
  await idle(clock);
});

test("createWatchObjectSource() rejects with the object's own words", async () => {
  const source = createWatchObjectSource({ fetch: async () => new Response("no such service\n", { status: 500 }) });
  await assert.rejects(source.read(new AbortController().signal), /answered 500: no such service$/);
  const odd = createWatchObjectSource({ fetch: async () => new Response("{}") });
  await assert.rejects(odd.read(new AbortController().signal), TypeError);
  const html = createWatchObjectSource({ fetch: async () => new Response("<html>") });
  await assert.rejects(html.read(new AbortController().signal), /is no JSON/);
});
