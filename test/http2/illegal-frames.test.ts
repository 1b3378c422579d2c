// What a server may not send to a client, and a client not to a server, and what RFC 9113 says of it. h2spec asks servers much more; the
// client's part nobody else asks.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ErrorCode, errorCodeName } from "../../src/http2/error-code.ts";
import { requestFields } from "../support/h2-echo.ts";
import { FrameLog, frame, literals, preface, request, settingsPayload, uint32 } from "../support/h2-wire.ts";
import { createHttp2Pair, createRecorder, type Recorder } from "../support/http2-pair.ts";

const { protocolError, flowControlError, frameSizeError, streamClosed, compressionError } = ErrorCode;
const response = literals([":status", "200"]);
const settings = frame(4, 0, 0);
const ack = frame(4, 1, 0);

/** Each with the code, and the section that gives it. */
const connectionErrors: readonly (readonly [what: string, code: number, ...bytes: Uint8Array[]])[] = [
  ["another frame before SETTINGS (3.4)", protocolError, frame(6, 0, 0, new Uint8Array(8))],
  ["an answer to SETTINGS before SETTINGS (3.4)", protocolError, ack],
  ["a frame above SETTINGS_MAX_FRAME_SIZE (4.2)", frameSizeError, settings, frame(0, 0, 1, new Uint8Array(16_385))],
  ["a header block that is none (4.3)", compressionError, settings, frame(1, 4, 1, [0xff, 0xff])],
  ["HEADERS on a stream that nobody opened (5.1)", protocolError, settings, frame(1, 4, 9, response)],
  ["HEADERS on an even stream (5.1.1, 8.4)", protocolError, settings, frame(1, 4, 2, response)],
  ["DATA on a stream that nobody opened (5.1)", protocolError, settings, frame(0, 0, 9, [1])],
  ["RST_STREAM on a stream that nobody opened (5.1)", protocolError, settings, frame(3, 0, 9, uint32(8))],
  ["WINDOW_UPDATE on a stream that nobody opened (5.1)", protocolError, settings, frame(8, 0, 9, uint32(8))],
  [
    "DATA on a stream that has ended (5.1)",
    streamClosed,
    settings,
    frame(1, 5, 1, response),
    frame(3, 0, 1, uint32(0)),
    frame(0, 0, 1, [1]),
  ],
  ["DATA on stream 0 (6.1)", protocolError, settings, frame(0, 0, 0, [1])],
  ["DATA with too much padding (6.1)", protocolError, settings, frame(1, 4, 1, response), frame(0, 8, 1, [2, 0])],
  ["DATA that is padded and empty (6.1)", frameSizeError, settings, frame(1, 4, 1, response), frame(0, 8, 1)],
  ["HEADERS on stream 0 (6.2)", protocolError, settings, frame(1, 4, 0, response)],
  ["HEADERS with too much padding (6.2)", protocolError, settings, frame(1, 12, 1, [14, ...response])],
  ["HEADERS too short for their priority (6.2)", protocolError, settings, frame(1, 36, 1, [0, 0, 0])],
  ["PRIORITY on stream 0 (6.3)", protocolError, settings, frame(2, 0, 0, new Uint8Array(5))],
  ["RST_STREAM on stream 0 (6.4)", protocolError, settings, frame(3, 0, 0, uint32(8))],
  ["RST_STREAM of 3 bytes (6.4)", frameSizeError, settings, frame(3, 0, 1, [0, 0, 8])],
  ["SETTINGS on a stream (6.5)", protocolError, settings, frame(4, 0, 1)],
  ["SETTINGS of 5 bytes (6.5)", frameSizeError, settings, frame(4, 0, 0, new Uint8Array(5))],
  ["an answer to SETTINGS with settings (6.5)", frameSizeError, settings, frame(4, 1, 0, settingsPayload([4, 5]))],
  ["SETTINGS_ENABLE_PUSH of 2 (6.5.2)", protocolError, frame(4, 0, 0, settingsPayload([2, 2]))],
  ["SETTINGS_INITIAL_WINDOW_SIZE of 2^31 (6.5.2)", flowControlError, frame(4, 0, 0, settingsPayload([4, 2 ** 31]))],
  ["SETTINGS_MAX_FRAME_SIZE of 16383 (6.5.2)", protocolError, frame(4, 0, 0, settingsPayload([5, 16_383]))],
  ["SETTINGS_MAX_FRAME_SIZE of 2^24 (6.5.2)", protocolError, frame(4, 0, 0, settingsPayload([5, 2 ** 24]))],
  ["PUSH_PROMISE (8.4)", protocolError, settings, frame(5, 4, 1, [0, 0, 0, 2, ...response])],
  ["PING of 7 bytes (6.7)", frameSizeError, settings, frame(6, 0, 0, new Uint8Array(7))],
  ["PING on a stream (6.7)", protocolError, settings, frame(6, 0, 1, new Uint8Array(8))],
  ["GOAWAY on a stream (6.8)", protocolError, settings, frame(7, 0, 1, new Uint8Array(8))],
  ["GOAWAY of 7 bytes (6.8)", frameSizeError, settings, frame(7, 0, 0, new Uint8Array(7))],
  ["WINDOW_UPDATE by 0 on the connection (6.9)", protocolError, settings, frame(8, 0, 0, uint32(0))],
  ["WINDOW_UPDATE of 3 bytes (6.9)", frameSizeError, settings, frame(8, 0, 0, [0, 0, 1])],
  ["a window beyond 2^31-1 (6.9.1)", flowControlError, settings, frame(8, 0, 0, uint32(0x7fffffff))],
  [
    "SETTINGS that bring a stream's window beyond 2^31-1 (6.9.2)",
    flowControlError,
    settings,
    frame(8, 0, 1, uint32(0x7fff0000)),
    frame(4, 0, 0, settingsPayload([4, 0x7fffffff])),
  ],
  ["CONTINUATION without HEADERS (6.10)", protocolError, settings, frame(9, 4, 1, response)],
  ["another frame within a header block (6.10)", protocolError, settings, frame(1, 0, 1, response), settings],
  [
    "a header block that goes on on another stream (6.10)",
    protocolError,
    settings,
    frame(1, 0, 1, response),
    frame(9, 4, 3, response),
  ],
];

