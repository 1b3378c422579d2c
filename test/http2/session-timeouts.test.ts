// What a peer must do in time, on a clock turned by hand: who is closed, when, and who is not.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ErrorCode } from "../../src/http2/error-code.ts";
import { defaultTimeouts, resolveTimeouts } from "../../src/http2/session-watch.ts";
import { createManualClock } from "../../src/testing/manual-clock.ts";
import { callOn, type H2Options, ResetError, serveEchoOn } from "../support/h2-echo.ts";
import { createRawClient, type RawClient } from "../support/h2-raw-client.ts";
import { frame, literals, preface, request, settingsPayload, uint32 } from "../support/h2-wire.ts";
import { createSocketPair } from "../support/memory-socket.ts";

const ack = frame(4, 1, 0);
const openWindow = frame(8, 0, 0, uint32(1 << 20));

/** A client whose settings are agreed. */
async function settled(options: H2Options = {}, settings?: Uint8Array): Promise<RawClient> {
  const client = createRawClient(options);
  await client.send(preface(settings), ack);
  return client;
}

async function assertClosed(client: RawClient, code: number, text: RegExp): Promise<void> {
  assert.equal(client.log.goaway?.code, code);
  assert.match(client.log.goaway?.text ?? "", text);
  await client.server.closed;
  assert.equal(client.clock.pending, 0);
}

