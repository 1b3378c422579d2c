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
});
