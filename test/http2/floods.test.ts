// Hostile clients, each doing one thing that costs it little, against a session in memory: closed within a second with
// ENHANCE_YOUR_CALM, and made to hold little. test/http2/honest-peers.test.ts is the other side of it.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { defaultLimits } from "../../src/http2/connection.ts";
import { ErrorCode } from "../../src/http2/error-code.ts";
import { echoPaths, h2Attacks } from "../support/h2-attacks.ts";
import type { H2Options } from "../support/h2-echo.ts";
import { createRawClient, type RawClient } from "../support/h2-raw-client.ts";
import { frame, preface, request, settingsPayload, uint32 } from "../support/h2-wire.ts";

const ack = frame(4, 1, 0);
const id = (index: number) => 2 * index + 1;

describe("Http2Session, attacked", () => {
  for (const attack of h2Attacks(echoPaths)) {
    test(`closes whoever sends ${attack.name}`, async () => {
      const client = await attacked(attack.limits === undefined ? {} : { limits: attack.limits }, attack.before);
      let steps = 0;
      // In ten bursts over most of a second, so that what time earns back is earned.
      for (let burst = 0; burst < 10 && client.log.goaway === undefined; burst++) {
        const parts: Uint8Array[] = [];
        for (const least = ((burst + 1) * attack.most) / 10; steps < least; steps++) parts.push(...attack.step(steps));
        await client.send(...parts);
        await client.clock.advance(90);
      }
      assert.equal(client.log.goaway?.code, ErrorCode.enhanceYourCalm);
      assert.match(client.log.goaway?.text ?? "", attack.text);
      await client.server.closed;
      assert.equal(client.server.session.connection.streamCount, 0);
      if (attack.mostStreams !== undefined) assert.ok(client.server.paths.length <= attack.mostStreams);
      assert.equal(client.clock.pending, 0);
    });
  }

  test("closes whoever asks and reads no answers", async () => {
    const client = await attacked();
    client.serverSocket.stall();
    await client.send(request(1, "/bytes/100000"));
    const pings = Array.from({ length: 1000 }, () => frame(6, 0, 0, new Uint8Array(8)));
    for (let count = 0; count < 3 && !client.server.session.isClosed; count++) await client.send(...pings);
    await client.clock.advance(900);
    assert.match(String(await client.server.closed), /too many PING/);
    assert.ok(waitingBytes(client) < 1 << 20);
  });

  test("closes whoever asks for much and stops reading (CVE-2019-9517)", async () => {
    const client = await attacked({}, [
      frame(4, 0, 0, settingsPayload([4, 0x7fffffff])),
      frame(8, 0, 0, uint32(0x7fff0000)),
    ]);
    client.serverSocket.stall();
    for (let index = 0; index < 200; index++) await client.send(request(id(index), "/bytes/1000000"));
    assert.ok(client.server.session.connection.pendingBytes <= 2 * defaultLimits.maxPendingBytes);
    await client.clock.advance(950);
    assert.match(String(await client.server.closed), /takes nothing/);
    assert.ok(waitingBytes(client) < 1 << 20);
  });

  test("closes whoever asks for much and keeps its windows shut", async () => {
    const client = await attacked({}, [frame(4, 0, 0, settingsPayload([4, 0]))]);
    await client.send(...Array.from({ length: 300 }, (_, index) => request(id(index), "/bytes/1000000")));
    assert.ok(client.server.session.connection.pendingBytes <= 2 * defaultLimits.maxPendingBytes);
    await client.clock.advance(950);
    assert.equal(client.log.goaway?.code, ErrorCode.enhanceYourCalm);
    await client.server.closed;
  });

  test("resets what is answered beyond twice maxPendingBytes, and holds none of it", async () => {
    const client = await attacked({ limits: { maxPendingBytes: 1_000_000 } }, [
      frame(4, 0, 0, settingsPayload([4, 0])),
    ]);
    const { connection } = client.server.session;
    await client.send(...Array.from({ length: 30 }, (_, index) => request(id(index), "/hang")));
    for (const stream of connection.streams()) {
      connection.sendHeaders(stream, connection.prepare([":status", "200"]), undefined, false);
      connection.sendData(stream, undefined, new Uint8Array(150_000), true);
    }
    assert.ok(connection.pendingBytes <= 2_000_000);
    await client.clock.advance(0);
    const resets = client.log.ofType(3);
    assert.equal(resets.length, 30 - 13);
    for (const { payload } of resets) assert.deepEqual(payload, uint32(ErrorCode.enhanceYourCalm));
    client.server.session.destroy(undefined);
  });

  test("answers nobody who does not speak HTTP/2 at length", async () => {
    const client = createRawClient();
    await client.send(new TextEncoder().encode("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1000)));
    assert.equal(client.log.goaway?.code, ErrorCode.protocolError);
    await client.clock.advance(600);
    await client.server.closed;
    assert.equal(client.clock.pending, 0);
  });
});

async function attacked(options: H2Options = {}, before: readonly Uint8Array[] = []): Promise<RawClient> {
  const client = createRawClient(options);
  await client.send(preface(), ack, ...before);
  assert.equal(client.log.goaway, undefined);
  return client;
}

function waitingBytes({ serverSocket }: RawClient): number {
  return serverSocket.waiting.reduce((sum, { length }) => sum + length, 0);
}
