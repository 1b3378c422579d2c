// Hostile clients, each doing one thing that costs it little, against a session in memory: closed within a second with
// ENHANCE_YOUR_CALM, and made to hold little. test/http2/honest-peers.test.ts is the other side of it.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ErrorCode } from "../../src/http2/error-code.ts";
import type { H2Options } from "../support/h2-echo.ts";
import { createRawClient, type RawClient } from "../support/h2-raw-client.ts";
import { frame, literals, preface, request, settingsPayload, uint32 } from "../support/h2-wire.ts";

const ack = frame(4, 1, 0);
const resetFrame = (id: number) => frame(3, 0, id, uint32(ErrorCode.cancel));
const dataOf = (id: number, length: number, end = false) => frame(0, end ? 1 : 0, id, new Uint8Array(length));

interface Attack {
  readonly name: string;
  /** Sent first. */
  readonly before?: readonly Uint8Array[];
  /** What is sent again and again; `index` counts from 0. */
  readonly step: (index: number) => readonly Uint8Array[];
  /** How often at most, all within a second of the clock. */
  readonly most: number;
  readonly text: RegExp;
  /** Streams that the server may take. */
  readonly mostStreams?: number;
  readonly options?: H2Options;
}

const largeRequest = literals([":method", "POST", ":scheme", "http", ":path", "/hang", "a", "b".repeat(16_000)]);

const id = (index: number) => 2 * index + 1;