/** Offences against one stream; others live on. */
const streamErrors: readonly (readonly [what: string, code: number, ...bytes: Uint8Array[]])[] = [
  ["no :status (8.3.2)", protocolError, frame(1, 4, 1, literals(["a", "b"]))],
  ["two :status (8.3)", protocolError, frame(1, 4, 1, literals([":status", "200", ":status", "200"]))],
  [":status that is no number (8.3.2)", protocolError, frame(1, 4, 1, literals([":status", "ok"]))],
  [":status 101 (8.6)", protocolError, frame(1, 4, 1, literals([":status", "101"]))],
  ["a request's field (8.3.2)", protocolError, frame(1, 4, 1, literals([":status", "200", ":path", "/"]))],
  [":status behind others (8.3)", protocolError, frame(1, 4, 1, literals(["a", "b", ":status", "200"]))],
  ["a name in upper case (8.2.1)", protocolError, frame(1, 4, 1, literals([":status", "200", "A", "b"]))],
  ["a value with a line end (8.2.1)", protocolError, frame(1, 4, 1, literals([":status", "200", "a", "b\nc"]))],
  ["connection: close (8.2.2)", protocolError, frame(1, 4, 1, literals([":status", "200", "connection", "close"]))],
  ["an informational response with an end (8.1)", protocolError, frame(1, 5, 1, literals([":status", "100"]))],
  ["trailers without an end (8.1)", protocolError, frame(1, 4, 1, response), frame(1, 4, 1, literals(["a", "b"]))],
  ["trailers with :status (8.1)", protocolError, frame(1, 4, 1, response), frame(1, 5, 1, response)],
  [
    "more data than content-length says (8.1.1)",
    protocolError,
    frame(1, 4, 1, literals([":status", "200", "content-length", "2"])),
    frame(0, 0, 1, [1, 2, 3]),
  ],
  [
    "less data than content-length says (8.1.1)",
    protocolError,
    frame(1, 4, 1, literals([":status", "200", "content-length", "2"])),
    frame(0, 1, 1, [1]),
  ],
  ["data after the end (5.1)", streamClosed, frame(1, 5, 1, response), frame(0, 0, 1, [1])],
  ["headers after the end (5.1)", streamClosed, frame(1, 5, 1, response), frame(1, 4, 1, response)],
  ["WINDOW_UPDATE by 0 (6.9)", protocolError, frame(8, 0, 1, uint32(0))],
  ["a window beyond 2^31-1 (6.9.1)", flowControlError, frame(8, 0, 1, uint32(0x7fffffff))],
  ["PRIORITY of 4 bytes (6.3)", frameSizeError, frame(2, 0, 1, new Uint8Array(4))],
];

/** A client with two open streams, and a log of what it sends from then on. */
function startClient(): { feed(...parts: readonly Uint8Array[]): FrameLog; recorders: Recorder[]; errors: unknown[] } {
  const { client, errors } = createHttp2Pair();
  const prepared = client.prepare(requestFields("/a"));
  const recorders = [1, 3].map(() => {
    const recorder = createRecorder(() => client);
    recorder.stream = client.open(recorder, prepared, undefined, false);
    return recorder;
  });
  client.flush(() => {});
  return {
    recorders,
    errors,
    feed(...parts) {
      const log = new FrameLog();
      for (const part of parts) client.receive(part, part.length);
      client.flush((chunk) => log.add(chunk));
      return log;
    },
  };
}

