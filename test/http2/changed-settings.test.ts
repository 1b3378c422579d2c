// What changes while a connection goes on, found by other programs: windows that grew for one stream and not for another, and two
// sizes of the header table in one SETTINGS.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Http2Connection } from "../../src/http2/connection.ts";
import type { PreparedFields } from "../../src/http2/stream.ts";
import { requestFields } from "../support/h2-echo.ts";
import { FrameLog, preface, request, settingsPayload } from "../support/h2-wire.ts";
import { createHttp2Pair, createRecorder } from "../support/http2-pair.ts";

const mebibyte = 1024 * 1024;

describe("Http2Connection", () => {
  test("opens the window of a stream that was there before the windows grew", () => {
    const pair = createHttp2Pair({ consume: false });
    const open = () => {
      const recorder = createRecorder(() => pair.client);
      const prepared = pair.client.prepare(requestFields("/bulk"));
      return pair.client.open(recorder, prepared, undefined, false);
    };
    /** Lets the client send what it may, and only then reads it, until no more comes. Returns how much that was. */
    const readLate = (id: number) => {
      const taken = pair.taken.find(({ stream }) => stream.id === id);
      let total = 0;
      for (;;) {
        pair.run();
        const bytes = taken?.recorder.heard.data.splice(0).reduce((sum, piece) => sum + piece.length, 0) ?? 0;
        if (taken === undefined || bytes === 0) return total;
        total += bytes;
        pair.server.consumed(taken.stream, bytes);
      }
    };
    pair.run();
    const early = open();
    const bulk = open();
    pair.run();
    pair.client.sendData(bulk, undefined, new Uint8Array(8 * mebibyte), true);
    assert.equal(readLate(bulk.id), 8 * mebibyte);
    pair.client.sendData(early, undefined, new Uint8Array(mebibyte), true);
    assert.equal(readLate(early.id), mebibyte);
    assert.deepEqual(pair.errors, []);
  });

  test("tells of the smallest header table that one SETTINGS allowed, then of the last", () => {
    const log = new FrameLog();
    let prepared: PreparedFields | undefined;
    const connection: Http2Connection = new Http2Connection({
      role: "server",
      limits: {},
      now: () => 0,
      host: {
        onOutput() {},
        onSettings() {},
        onGoaway() {},
        onIdle() {},
        onSlot() {},
        onError(_code, reason) {
          assert.fail(reason);
        },
        onStream(stream) {
          prepared ??= connection.prepare([":status", "200"]);
          connection.sendHeaders(stream, prepared, undefined, true);
          return createRecorder(() => connection);
        },
      },
    });
    connection.start();
    const headerTableSize = 1;
    const settings = settingsPayload([headerTableSize, 64], [headerTableSize, 1024]);
    for (const bytes of [preface(settings), request(1, "/"), request(3, "/")]) connection.receive(bytes, bytes.length);
    connection.flush((bytes) => log.add(bytes));
    // RFC 7541, sections 4.2 and 6.3: 64, then 1024, then :status 200 of the static table. Once only, though the fields are prepared ones.
    const payloads = log.ofType(1).map(({ payload }) => [...payload]);
    assert.deepEqual(payloads, [[0x3f, 0x21, 0x3f, 0xe1, 0x07, 0x88], [0x88]]);
  });
});