const attacks: readonly Attack[] = [
  {
    name: "rapid reset (CVE-2023-44487)",
    step: (index) => [request(id(index), "/hang"), resetFrame(id(index))],
    most: 1300,
    text: /streams that were reset/,
    mostStreams: 1250,
  },
  {
    name: "rapid reset of whole batches",
    step: (index) =>
      Array.from({ length: 200 }, (_, at) =>
        at < 100 ? request(id(index * 100 + at), "/hang") : resetFrame(id(index * 100 + at - 100)),
      ),
    most: 20,
    text: /streams that were reset/,
    mostStreams: 1300,
  },
  ...[
    { by: "WINDOW_UPDATE by 0", what: (index: number) => frame(8, 0, id(index), uint32(0)) },
    { by: "windows beyond 2^31-1", what: (index: number) => frame(8, 0, id(index), uint32(0x7fffffff)) },
    { by: "data after the end", what: (index: number) => dataOf(id(index), 8), end: true },
    { by: "headers after the end", what: (index: number) => request(id(index), "/hang"), end: true },
    { by: "trailers without an end", what: (index: number) => frame(1, 4, id(index), literals(["a", "b"])) },
    {
      by: "a stream that depends on itself",
      what: (index: number) => frame(2, 0, id(index), [...uint32(id(index)), 0]),
    },
    { by: "PRIORITY of a wrong size", what: (index: number) => frame(2, 0, id(index), [1]) },
  ].map(
    ({ by, what, end = false }): Attack => ({
      name: `resets that the server is made to send, by ${by} (CVE-2025-8671)`,
      step: (index) => [request(id(index), "/hang", end), what(index)],
      most: 260,
      text: /had to be reset/,
      mostStreams: 255,
    }),
  ),
  {
    name: "requests that are malformed (CVE-2019-9514)",
    step: (index) => [frame(1, 5, id(index), literals(["", ""]))],
    most: 260,
    text: /had to be reset/,
    mostStreams: 0,
  },
  {
    name: "CONTINUATION frames without end",
    before: [frame(1, 1, 1, literals([":method", "POST"]))],
    step: () => [frame(9, 0, 1)],
    most: 70,
    text: /CONTINUATION/,
  },
  {
    name: "a header block without end",
    before: [frame(1, 1, 1, literals([":method", "POST"]))],
    step: () => [frame(9, 0, 1, new Uint8Array(16_000))],
    most: 10,
    text: /header block is too large/,
  },
  {
    name: "SETTINGS (CVE-2019-9515)",
    step: (index) => [frame(4, 0, 0, settingsPayload([4, 65_535 + index]))],
    most: 120,
    text: /SETTINGS/,
  },
  { name: "answers to SETTINGS", step: () => [ack], most: 2700, text: /SETTINGS/ },
  { name: "PING (CVE-2019-9512)", step: () => [frame(6, 0, 0, new Uint8Array(8))], most: 2700, text: /PING/ },
  { name: "GOAWAY", step: () => [frame(7, 0, 0, new Uint8Array(8))], most: 2700, text: /GOAWAY/ },
  { name: "PRIORITY (CVE-2019-9516)", step: () => [frame(2, 0, 5, [0, 0, 0, 3, 1])], most: 2700, text: /PRIORITY/ },
  { name: "frames of unknown types", step: () => [frame(99, 0, 1, [1, 2, 3])], most: 2700, text: /unknown/ },
  {
    name: "RST_STREAM on a stream that has ended",
    before: [request(1, "/bytes/0")],
    step: () => [resetFrame(1)],
    most: 2700,
    text: /RST_STREAM/,
  },
  ...[0, 1, 4].map(
    (length): Attack => ({
      name: `DATA of ${length} bytes (CVE-2019-9518)`,
      before: [request(1, "/echo", false)],
      step: () => [dataOf(1, length)],
      most: 2700,
      text: /DATA/,
    }),
  ),
  {
    name: "DATA of one byte and much padding",
    before: [request(1, "/echo", false)],
    step: () => [frame(0, 8, 1, [255, 1, ...new Uint8Array(255)])],
    most: 2700,
    text: /DATA/,
  },
  {
    name: "a window opened byte by byte (CVE-2019-9511)",
    before: [frame(4, 0, 0, settingsPayload([4, 0])), request(1, "/bytes/1000000")],
    step: () => [frame(8, 0, 1, uint32(1))],
    most: 2700,
    text: /WINDOW_UPDATE/,
  },
  {
    name: "an HPACK bomb",
    // A literal of 4,000 bytes that enters the table, then 16,000 bytes that each name it.
    before: [frame(1, 0, 1, [0x40, 1, 97, 0x7f, 0xa1, 0x1e, ...new Uint8Array(4000).fill(98)]), frame(9, 4, 1)],
    step: (index) => [frame(1, 5, id(index + 1), new Uint8Array(16_000).fill(0xbe))],
    most: 1,
    text: /by far/,
  },
  {
    name: "header lists that are too large, one a stream",
    step: (index) => [
      frame(1, 1, id(index), new Uint8Array(0)),
      ...Array.from({ length: 8 }, () => frame(9, 0, id(index), literals(["x", "y".repeat(8100)]))),
      frame(9, 4, id(index), literals(["x", "y".repeat(8100)])),
    ],
    most: 130,
    text: /header lists/,
    mostStreams: 125,
  },
  {
    name: "streams above the limit",
    options: { limits: { maxConcurrentStreams: 10 } },
    step: (index) => [request(id(index), "/hang")],
    most: 2300,
    text: /above the limit/,
    mostStreams: 10,
  },
  {
    name: "large headers on streams that are kept open",
    step: (index) => [frame(1, 4, id(index), largeRequest)],
    most: 4000,
    text: /above the limit/,
    // 16 MiB of them.
    mostStreams: 1050,
  },
  {
    name: "informational trailers of no use",
    step: (index) => [request(id(index), "/hang", false), frame(1, 5, id(index), literals([":status", "100"]))],
    most: 260,
    text: /had to be reset/,
    mostStreams: 255,
  },
];

describe("Http2Session, attacked", () => {
  for (const attack of attacks) {
    test(`closes whoever sends ${attack.name}`, async () => {
      const client = await attacked(attack.options, attack.before);
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
    assert.ok(client.server.session.connection.pendingBytes <= 25 * 1024 * 1024);
    await client.clock.advance(950);
    assert.match(String(await client.server.closed), /takes nothing/);
    assert.ok(waitingBytes(client) < 1 << 20);
  });

  test("closes whoever asks for much and keeps its windows shut", async () => {
    const client = await attacked({}, [frame(4, 0, 0, settingsPayload([4, 0]))]);
    // All at once, so that all answers are there before the first could be refused.
    await client.send(...Array.from({ length: 300 }, (_, index) => request(id(index), "/bytes/1000000")));
    assert.ok(client.server.session.connection.pendingBytes <= 25 * 1024 * 1024);
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