describe("Http2Session", () => {
  for (const [what, bytes] of [
    ["nothing", new Uint8Array(0)],
    ["part of the preface", preface().subarray(0, 10)],
    ["the preface without SETTINGS", preface().subarray(0, 24)],
  ] as const) {
    test(`closes a client that sends ${what}`, async () => {
      const client = createRawClient();
      await client.send(bytes);
      await client.clock.advance(9_999);
      assert.equal(client.log.goaway, undefined);
      await client.clock.advance(2_600);
      await assertClosed(client, ErrorCode.settingsTimeout, /sends no SETTINGS/);
    });
  }

  test("closes a client that does not acknowledge SETTINGS", async () => {
    const client = createRawClient();
    await client.send(preface(), request(1, "/echo"));
    await client.clock.advance(13_000);
    await assertClosed(client, ErrorCode.settingsTimeout, /acknowledge/);
  });

  test("closes a client that begins a frame and does not end it, however slowly it goes on", async () => {
    const client = await settled();
    await client.send(request(1, "/echo").subarray(0, 12));
    for (let second = 0; second < 14; second++) {
      await client.send(Uint8Array.of(0));
      await client.clock.advance(1000);
    }
    await assertClosed(client, ErrorCode.enhanceYourCalm, /does not end/);
  });

  test("closes a client that sends a header block frame by frame for ever", async () => {
    const client = await settled();
    await client.send(frame(1, 1, 1, literals([":method", "POST"])));
    for (let second = 0; second < 14; second++) {
      await client.send(frame(9, 0, 1, literals([`x-${second}`, "a"])));
      await client.clock.advance(1000);
    }
    await assertClosed(client, ErrorCode.enhanceYourCalm, /does not end/);
  });

  test("waits for a frame of data that comes slowly, and no longer when its pieces stop", async () => {
    const client = await settled();
    const data = frame(0, 1, 1, new Uint8Array(40));
    await client.send(request(1, "/echo", false), data.subarray(0, 9));
    for (let at = 9; at < 40; at++) {
      await client.send(data.subarray(at, at + 1));
      await client.clock.advance(5000);
    }
    assert.equal(client.log.goaway, undefined);
    await client.clock.advance(13_000);
    await assertClosed(client, ErrorCode.enhanceYourCalm, /does not end/);
  });

  test("waits for nothing and has no timer while the peer has sent whole frames only", async () => {
    const client = await settled();
    await client.send(request(1, "/hang"));
    await client.clock.advance(3_000);
    assert.equal(client.clock.pending, 0);
    await client.clock.advance(3_600_000);
    assert.equal(client.log.goaway, undefined);
    client.server.session.destroy(undefined);
  });

  test("cuts a peer whose socket takes nothing while something waits", async () => {
    const client = await settled();
    client.serverSocket.stall();
    await client.send(request(1, "/bytes/100000"));
    await client.clock.advance(29_999);
    assert.equal(client.server.session.isClosed, false);
    await client.clock.advance(3000);
    assert.match(String(await client.server.closed), /takes no bytes/);
    assert.equal(client.clock.pending, 0);
  });

  test("lets a peer be slow whose socket takes something now and then", async () => {
    const client = await settled();
    for (let round = 0; round < 5; round++) {
      client.serverSocket.stall();
      await client.send(request(2 * round + 1, "/bytes/1000"));
      await client.clock.advance(25_000);
      client.serverSocket.flow();
      await client.clock.advance(1);
    }
    assert.equal(client.server.session.isClosed, false);
    client.server.session.destroy(undefined);
  });

  test("resets a stream whose window stays shut, and leaves the others alone", async () => {
    const client = await settled({ timeouts: { windowStallMs: 60_000 } });
    await client.send(openWindow, request(1, "/bytes/70000"));
    await client.clock.advance(50_000);
    assert.deepEqual(client.log.ofType(3), []);
    await client.clock.advance(25_100);
    const [reset, ...more] = client.log.ofType(3);
    assert.equal(reset?.streamId, 1);
    assert.deepEqual(reset?.payload, uint32(ErrorCode.enhanceYourCalm));
    assert.deepEqual(more, []);
    await client.send(request(3, "/bytes/10"));
    assert.equal(client.log.frames.at(-1)?.streamId, 3);
    assert.equal(client.log.goaway, undefined);
    client.server.session.destroy(undefined);
  });

  test("resets a stream whose window opens byte by byte, and not one that opens by a KiB", async () => {
    const client = await settled({ timeouts: { windowStallMs: 60_000 } });
    await client.send(openWindow, request(1, "/bytes/900000"), request(3, "/bytes/900000"));
    for (let step = 0; step < 10; step++) {
      await client.send(frame(8, 0, 1, uint32(1)), frame(8, 0, 3, uint32(1024)));
      await client.clock.advance(10_000);
    }
    assert.deepEqual(
      client.log.ofType(3).map(({ streamId }) => streamId),
      [1],
    );
    client.server.session.destroy(undefined);
  });

  test("counts anew how long a stream waits once nothing of it waited", async () => {
    const client = await settled({ timeouts: { windowStallMs: 60_000 } }, settingsPayload([4, 0]));
    await client.send(openWindow, request(1, "/hang"));
    const { connection } = client.server.session;
    const [stream] = connection.streams();
    assert.ok(stream !== undefined);
    connection.sendHeaders(stream, connection.prepare([":status", "200"]), undefined, false);
    for (let step = 0; step < 6; step++) {
      connection.sendData(stream, undefined, new Uint8Array(100), false);
      await client.clock.advance(25_000);
      await client.send(frame(8, 0, 1, uint32(100)));
    }
    assert.equal(client.log.ofType(0).length, 6);
    assert.deepEqual(client.log.ofType(3), []);
    client.server.session.destroy(undefined);
  });

  test("does not blame the peer for time in which the process stood still", async () => {
    const clock = createManualClock();
    let stoodStillMs = 0;
    const { now, schedule } = clock;
    const client = await settled({ clock: { now: () => now() + stoodStillMs, schedule } });
    const whole = request(1, "/echo");
    client.socket.write([whole.subarray(0, 12)]);
    await clock.advance(3000);
    stoodStillMs += 3_600_000;
    await clock.advance(3000);
    client.socket.write([whole.subarray(12)]);
    await clock.advance(0);
    assert.equal(client.log.goaway, undefined);
    assert.equal(client.log.frames.at(-1)?.streamId, 1);
    client.server.session.destroy(undefined);
  });

  test("closes a peer that keeps the connection's window shut", async () => {
    const client = await settled({ timeouts: { windowStallMs: 60_000 } }, settingsPayload([4, 1 << 20]));
    await client.send(request(1, "/bytes/100000"), request(3, "/bytes/100000"));
    await client.clock.advance(59_000);
    assert.equal(client.log.goaway, undefined);
    await client.clock.advance(17_000);
    await assertClosed(client, ErrorCode.enhanceYourCalm, /window shut/);
  });

  test("closes a peer within a second that lets more wait than is allowed", async () => {
    const client = await settled({ limits: { maxPendingBytes: 1 << 20 } }, settingsPayload([4, 0]));
    await client.send(...Array.from({ length: 40 }, (_, index) => request(2 * index + 1, "/bytes/100000")));
    // Twice as much as is allowed waits, the rest is reset.
    assert.equal(client.log.ofType(3).length, 20);
    await client.clock.advance(999);
    await assertClosed(client, ErrorCode.enhanceYourCalm, /takes nothing/);
  });

  test("tells a client's streams why, before they are reset", async () => {
    const clock = createManualClock();
    const [near, far] = createSocketPair();
    // A server that says SETTINGS and no more.
    far.start({ onBytes() {}, onWritable() {}, onClosed() {} });
    far.write([frame(4, 0, 0)]);
    const client = callOn(near, { clock });
    await client.ready;
    const call = client.call("/echo");
    await Promise.all([
      clock.advance(13_000),
      assert.rejects(call, (error) => {
        assert.ok(error instanceof ResetError);
        assert.match(String(error.cause), /acknowledge/);
        assert.equal(error.unprocessed, false);
        return true;
      }),
    ]);
    await client.closed;
    assert.equal(clock.pending, 0);
  });

  test("leaves in order however long its last answer takes to go", async () => {
    const clock = createManualClock();
    const [near, far] = createSocketPair();
    const server = serveEchoOn(far, { clock });
    const client = callOn(near, { clock });
    await client.ready;
    const call = client.call("/bytes/60000");
    await clock.advance(0);
    far.stall();
    const late = client.call("/bytes/20");
    await clock.advance(0);
    server.session.leave();
    await clock.advance(20_000);
    assert.equal(server.session.isClosed, false);
    far.flow();
    await clock.advance(1000);
    assert.equal((await call).body.length, 60_000);
    assert.equal((await late).body.length, 20);
    assert.equal(await server.closed, undefined);
    await client.closed;
    assert.equal(clock.pending, 0);
  });
});

describe("resolveTimeouts", () => {
  test("resolveTimeouts() completes what is given, and refuses what is not above 0", () => {
    assert.deepEqual(resolveTimeouts(), defaultTimeouts);
    assert.equal(resolveTimeouts({ frameMs: 5 }).frameMs, 5);
    assert.throws(() => resolveTimeouts({ frameMs: 0 }), /"frameMs" must be > 0: received 0/);
  });
});
