// The connection, both roles, over memory: whatever the pieces in which bytes come, whatever the windows, every byte arrives once.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ErrorCode } from "../../src/http2/error-code.ts";
import { createHttp2Pair, createRecorder, type Http2Pair, type Recorder } from "../support/http2-pair.ts";
import { seededRandom } from "../support/seeded-random.ts";

const request = [":method", "POST", ":scheme", "http", ":path", "/a.B/C", ":authority", "test"];
const prefix = Uint8Array.of(0, 0, 0, 0, 0);

/** Opens a stream that sends `body`. */
function call({ client }: Http2Pair, body: Uint8Array, fields: readonly string[] = request): Recorder {
  const recorder = createRecorder(() => client);
  recorder.stream = client.open(recorder, client.prepare(fields), ["grpc-timeout", "5S"], false);
  client.sendData(recorder.stream, prefix, body, true);
  return recorder;
}

/** A server that sends back what it got, once it has all of it, with trailers. */
function createEcho(options: Parameters<typeof createHttp2Pair>[0] = {}): Http2Pair {
  return createHttp2Pair({
    ...options,
    onStream({ server }, stream, recorder) {
      const { onData } = recorder;
      recorder.onData = (bytes, from, to, end) => {
        onData(bytes, from, to, end);
        if (!end) return;
        server.sendHeaders(stream, server.prepare([":status", "200"]), undefined, false);
        server.sendData(stream, undefined, concat(recorder.heard.data), false);
        server.sendHeaders(stream, server.prepare(["grpc-status", "0"]), ["x-of", String(stream.id)], true);
      };
    },
  });
}

