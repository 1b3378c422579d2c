// Honest peers that do much: none of them may be taken for one of floods.test.ts. Over memory, on a clock turned by hand.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ErrorCode } from "../../src/http2/error-code.ts";
import type { ManualClock } from "../../src/testing/manual-clock.ts";
import { createManualClock } from "../../src/testing/manual-clock.ts";
import {
  callOn,
  type EchoSession,
  type H2Client,
  type H2Options,
  requestFields,
  serveEchoOn,
} from "../support/h2-echo.ts";
import { createRawClient, type RawClient } from "../support/h2-raw-client.ts";
import { frame, preface, request, settingsPayload, uint32 } from "../support/h2-wire.ts";
import { createRecorder } from "../support/http2-pair.ts";
import { createSocketPair } from "../support/memory-socket.ts";

const ack = frame(4, 1, 0);
const id = (index: number) => 2 * index + 1;

interface Pair {
  readonly clock: ManualClock;
  readonly client: H2Client;
  readonly server: EchoSession;
}

async function connect(options: { client?: H2Options; server?: H2Options } = {}): Promise<Pair> {
  const clock = createManualClock();
  const [near, far] = createSocketPair();
  const server = serveEchoOn(far, { clock, ...options.server });
  const client = callOn(near, { clock, ...options.client });
  await client.ready;
  return { clock, client, server };
}

async function rawClient(...before: readonly Uint8Array[]): Promise<RawClient> {
  const client = createRawClient();
  await client.send(preface(), ack, ...before);
  return client;
}

