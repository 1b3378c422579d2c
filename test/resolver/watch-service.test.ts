import assert from "node:assert/strict";
import { test } from "node:test";
import { type ServiceUpdate, type WatchServiceOptions, watchService } from "../../src/resolver/watch-service.ts";
import { createManualClock } from "../../src/testing/manual-clock.ts";
import { createScriptedConsul, networkError } from "../support/scripted-consul.ts";
import { serviceEntry } from "../support/service-entry.ts";

function bench(options: Partial<WatchServiceOptions> = {}) {
  const consul = createScriptedConsul();
  const clock = createManualClock();
  const watch = watchService({ consul: consul.client, service: "Hello", clock, random: () => 0.5, ...options });
  return { consul, clock, watch, iterator: watch[Symbol.asyncIterator]() };
}

const told = ({ endpoints, added, removed, changed, stale }: ServiceUpdate) => {
  const ids = (list: ServiceUpdate["endpoints"]) => list.map(({ id }) => id.slice(3)).join("");
  return `${ids(endpoints)} +${ids(added)} -${ids(removed)} ~${ids(changed)}${stale ? " stale" : ""}`;
};

const entries = (ids: string) => [...ids].map((id) => serviceEntry({ id }));

test("watchService() tells what was added, removed and changed", async () => {
  const { consul, clock, iterator } = bench();
  const next = async () => {
    const result = iterator.next();
    await clock.advance(1000);
    const { value } = await result;
    assert.ok(value);
    return told(value);
  };
  await clock.advance(1000);
  assert.deepEqual(consul.calls, [], "read before the first next()");
  assert.equal(await next(), " + - ~");
  consul.setHealth(entries("ab"));
  assert.equal(await next(), "ab +ab - ~");
  consul.setHealth([...entries("bc").slice(1), serviceEntry({ id: "b", service: { Port: 1 } })]);
  assert.equal(await next(), "bc +c -a ~b");
  await iterator.return?.();
  assert.equal(consul.waiting, 0);
  assert.equal(clock.pending, 0);
});

test("watchService() gives a slow consumer the latest, relative to what it saw, and nothing where nothing is new", async () => {
  const { consul, clock, iterator } = bench();
  consul.setHealth(entries("a"));
  const first = iterator.next();
  await clock.advance(0);
  assert.equal(told((await first).value as ServiceUpdate), "a +a - ~");
  for (const ids of ["ab", "abc", "bc"]) {
    consul.setHealth(entries(ids));
    await clock.advance(100);
  }
  assert.equal(told((await iterator.next()).value as ServiceUpdate), "bc +bc -a ~");
  consul.setHealth(entries("b"));
  await clock.advance(100);
  consul.setHealth(entries("bc"));
  await clock.advance(100);
  let settled = false;
  const waiting = iterator.next().then((result) => {
    settled = true;
    return result;
  });
  await clock.advance(1000);
  assert.equal(settled, false);
  consul.setHealth([]);
  await clock.advance(0);
  assert.equal(told((await waiting).value as ServiceUpdate), " + -bc ~");
  await iterator.return?.();
});

test("watchService() survives errors, tells them and marks what is stale", async () => {
  const errors: unknown[] = [];
  const { consul, clock, iterator } = bench({ onError: (error) => errors.push(error) });
  consul.failure = networkError();
  const first = iterator.next();
  await clock.advance(10_000);
  assert.ok(errors.length > 1);
  consul.failure = undefined;
  consul.setHealth(entries("a"));
  await clock.advance(15_000);
  assert.equal(told((await first).value as ServiceUpdate), "a +a - ~");
  const second = iterator.next();
  consul.failure = networkError();
  consul.failHealth(networkError());
  await clock.advance(0);
  assert.equal(told((await second).value as ServiceUpdate), "a + - ~ stale");
  await iterator.return?.();
  assert.equal(clock.pending, 0);
});

test("watchService() ends with return(), which waits for nothing, and with break", async () => {
  const { consul, clock, watch, iterator } = bench();
  const first = iterator.next();
  await clock.advance(0);
  await first;
  const waiting = [iterator.next(), iterator.next()];
  assert.deepEqual(await iterator.return?.(), { done: true, value: undefined });
  assert.deepEqual(await Promise.all(waiting), [
    { done: true, value: undefined },
    { done: true, value: undefined },
  ]);
  assert.deepEqual(await iterator.next(), { done: true, value: undefined });
  const turning = clock.advance(0);
  for await (const update of watch) {
    assert.equal(told(update), " + - ~");
    break;
  }
  await turning;
  assert.equal(consul.waiting, 0);
  assert.equal(clock.pending, 0);
});

test("watchService() rejects with the signal's reason, once, and lets the watch go", async () => {
  const controller = new AbortController();
  const { consul, clock, iterator } = bench({ signal: controller.signal });
  const first = iterator.next();
  await clock.advance(0);
  await first;
  const waiting = [iterator.next(), iterator.next()] as const;
  const reason = new Error("enough");
  controller.abort(reason);
  await assert.rejects(waiting[0], reason);
  assert.equal((await waiting[1]).done, true);
  assert.equal((await iterator.next()).done, true);
  assert.equal(consul.waiting, 0);
  assert.equal(clock.pending, 0);
});

test("watchService() reads nothing when the signal has aborted before", async () => {
  const reason = new Error("too late");
  const { consul, iterator } = bench({ signal: AbortSignal.abort(reason) });
  await assert.rejects(iterator.next(), reason);
  assert.equal((await iterator.next()).done, true);
  assert.deepEqual(consul.calls, []);
});

test("watchService() gives an abort precedence over a version not yet seen", async () => {
  const controller = new AbortController();
  const { consul, clock, iterator } = bench({ signal: controller.signal });
  const first = iterator.next();
  await clock.advance(0);
  await first;
  consul.setHealth(entries("a"));
  await clock.advance(0);
  controller.abort(new Error("enough"));
  await assert.rejects(iterator.next(), /enough/);
});