describe("Http2Connection", () => {
  test("carries a call whole, whatever the pieces, the sizes and the windows", () => {
    const { random, seed } = seededRandom();
    for (let round = 0; round < 60; round++) {
      const windows = { initialWindowBytes: 65_535 + Math.floor(random() * 200_000), maxFrameBytes: 16_384 };
      const pair = createEcho({ client: windows, server: windows });
      const sizes = Array.from({ length: 1 + Math.floor(random() * 8) }, () => Math.floor(random() ** 4 * 400_000));
      const cut = random() < 0.3 ? undefined : () => 1 + Math.floor(random() ** 3 * 20_000);
      pair.run(cut);
      const calls = sizes.map((size) => call(pair, bytesOf(random, size)));
      pair.run(cut);
      for (const [index, { heard, stream }] of calls.entries()) {
        const label = `seed ${seed}, round ${round}, call ${index}`;
        assert.equal(heard.reset, undefined, label);
        assert.equal(heard.ended, true, label);
        const sent = concat(pair.taken[index]?.recorder.heard.data ?? []);
        assert.equal(sent.length, (sizes[index] ?? 0) + prefix.length, label);
        assert.deepEqual(concat(heard.data), sent, label);
        assert.deepEqual(heard.headers, [
          [":status", "200"],
          ["grpc-status", "0", "x-of", String(stream?.id)],
        ]);
      }
      assert.deepEqual(pair.errors, []);
      assert.equal(pair.client.streamCount + pair.server.streamCount, 0);
    }
  });

  test("tells the same of the same bytes, however they are cut", () => {
    const { random, seed } = seededRandom();
    const pair = createHttp2Pair();
    const wire: Uint8Array[] = [];
    pair.client.flush((chunk) => wire.push(chunk.slice()));
    pair.server.flush((chunk) => pair.client.receive(chunk, chunk.length));
    for (let count = 0; count < 20; count++) call(pair, bytesOf(random, Math.floor(random() * 3000)));
    pair.client.flush((chunk) => wire.push(chunk.slice()));
    const bytes = concat(wire);
    const hear = (cut: () => number) => {
      const { server, taken, errors } = createHttp2Pair();
      for (let at = 0; at < bytes.length; ) {
        const piece = bytes.slice(at, at + cut());
        server.receive(piece, piece.length);
        at += piece.length;
      }
      assert.deepEqual(errors, [], `seed ${seed}`);
      return taken.map(({ stream, block, recorder }) => [stream.id, block.fields, concat(recorder.heard.data)]);
    };
    const whole = hear(() => bytes.length);
    assert.equal(whole.length, 20);
    assert.deepEqual(
      hear(() => 1),
      whole,
    );
    for (let round = 0; round < 20; round++) {
      assert.deepEqual(
        hear(() => 1 + Math.floor(random() * 40)),
        whole,
        `seed ${seed}`,
      );
    }
  });

  test("sends nothing beyond a window that nobody opens, and goes on when it opens", () => {
    const pair = createHttp2Pair({ consume: false, server: { initialWindowBytes: 65_535 } });
    pair.run();
    const { heard, stream } = call(pair, new Uint8Array(200_000));
    pair.run();
    const taken = pair.taken[0];
    assert.ok(taken !== undefined && stream !== undefined);
    assert.equal(concat(taken.recorder.heard.data).length, 65_535);
    assert.equal(heard.drained, 0);
    for (let step = 0; step < 10; step++) {
      pair.server.consumed(taken.stream, taken.stream.heldBytes);
      pair.run();
    }
    assert.equal(concat(taken.recorder.heard.data).length, 200_005);
    assert.equal(heard.drained, 1);
  });

  test("lets a small call pass a large one that waits for its window", () => {
    const pair = createEcho({ consume: true });
    pair.run();
    const large = createRecorder(() => pair.client);
    large.stream = pair.client.open(large, pair.client.prepare(request), undefined, false);
    pair.client.sendData(large.stream, undefined, new Uint8Array(8 << 20), true);
    const small = call(pair, new Uint8Array(10));
    // One exchange, not the whole of it.
    pair.client.flush((chunk) => pair.server.receive(chunk, chunk.length));
    pair.server.flush((chunk) => pair.client.receive(chunk, chunk.length));
    assert.equal(small.heard.ended, true);
    assert.equal(large.heard.ended, false);
    pair.run();
    assert.equal(concat(large.heard.data).length, 8 << 20);
  });

  test("refuses streams above the limit as unprocessed, and tells a client when there is room", () => {
    const pair = createHttp2Pair({ server: { maxConcurrentStreams: 2 } });
    // Before the server's settings came, a client may open what it likes.
    const early = Array.from({ length: 4 }, () => call(pair, new Uint8Array(1)));
    pair.run();
    assert.deepEqual(
      early.map(({ heard }) => heard.reset),
      [
        undefined,
        undefined,
        { code: ErrorCode.refusedStream, unprocessed: true },
        { code: ErrorCode.refusedStream, unprocessed: true },
      ],
    );
    assert.equal(pair.client.canOpen, false);
    const first = pair.taken[0];
    assert.ok(first !== undefined);
    pair.server.resetStream(first.stream, ErrorCode.cancel);
    pair.run();
    assert.equal(pair.client.canOpen, true);
  });

  test("opens no stream while too much waits, and tells a client when it has gone", () => {
    const pair = createHttp2Pair({ client: { maxPendingBytes: 1_000_000 }, consume: false });
    pair.run();
    const { stream } = call(pair, new Uint8Array(2_000_000));
    pair.run();
    assert.equal(pair.client.canOpen, false);
    assert.equal(pair.slots, 0);
    const taken = pair.taken[0];
    assert.ok(taken !== undefined && stream !== undefined);
    while (pair.client.pendingBytes > 0) {
      pair.server.consumed(taken.stream, taken.stream.heldBytes);
      pair.run();
    }
    assert.equal(pair.slots, 1);
    assert.equal(pair.client.canOpen, true);
  });

  test("resets what lies above a GOAWAY as unprocessed, and finishes what lies below", () => {
    const pair = createHttp2Pair();
    pair.run();
    const below = call(pair, new Uint8Array(1));
    pair.run();
    const taken = pair.taken[0];
    assert.ok(taken !== undefined);
    pair.server.goaway(pair.server.lastPeerStreamId, ErrorCode.noError);
    const above = call(pair, new Uint8Array(1));
    pair.run();
    assert.deepEqual(above.heard.reset, { code: ErrorCode.refusedStream, unprocessed: true });
    assert.equal(pair.taken.length, 1);
    assert.equal(pair.client.isExhausted, true);
    pair.server.sendHeaders(taken.stream, pair.server.prepare([":status", "200"]), undefined, true);
    pair.run();
    assert.equal(below.heard.ended, true);
    assert.deepEqual(pair.errors, []);
  });

  test("counts a stream as unprocessed when the socket is lost before its headers left", () => {
    const pair = createHttp2Pair();
    pair.run();
    const sent = call(pair, new Uint8Array(1));
    pair.client.flush(() => {});
    const kept = call(pair, new Uint8Array(1));
    pair.client.abort(ErrorCode.internalError);
    assert.equal(sent.heard.reset?.unprocessed, false);
    assert.equal(kept.heard.reset?.unprocessed, true);
  });

  test("answers pings, each with its own answer", () => {
    const pair = createHttp2Pair();
    pair.run();
    const answered: number[] = [];
    for (const number of [1, 2, 3]) pair.client.ping(() => answered.push(number));
    pair.run();
    assert.deepEqual(answered, [1, 2, 3]);
  });

  test("splits header blocks larger than a frame, and joins them", () => {
    const pair = createHttp2Pair();
    pair.run();
    const value = "\u00ff".repeat(20_000);
    call(pair, new Uint8Array(1), [...request, "x-large", value]);
    pair.run();
    assert.equal(pair.taken[0]?.block.fields.at(-3), value);
    assert.deepEqual(pair.errors, []);
  });

  test("hands a list that is too large to the host without its fields", () => {
    const pair = createHttp2Pair({ server: { maxHeaderListBytes: 1000 } });
    pair.run();
    call(pair, new Uint8Array(1), [...request, "x-large", "x".repeat(1500)]);
    pair.run();
    assert.equal(pair.taken[0]?.block.tooLarge, true);
    assert.deepEqual(pair.errors, []);
  });
});

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function bytesOf(random: () => number, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random() * 256);
}