describe("Http2Session, used much", () => {
  test("lets a caller cancel 25 calls a second for ten minutes", async () => {
    const client = await rawClient();
    for (let second = 0; second < 600; second++) {
      const parts: Uint8Array[] = [];
      for (let index = second * 25; index < (second + 1) * 25; index++) {
        parts.push(request(id(index), "/hang"), frame(3, 0, id(index), uint32(ErrorCode.cancel)));
      }
      await client.send(...parts);
      await client.clock.advance(1000);
    }
    assert.equal(client.log.goaway, undefined);
    assert.equal(client.server.paths.length, 15_000);
    client.server.session.destroy(undefined);
  });

  test("lets a caller whose calls all miss a deadline of a second cancel 500 of them a second", async () => {
    const client = await rawClient();
    for (let second = 0; second < 30; second++) {
      const parts: Uint8Array[] = [];
      for (let index = second * 500; index < (second + 1) * 500; index++) {
        parts.push(request(id(index), "/hang"));
        if (second > 0) parts.push(frame(3, 0, id(index - 500), uint32(ErrorCode.cancel)));
      }
      await client.send(...parts);
      await client.clock.advance(1000);
    }
    assert.equal(client.log.goaway, undefined);
    client.server.session.destroy(undefined);
  });

  test("lets a client miss the deadlines of 500 calls a second and hear their answers late", async () => {
    const { clock, client, server } = await connect();
    const { connection } = client.session;
    const prepared = connection.prepare(requestFields("/bytes/200"));
    for (let second = 0; second < 10; second++) {
      const streams = Array.from({ length: 500 }, () =>
        connection.open(
          createRecorder(() => connection),
          prepared,
          undefined,
          true,
        ),
      );
      // The requests leave, and with them that they are given up: the server has answered when it hears of it.
      for (const stream of streams) connection.resetStream(stream, ErrorCode.cancel);
      await clock.advance(1000);
      assert.equal(server.paths.length, 500 * (second + 1));
    }
    assert.equal((await client.call("/bytes/10")).body.length, 10);
    assert.equal(server.session.isClosed, false);
    client.session.destroy(undefined);
    await clock.advance(0);
  });

  test("carries 10,000 streams at once, opened in one go and reset in one go", async () => {
    const { clock, client, server } = await connect({ server: { limits: { maxConcurrentStreams: 10_000 } } });
    const { connection } = client.session;
    const prepared = connection.prepare(requestFields("/hang"));
    const open = () => {
      const recorders = Array.from({ length: 10_000 }, () => createRecorder(() => connection));
      return { recorders, streams: recorders.map((recorder) => connection.open(recorder, prepared, undefined, true)) };
    };
    const { recorders, streams } = open();
    assert.equal(connection.canOpen, false);
    await clock.advance(0);
    assert.equal(server.session.connection.streamCount, 10_000);
    for (const stream of streams) connection.resetStream(stream, ErrorCode.cancel);
    await clock.advance(0);
    assert.equal(server.session.connection.streamCount, 0);
    assert.ok(recorders.every(({ heard }) => heard.reset === undefined));
    assert.equal((await client.call("/bytes/10")).body.length, 10);
    client.session.destroy(undefined);
    await clock.advance(0);
  });

  test("refuses what a client opens beyond the limit before it knows of it, and goes on", async () => {
    const client = createRawClient({ limits: { maxConcurrentStreams: 100 } });
    await client.send(preface(), ...Array.from({ length: 1500 }, (_, index) => request(id(index), "/hang")), ack);
    assert.equal(client.log.ofType(3).length, 1400);
    assert.equal(client.log.goaway, undefined);
    client.server.session.destroy(undefined);
  });

  test("takes 200,000 messages of seven bytes at once, and none of them is a flood", async () => {
    const client = await rawClient(request(1, "/echo", false));
    const many = new Uint8Array(16 * 1000);
    for (let at = 0; at < many.length; at += 16) many.set(frame(0, 0, 1, [0, 0, 0, 0, 2, 8, 1]), at);
    for (let round = 0; round < 200; round++) {
      await client.send(many);
      // Within the windows, as the server opens them.
      if (client.log.goaway !== undefined) break;
    }
    assert.equal(client.log.goaway, undefined);
    client.server.session.destroy(undefined);
  });

  test("sends 20,000 small messages to a peer that opens both windows and sends a PING for each", async () => {
    const client = await rawClient(request(1, "/hang"));
    const { connection } = client.server.session;
    const [stream] = connection.streams();
    assert.ok(stream !== undefined);
    connection.sendHeaders(stream, connection.prepare([":status", "200"]), undefined, false);
    const chatter = [frame(8, 0, 0, uint32(7)), frame(8, 0, 1, uint32(7)), frame(6, 0, 0, new Uint8Array(8))];
    for (let round = 0; round < 200; round++) {
      for (let count = 0; count < 100; count++) connection.sendData(stream, undefined, new Uint8Array(7), false);
      await client.send(...Array.from({ length: 100 }, () => chatter).flat());
    }
    assert.equal(client.log.goaway, undefined);
    assert.equal(connection.pendingBytes, 0);
    client.server.session.destroy(undefined);
  });

  test("takes 2 MiB from a client that pads every frame", async () => {
    const client = await rawClient(request(1, "/echo", false));
    const padded = frame(0, 8, 1, [255, ...new Uint8Array(10), ...new Uint8Array(255)]);
    const perRound = 100;
    let opened = 65_535;
    for (let round = 0; round < 80; round++) {
      await client.send(...Array.from({ length: perRound }, () => padded));
      for (const { streamId, payload } of client.log.ofType(8).splice(0)) {
        if (streamId === 1) opened += new DataView(payload.buffer).getUint32(0);
      }
      client.log.frames.length = 0;
    }
    assert.equal(client.log.goaway, undefined);
    // Padding counts against the window, and is given back.
    assert.ok(opened > 80 * perRound * 266 - 300_000);
    client.server.session.destroy(undefined);
  });

  test("takes late what a client sent on streams that were reset", async () => {
    const client = await rawClient(...Array.from({ length: 20 }, (_, index) => request(id(index), "/hang", false)));
    const { connection } = client.server.session;
    for (const stream of connection.streams()) connection.resetStream(stream, ErrorCode.cancel);
    // Messages of seven bytes, up to each stream's window, and trailers.
    const late: Uint8Array[] = [];
    for (let index = 0; index < 20; index++) {
      for (let count = 0; count < 2000; count++) late.push(frame(0, 0, id(index), [0, 0, 0, 0, 2, 8, 1]));
      late.push(frame(1, 5, id(index), [0, 1, 97, 1, 98]));
    }
    await client.send(...late);
    assert.equal(client.log.goaway, undefined);
    await client.send(frame(0, 0, 1, new Uint8Array(16_000)), request(id(20), "/bytes/1"));
    assert.equal(client.log.frames.at(-1)?.streamId, id(20));
    client.server.session.destroy(undefined);
  });

  test("changes its settings now and then", async () => {
    const client = await rawClient();
    for (let count = 0; count < 90; count++) await client.send(frame(4, 0, 0, settingsPayload([4, 65_535 + count])));
    await client.clock.advance(60_000);
    for (let count = 0; count < 90; count++) await client.send(frame(4, 0, 0, settingsPayload([4, 65_535 + count])));
    assert.equal(client.log.goaway, undefined);
    client.server.session.destroy(undefined);
  });
});
