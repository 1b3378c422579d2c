// The cache over a real Redis, found through an agent that the test starts.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createClient as createRedisClient } from "@redis/client";
import { type ConsulClient, createConsulClient, createConsulTransport } from "lictor";
import { startEmbeddedConsul } from "lictor/testing";
import { type CacheServer, serveCache } from "../cache-server.ts";
import { CacheService } from "../gen/example/cache/v1/cache_pb.ts";
import { closeAfterEach } from "./closing.ts";
import { type RedisServer, redisSkip, startRedis } from "./redis-server.ts";

const options = { timeout: 60_000, skip: redisSkip };

describe("CacheService", () => {
  const onEnd = closeAfterEach();

  test("get() gives what set() was given, whatever bytes, until delete()", options, async () => {
    const { cache } = await start(onEnd);
    const everyByte = Uint8Array.from({ length: 256 }, (_, byte) => byte);
    for (const value of [everyByte, new Uint8Array(), new Uint8Array(1024 * 1024).fill(255)]) {
      await cache.set({ key: "schlüssel 🔑", value });
      assert.ok(Buffer.from(value).equals((await cache.get({ key: "schlüssel 🔑" })).value));
    }
    assert.equal((await cache.delete({ key: "schlüssel 🔑" })).existed, true);
    assert.equal((await cache.delete({ key: "schlüssel 🔑" })).existed, false);
    await rejects(cache.get({ key: "schlüssel 🔑" }), Code.NotFound, 'no value for key "schlüssel 🔑"');
  });

  test("set() keeps a value as long as its ttl says, and for ever without one", options, async () => {
    const { cache } = await start(onEnd);
    const value = new Uint8Array([1]);
    await cache.set({ key: "k", value, ttl: durationFromMs(60_000) });
    const { ttl } = await cache.get({ key: "k" });
    assert.ok(ttl !== undefined && durationMs(ttl) > 50_000 && durationMs(ttl) <= 60_000);
    await cache.set({ key: "k", value });
    assert.equal((await cache.get({ key: "k" })).ttl, undefined);
    await cache.set({ key: "k", value, ttl: durationFromMs(100) });
    while (
      await cache.get({ key: "k" }).then(
        () => true,
        () => false,
      )
    )
      await sleep(20);
    await rejects(cache.get({ key: "k" }), Code.NotFound);
  });

  test("calls fail with the code that says what to do", options, async () => {
    const { cache, redis } = await start(onEnd);
    const value = new Uint8Array(1000);
    await rejects(cache.get({ key: "" }), Code.InvalidArgument, "a key is needed");
    await rejects(cache.set({ key: "k", ttl: durationFromMs(0) }), Code.InvalidArgument, "ttl must be more than 0");
    await rejects(cache.set({ key: "k", value: new Uint8Array(5 * 1024 * 1024) }), Code.ResourceExhausted);

    const admin = await createRedisClient({ url: redis.url }).connect();
    try {
      await admin.lPush("cache:list", "x");
      await rejects(cache.get({ key: "list" }), Code.FailedPrecondition);
      await admin.configSet("maxmemory", "1");
      await rejects(cache.set({ key: "k", value }), Code.ResourceExhausted, "the cache is full");
      await admin.configSet("maxmemory", "0");
      await admin.aclSetUser("default", "-set");
      await rejects(cache.set({ key: "k", value }), Code.Internal, "Redis refuses the command");
    } finally {
      await admin.close();
    }
  });
});

