import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Clock } from "../../src/core/clock.ts";
import { Keepalive, type KeepaliveParts } from "../../src/grpc/keepalive.ts";
import type { Stream } from "../../src/http2/stream.ts";
import { createManualClock } from "../../src/testing/manual-clock.ts";
import { createHttp2Pair, createRecorder } from "../support/http2-pair.ts";

function setUp(options: Partial<KeepaliveParts> = {}) {
  const clock = createManualClock();
  const pair = createHttp2Pair({ now: () => clock.now() });
  pair.run();
  const counts = { dead: 0, pings: 0 };
  const { client } = pair;
  const ping = client.ping.bind(client);
  client.ping = (onAnswer) => {
    counts.pings++;
    ping(onAnswer);
  };
  const keepalive = new Keepalive({
    connection: client,
    clock,
    timeMs: 1000,
    timeoutMs: 200,
    permitWithoutCalls: false,
    onDead: () => counts.dead++,
    ...options,
  });
  const openStream = (): Stream => {
    const fields = client.prepare([":method", "POST", ":scheme", "http", ":path", "/", ":authority", "a"]);
    const stream = client.open(
      createRecorder(() => client),
      fields,
      undefined,
      false,
    );
    keepalive.onStream();
    return stream;
  };
  return { clock, pair, client, counts, keepalive, openStream };
}

describe("Keepalive", () => {
  test("asks after silence, and goes on where an answer comes", async () => {
    const { clock, pair, counts, keepalive, openStream } = setUp();
    openStream();
    keepalive.start();
    await clock.advance(999);
    assert.equal(counts.pings, 0);
    await clock.advance(1);
    assert.equal(counts.pings, 1);
    pair.run();
    await clock.advance(999);
    assert.equal(counts.pings, 1);
    await clock.advance(1);
    assert.equal(counts.pings, 2);
    assert.equal(counts.dead, 0);
    keepalive.stop();
    assert.equal(clock.pending, 0);
  });

  test("does not ask while frames come", async () => {
    const { clock, pair, counts, keepalive, openStream } = setUp();
    openStream();
    pair.run();
    keepalive.start();
    for (let count = 0; count < 20; count++) {
      pair.server.ping(() => {});
      pair.run();
      await clock.advance(500);
    }
    assert.equal(counts.pings, 0);
    keepalive.stop();
  });

  test("tells that the peer is dead, once, where nothing comes in time", async () => {
    const { clock, counts, keepalive, openStream } = setUp();
    openStream();
    keepalive.start();
    await clock.advance(1199);
    assert.equal(counts.dead, 0);
    await clock.advance(1);
    assert.equal(counts.dead, 1);
    await clock.advance(10_000);
    assert.deepEqual(counts, { dead: 1, pings: 1 });
    assert.equal(clock.pending, 0);
  });

  test("takes anything for an answer", async () => {
    const { clock, pair, counts, keepalive, openStream } = setUp();
    openStream();
    pair.run();
    keepalive.start();
    await clock.advance(1000);
    assert.equal(counts.pings, 1);
    // The PING is not delivered, the server's own is.
    pair.server.ping(() => {});
    pair.server.flush((chunk) => pair.client.receive(chunk, chunk.length));
    await clock.advance(300);
    assert.equal(counts.dead, 0);
    keepalive.stop();
  });

  test("sleeps without calls, and asks at once when one comes after that", async () => {
    const { clock, pair, client, counts, keepalive, openStream } = setUp();
    keepalive.start();
    await clock.advance(60_000);
    assert.deepEqual(counts, { dead: 0, pings: 0 });
    assert.equal(clock.pending, 0);
    const stream = openStream();
    assert.equal(counts.pings, 1);
    pair.run();
    client.resetStream(stream, 8);
    await clock.advance(60_000);
    assert.deepEqual(counts, { dead: 0, pings: 1 });
    keepalive.stop();
    openStream();
    assert.equal(counts.pings, 1);
  });

  test("asks without calls where that is permitted", async () => {
    const { clock, counts, keepalive } = setUp({ permitWithoutCalls: true });
    keepalive.start();
    await clock.advance(1200);
    assert.deepEqual(counts, { dead: 1, pings: 1 });
  });

  test("waits anew where the process itself stood still, and what came lies unread", async () => {
    for (const stoodStillMs of [101, 3_600_000]) {
      const clock = createManualClock();
      let stoodMs = 0;
      const jumping: Clock = { now: () => clock.now() + stoodMs, schedule: clock.schedule };
      const { pair, counts, keepalive, openStream } = setUp({ clock: jumping });
      openStream();
      keepalive.start();
      await clock.advance(1000);
      assert.equal(counts.pings, 1);
      stoodMs = stoodStillMs;
      // Timers come before what was sent meanwhile.
      await clock.advance(200);
      assert.equal(counts.dead, 0, `${stoodStillMs} ms`);
      pair.run();
      await clock.advance(200);
      assert.equal(counts.dead, 0, `${stoodStillMs} ms`);
      // And not for ever.
      await clock.advance(1200);
      assert.equal(counts.dead, 1);
    }
  });
});