describe("Http2Connection, as a client", () => {
  for (const [what, code, ...bytes] of connectionErrors) {
    test(`ends with ${errorCodeName(code)} for ${what}`, () => {
      const { feed, recorders, errors } = startClient();
      const log = feed(...bytes);
      assert.equal(log.goaway?.code, code);
      assert.equal(errors.length, 1);
      // One of the two may have ended before.
      for (const { heard } of recorders) assert.ok(heard.reset !== undefined || heard.ended);
      // Whatever follows is not even read.
      assert.deepEqual(feed(settings, frame(6, 0, 0, new Uint8Array(8))).frames, []);
      assert.equal(errors.length, 1);
    });
  }

  for (const [what, code, ...bytes] of streamErrors) {
    test(`resets a stream with ${errorCodeName(code)} for ${what}`, () => {
      const { feed, recorders, errors } = startClient();
      const log = feed(settings, ...bytes, frame(1, 5, 3, response));
      assert.deepEqual(log.ofType(3), [{ type: 3, flags: 0, streamId: 1, payload: uint32(code) }]);
      assert.deepEqual(recorders[0]?.heard.reset, { code, unprocessed: false });
      assert.equal(recorders[1]?.heard.ended, true);
      assert.deepEqual(errors, []);
    });
  }

  test("takes what may come: informational headers, padding, priority, unknown frames and settings, trailers", () => {
    const { feed, recorders, errors } = startClient();
    const more = settingsPayload([3, 7], [0x99, 5], [8, 1]);
    feed(
      frame(4, 0, 0, more),
      ack,
      frame(99, 255, 1, [1]),
      frame(1, 4, 1, literals([":status", "103", "link", "a"])),
      frame(1, 0x2c, 1, [2, 0, 0, 0, 0, 9, ...response, 0, 0]),
      frame(0, 8, 1, [3, 1, 2, 0, 0, 0]),
      frame(2, 0, 77, new Uint8Array(5)),
      frame(1, 5, 1, literals(["grpc-status", "0"])),
    );
    assert.deepEqual(errors, []);
    assert.deepEqual(recorders[0]?.heard.headers.length, 3);
    assert.deepEqual(recorders[0]?.heard.data, [Uint8Array.of(1, 2)]);
    assert.equal(recorders[0]?.heard.ended, true);
  });

  test("tells what a GOAWAY says, and says its own in turn", () => {
    const { client } = createHttp2Pair();
    const log = new FrameLog();
    client.flush(() => {});
    client.goaway(0, ErrorCode.enhanceYourCalm, "too_many_pings");
    client.flush((chunk) => log.add(chunk));
    assert.deepEqual(log.goaway, { code: ErrorCode.enhanceYourCalm, text: "too_many_pings" });
  });
});

describe("Http2Connection, as a server", () => {
  for (const [what, code, ...bytes] of [
    ["an even stream (5.1.1)", protocolError, request(2, "/")],
    ["a stream below the last one (5.1.1)", streamClosed, request(5, "/"), frame(3, 0, 5, uint32(8)), request(3, "/")],
    ["PUSH_PROMISE (8.4)", protocolError, frame(5, 4, 1, [0, 0, 0, 2, ...response])],
  ] as const) {
    test(`ends with ${errorCodeName(code)} for ${what}`, () => {
      const { server } = createHttp2Pair();
      const log = new FrameLog();
      for (const part of [preface(), ...bytes]) server.receive(part, part.length);
      server.flush((chunk) => log.add(chunk));
      assert.equal(log.goaway?.code, code);
    });
  }

  for (const [what, ...fields] of [
    ["no :method", ":scheme", "http", ":path", "/"],
    ["no :path", ":method", "GET", ":scheme", "http"],
    ["an empty :path", ":method", "GET", ":scheme", "http", ":path", ""],
    ["an unknown pseudo-header", ":method", "GET", ":scheme", "http", ":path", "/", ":a", "b"],
    ["a response's :status", ":method", "GET", ":scheme", "http", ":path", "/", ":status", "200"],
    ["te: gzip", ":method", "GET", ":scheme", "http", ":path", "/", "te", "gzip"],
    ["an empty name", ":method", "GET", ":scheme", "http", ":path", "/", "", "b"],
    ["two content-length that differ", ...requestFields("/"), "content-length", "1", "content-length", "2"],
    ["content-length and no content", ...requestFields("/"), "content-length", "1"],
  ] as const) {
    test(`resets a request with ${what} (8.3)`, () => {
      const { server, taken } = createHttp2Pair();
      const log = new FrameLog();
      for (const part of [preface(), frame(1, 5, 1, literals(fields))]) server.receive(part, part.length);
      server.flush((chunk) => log.add(chunk));
      assert.deepEqual(log.ofType(3)[0]?.payload, uint32(protocolError));
      assert.deepEqual(taken, []);
    });
  }
});