describe("serveCache()", () => {
  const onEnd = closeAfterEach();

  test("is critical in Consul while Redis is away, and serves again when it is back", options, async () => {
    const { cache, redis, untilHealth } = await start(onEnd);
    await cache.set({ key: "k", value: new Uint8Array([1]) });
    await redis.stop();
    await rejects(cache.get({ key: "k" }), Code.Unavailable, "Redis cannot be reached");
    assert.match(await untilHealth("critical"), /Redis cannot be reached/);
    await redis.start();
    assert.match(await untilHealth("passing"), /Redis answered within \d+ ms/);
    await cache.set({ key: "k", value: new Uint8Array([2]) });
    assert.deepEqual((await cache.get({ key: "k" })).value, new Uint8Array([2]));
  });

  test("is critical in Consul while Redis is silent, and callers wait a second at most", options, async () => {
    const { cache, redis, untilHealth } = await start(onEnd);
    await cache.set({ key: "k", value: new Uint8Array([1]) });
    redis.pause();
    // Whatever becomes of the test: nothing closes while Redis is silent.
    onEnd(() => redis.resume());
    await rejects(cache.get({ key: "k" }, { timeoutMs: 200 }), Code.DeadlineExceeded);
    const startedMs = performance.now();
    await rejects(cache.get({ key: "k" }), Code.Unavailable, "Redis cannot be reached");
    assert.ok(performance.now() - startedMs < 5000);
    await untilHealth("critical");
    redis.resume();
    await untilHealth("passing");
    assert.deepEqual((await cache.get({ key: "k" })).value, new Uint8Array([1]));
  });

  test("is a warning in Consul while Redis is slow", options, async () => {
    const { untilHealth } = await start(onEnd, { slowMs: 0 });
    assert.match(await untilHealth("warning"), /Redis answered within \d+ ms/);
  });

  test("close() finishes the calls under way before it lets go of Redis", options, async () => {
    const { cache, consul, running } = await start(onEnd);
    const calls = Array.from({ length: 50 }, (_, n) => cache.set({ key: `k${n}`, value: new Uint8Array(100_000) }));
    await Promise.race(calls);
    await Promise.all([running.close(), ...calls]);
    assert.deepEqual(await consul.agent.services(), {});
  });

  test("close() ends where Redis was never there", options, async () => {
    const consul = await startEmbeddedConsul();
    onEnd(() => consul.close());
    const running = serveCache({ redisUrl: "redis://127.0.0.1:1", consul: consul.address });
    await running.server.ready;
    await running.close();
  });
});

interface Started {
  readonly cache: Client<typeof CacheService>;
  readonly redis: RedisServer;
  readonly consul: ConsulClient;
  readonly running: CacheServer;
  /** Resolves with the check's output when Consul says this of the instance. */
  untilHealth(status: "passing" | "warning" | "critical"): Promise<string>;
}

async function start(onEnd: (close: () => unknown) => void, { slowMs = 5000 } = {}): Promise<Started> {
  const redis = await startRedis();
  onEnd(() => redis.close());
  const agent = await startEmbeddedConsul();
  onEnd(() => agent.close());
  const consul = createConsulClient(agent.address);
  const running = serveCache({
    redisUrl: redis.url,
    consul: agent.address,
    check: { type: "ttl", ttlMs: 10_000, intervalMs: 1000 },
    slowMs,
    drainMarginMs: 0,
  });
  onEnd(() => running.close());
  const transport = createConsulTransport({ consul: agent.address, service: "Cache" });
  onEnd(() => transport.close());
  const untilHealth = async (status: string): Promise<string> => {
    for (let index = "0"; ; ) {
      const answer = await consul.health.checks("Cache", { index });
      const check = answer.data.find(({ Status }) => Status === status);
      if (check !== undefined) return check.Output;
      index = answer.index ?? "0";
    }
  };
  await running.server.ready; // it serves, registered or not
  await running.server.registration?.registered; // and now Consul has it
  return { cache: createClient(CacheService, transport), redis, consul, running, untilHealth };
}

async function rejects(call: Promise<unknown>, code: Code, message?: string): Promise<void> {
  await assert.rejects(call, (reason) => {
    const error = ConnectError.from(reason);
    assert.equal(Code[error.code], Code[code], error.message);
    if (message !== undefined) assert.equal(error.rawMessage, message);
    return true;
  });
}
