// What a connection sends while windows are shut: nothing of it is lost, and nothing is tried for ever.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Stream } from "../../src/http2/stream.ts";
import { createHttp2Pair, createRecorder, type Recorder } from "../support/http2-pair.ts";

const request = [":method", "POST", ":scheme", "http", ":path", "/", ":authority", "a"];
const windowBytes = 65_535;

describe("Sender", () => {
  test("waits for the connection's window with a head whose body is empty", { timeout: 5000 }, () => {
    const taken: Stream[] = [];
    const pair = createHttp2Pair({
      // Held for ever: the connection's window stays shut until the test reads.
      client: { connectionWindowBytes: windowBytes, initialWindowBytes: 2 * windowBytes, maxHeldBytes: 0 },
      consume: false,
      onStream: (_pair, stream) => taken.push(stream),
    });
    const open = (): Recorder => {
      const recorder = createRecorder(() => pair.client, false);
      recorder.stream = pair.client.open(recorder, pair.client.prepare(request), undefined, true);
      return recorder;
    };
    pair.run();
    const large = open();
    const empty = open();
    pair.run();
    const [first, second] = taken;
    assert.ok(first !== undefined && second !== undefined && large.stream !== undefined);
    const head = pair.server.prepare([":status", "200"]);
    pair.server.sendHeaders(first, head, undefined, false);
    pair.server.sendHeaders(second, head, undefined, false);
    pair.server.sendData(first, undefined, new Uint8Array(windowBytes), false);
    pair.run();
    assert.equal(pair.server.sendWindow, 0);
    // As gRPC sends a message without fields.
    assert.equal(pair.server.sendData(second, new Uint8Array(5), new Uint8Array(0), true), false);
    pair.run();
    assert.equal(empty.heard.data.length, 0);
    pair.client.consumed(large.stream, windowBytes);
    pair.run();
    assert.deepEqual(Buffer.concat(empty.heard.data), Buffer.alloc(5));
    assert.equal(empty.heard.ended, true);
    assert.deepEqual(pair.errors, []);
  });

  test("puts what a stream is given before a flush into one frame, its end too", () => {
    const { pair, stream, data } = openOne();
    for (const letter of "abc") pair.server.sendData(stream, new Uint8Array(5), Buffer.from(letter), false);
    pair.server.sendData(stream, undefined, new Uint8Array(0), true);
    pair.run();
    assert.deepEqual(data(), ["\0\0\0\0\0a\0\0\0\0\0b\0\0\0\0\0c"]);
    assert.equal(pair.taken[0]?.stream.closed, true);
    assert.deepEqual(pair.errors, []);
  });

  test("makes no frame longer that is on its way, that another follows, or beyond 16384 bytes", () => {
    const { pair, stream, data, open } = openOne();
    pair.server.sendData(stream, undefined, Buffer.from("sent"), false);
    pair.run();
    pair.server.sendData(stream, undefined, Buffer.from("next"), false);
    pair.run();
    assert.deepEqual(data(), ["sent", "next"]);

    const other = open();
    pair.server.sendData(stream, undefined, Buffer.from("a"), false);
    pair.server.sendData(other.stream, undefined, Buffer.from("b"), false);
    pair.server.sendData(stream, undefined, Buffer.from("c"), false);
    pair.run();
    assert.deepEqual(data().slice(2), ["a", "c"]);
    assert.deepEqual(other.data(), ["b"]);

    for (let count = 0; count < 3; count++) pair.server.sendData(stream, undefined, new Uint8Array(8192), false);
    pair.run();
    assert.deepEqual(
      data()
        .slice(4)
        .map((piece) => piece.length),
      [16_384, 8192],
    );
    assert.deepEqual(pair.errors, []);
  });

  test("copies of a borrowed body what cannot go at once, whatever holds it up", () => {
    const head = Uint8Array.of(0, 0, 0, 0, 9);
    for (const [bytes, isStuck] of [
      [5000, false],
      [5000, true],
      [windowBytes - 5, false],
      [windowBytes - 4, false],
      [3_000_000, false],
    ] as const) {
      const { pair, stream, heard } = openOne();
      pair.server.setWritable(!isStuck);
      const body = new Uint8Array(bytes).map((_, index) => index % 251);
      const expected = Buffer.concat([head, body]);
      const isSent = pair.server.sendBorrowed(stream, head, body, true);
      assert.equal(isSent, !isStuck && bytes + head.length <= windowBytes);
      body.fill(255);
      pair.server.setWritable(true);
      pair.run();
      assert.deepEqual(Buffer.concat(heard.data), expected, `${bytes} bytes`);
      assert.equal(heard.ended, true);
      assert.deepEqual(pair.errors, []);
    }
  });

  test("sends a borrowed body behind what the stream was given before", () => {
    const { pair, stream, heard } = openOne();
    const first = new Uint8Array(windowBytes + 10).fill(1);
    pair.server.sendData(stream, undefined, first, false);
    const body = new Uint8Array(10_000).fill(2);
    assert.equal(pair.server.sendBorrowed(stream, new Uint8Array(5), body, false), false);
    body.fill(3);
    pair.server.sendData(stream, undefined, Buffer.from("end"), true);
    pair.run();
    const expected = [first, new Uint8Array(5), new Uint8Array(10_000).fill(2), Buffer.from("end")];
    assert.deepEqual(Buffer.concat(heard.data), Buffer.concat(expected));
    assert.deepEqual(pair.errors, []);
  });
});

/** A pair whose client hears, and a stream that the server answers with nothing but its head as yet. */
function openOne() {
  const taken: Stream[] = [];
  const pair = createHttp2Pair({
    client: { initialWindowBytes: windowBytes },
    onStream: (_pair, stream) => taken.push(stream),
  });
  const open = () => {
    const recorder = createRecorder(() => pair.client);
    recorder.stream = pair.client.open(recorder, pair.client.prepare(request), undefined, true);
    pair.run();
    const stream = taken.at(-1);
    assert.ok(stream !== undefined);
    pair.server.sendHeaders(stream, pair.server.prepare([":status", "200"]), undefined, false);
    pair.run();
    return {
      stream,
      heard: recorder.heard,
      data: () => recorder.heard.data.map((piece) => Buffer.from(piece).toString()),
    };
  };
  return { pair, open, ...open() };
}
