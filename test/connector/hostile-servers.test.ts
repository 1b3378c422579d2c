// Servers that say what no server should, at any moment of a call: the call fails with a code that says so, or is answered, at once; the
// next one is made on a connection that works; and nothing goes unhandled.

import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { Code, createClient } from "@connectrpc/connect";
import { createHttp2Connector } from "../../src/connector/http2-connector.ts";
import { callFate } from "../../src/core/call-fate.ts";
import { ErrorCode } from "../../src/http2/error-code.ts";
import { createStaticResolver } from "../../src/resolver/static-resolver.ts";
import { createBalancedTransport } from "../../src/transport/balanced-transport.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { startTcpPeer } from "../support/h2-peer.ts";
import { FrameLog, frame, literals, settingsPayload, uint32 } from "../support/h2-wire.ts";
import { rejection } from "../support/rejection.ts";

type Bytes = Uint8Array | readonly Bytes[];

const grpc = [":status", "200", "content-type", "application/grpc"];
const head = (...more: string[]) => frame(1, 4, 1, literals([...grpc, ...more]));
const trailers = (...fields: string[]) => frame(1, 5, 1, literals(fields));
const trailersOnly = (...fields: string[]) => frame(1, 5, 1, literals([...grpc, ...fields]));
const informational = frame(1, 4, 1, literals([":status", "103", "link", "a"]));
const data = (bytes: Uint8Array, end = false) => frame(0, end ? 1 : 0, 1, bytes);
const reset = (code: number) => frame(3, 0, 1, uint32(code));
const goaway = (lastStreamId: number, code = 0) => frame(7, 0, 0, [...uint32(lastStreamId), ...uint32(code)]);
const settings = (...pairs: [id: number, value: number][]) => frame(4, 0, 0, settingsPayload(...pairs));
/** UnaryResponse { text: "hi" }, and its first field broken. */
const hi = Uint8Array.of(10, 2, 104, 105);
const broken = Uint8Array.of(255, 255, 255);
const message = (bytes: Uint8Array, flags = 0, claimed = bytes.length) =>
  Uint8Array.of(flags, ...uint32(claimed), ...bytes);
const ok: Bytes = [head(), data(message(hi)), trailers("grpc-status", "0")];
/** 64 MiB of zeros, sixteen times as much as is taken. */
const bomb = gzipSync(new Uint8Array(64 * 1024 * 1024));

const many = (count: number, bytes: Uint8Array): Bytes => Array.from({ length: count }, () => bytes);
const pieces = (bytes: Uint8Array): Bytes =>
  Array.from({ length: Math.ceil(bytes.length / 16_384) }, (_, index) =>
    data(bytes.subarray(index * 16_384, (index + 1) * 16_384)),
  );

interface Hostile {
  readonly says: string;
  /** What it sends when the headers of a call have come. */
  readonly answer: Bytes;
  /** What becomes of the call; undefined: it is answered. */
  readonly code?: Code;
  readonly isUnprocessed?: boolean;
}

const unanswered = (says: string, answer: Bytes, code: Code, isUnprocessed = false): Hostile => ({
  says,
  answer,
  code,
  isUnprocessed,
});
const answered = (says: string, answer: Bytes): Hostile => ({ says, answer });
const status = (text: string): Bytes => [head(), data(message(hi)), trailers("grpc-status", text)];
const details = (text: string) => trailersOnly("grpc-status", "5", "grpc-status-details-bin", text);

const hostiles: readonly Hostile[] = [
  // Words of gRPC's.
  ...["abc", "-1", "17", "999", "", "00", "0x0", "1e0"].map((text) =>
    unanswered(`grpc-status ${JSON.stringify(text)}`, status(text), Code.Unknown),
  ),
  ...["%", "%zz", "%E4%B8", "%00", "a%0Ab", "\x80\xff"].map((text) =>
    unanswered(
      `grpc-message ${JSON.stringify(text)}`,
      trailersOnly("grpc-status", "5", "grpc-message", text),
      Code.NotFound,
    ),
  ),
  ...["!!!", "A", "AAAA", "CAUaBf8=", "Gv////8P", "===="].map((text) =>
    unanswered(`grpc-status-details-bin ${text}`, details(text), Code.NotFound),
  ),
  answered("-bin fields that are not in base64", [
    head("a-bin", "!!!"),
    data(message(hi)),
    trailers("grpc-status", "0", "b-bin", "%%%"),
  ]),
  unanswered("no status", [head(), data(message(hi)), trailers("a", "b")], Code.Internal),
  unanswered("no trailers", [head(), data(message(hi), true)], Code.Internal),
  unanswered("no content type", frame(1, 5, 1, literals([":status", "200"])), Code.Unknown),
  unanswered("no message", [head(), trailers("grpc-status", "0")], Code.Unimplemented),
  unanswered(
    "two messages",
    [head(), data(message(hi)), data(message(hi)), trailers("grpc-status", "0")],
    Code.Unimplemented,
  ),
  unanswered("half a message", [head(), data(message(hi, 0, 100)), trailers("grpc-status", "0")], Code.Internal),
  unanswered("a message of 4 GiB", [head(), data(message(hi, 0, 0xffff_ffff))], Code.ResourceExhausted),
  unanswered("flags that nobody knows", [head(), data(message(hi, 0x80))], Code.Internal),
  unanswered("a message that is broken", [head(), data(message(broken)), trailers("grpc-status", "0")], Code.Internal),
  unanswered(
    "a compressed message without an encoding",
    [head(), data(message(hi, 1)), trailers("grpc-status", "0")],
    Code.Internal,
  ),
  unanswered("an encoding that nobody knows", [head("grpc-encoding", "x"), data(message(hi, 1))], Code.Internal),
  unanswered(
    "a gzip bomb",
    [head("grpc-encoding", "gzip"), pieces(message(bomb, 1)), trailers("grpc-status", "0")],
    Code.ResourceExhausted,
  ),
  // Frames at the wrong time.
  answered("a hundred informational headers", [many(100, informational), ok]),
  unanswered("informational headers without end", many(3000, informational), Code.Unavailable),
  unanswered("informational headers that end the stream", frame(1, 5, 1, literals([":status", "100"])), Code.Internal),
  answered("headers after the trailers", [ok, head()]),
  answered("data after the end", [ok, data(message(hi))]),
  unanswered(
    "trailers that do not end",
    [head(), data(message(hi)), frame(1, 4, 1, literals(["grpc-status", "0"]))],
    Code.Internal,
  ),
  unanswered("data before headers", data(message(hi)), Code.Unavailable),
  unanswered("headers of a stream of its own", frame(1, 4, 2, literals(grpc)), Code.Unavailable),
  unanswered("data on a stream that nobody opened", frame(0, 0, 3, message(hi)), Code.Unavailable),
  unanswered("PUSH_PROMISE", frame(5, 4, 1, [...uint32(2), ...literals([":method", "GET"])]), Code.Unavailable),
  unanswered(
    "a header list that is too large",
    [
      frame(1, 0, 1, literals(grpc)),
      many(6, frame(9, 0, 1, literals(["a", "b".repeat(16_000)]))),
      frame(9, 4, 1),
      data(message(hi)),
      trailers("grpc-status", "0"),
    ],
    Code.ResourceExhausted,
  ),
  unanswered("a content length that is wrong", [head("content-length", "3"), data(message(hi))], Code.Internal),
  ...["abc", "000", "99999", "-200", "20"].map((text) =>
    unanswered(`:status ${text}`, frame(1, 5, 1, literals([":status", text, "grpc-status", "0"])), Code.Internal),
  ),
  // The end of the stream.
  unanswered("REFUSED_STREAM", reset(ErrorCode.refusedStream), Code.Unavailable, true),
  unanswered("REFUSED_STREAM after its headers", [head(), reset(ErrorCode.refusedStream)], Code.Unavailable),
  unanswered("a reset without an error", reset(ErrorCode.noError), Code.Internal),
  unanswered("a reset with a code that nobody knows", reset(0xffff), Code.Internal),
  unanswered("a reset after its message", [head(), data(message(hi)), reset(ErrorCode.noError)], Code.Internal),
  answered("a reset after its trailers", [ok, reset(ErrorCode.cancel)]),
  // The end of the connection.
  answered("GOAWAY five hundred times", [many(500, goaway(1)), ok]),
  answered("GOAWAY with an error, and the answer", [goaway(1, ErrorCode.internalError), ok]),
  unanswered("GOAWAY(0), and the answer", [goaway(0), ok], Code.Unavailable, true),
  unanswered("GOAWAY(0) after its headers", [head(), goaway(0)], Code.Unavailable),
  unanswered("PING five thousand times", many(5000, frame(6, 0, 0, new Uint8Array(8))), Code.Unavailable),
  unanswered("SETTINGS five hundred times", many(500, settings()), Code.Unavailable),
  unanswered("a window beyond 2^31-1", frame(8, 0, 0, uint32(0x7fff_ffff)), Code.Unavailable),
  unanswered("a frame size that cannot be", settings([5, 0]), Code.Unavailable),
  unanswered("a frame of a megabyte", frame(0, 0, 1, new Uint8Array(1_000_000)), Code.Unavailable),
  unanswered("HTTP/1.1", new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n\r\n"), Code.Unavailable),
  answered("that it takes no more streams", [settings([3, 0]), ok]),
  answered("header tables of no size, then of any", [settings([1, 0]), settings([1, 0xffff_ffff]), ok]),
];

function write(socket: Socket, bytes: Bytes): void {
  if (!(bytes instanceof Uint8Array)) for (const part of bytes) write(socket, part);
  else if (socket.writable) socket.write(bytes);
}

/** Frames of the first stream as those of another one. */
function onStream(id: number, frames: Bytes): Bytes {
  if (id === 1) return frames;
  if (!(frames instanceof Uint8Array)) return frames.map((part) => onStream(id, part));
  const moved = frames.slice();
  moved.set(uint32(id), 5);
  return moved;
}

/** A server that says `answer` to every call. */
async function startHostile(
  answer: Bytes,
  hello: Bytes = settings(),
): Promise<AsyncDisposable & { readonly url: string }> {
  const { url, close } = await startTcpPeer((socket) => {
    const log = new FrameLog();
    let prefaceLeft = 24;
    socket.setNoDelay(true);
    write(socket, hello);
    socket.on("data", (bytes) => {
      log.add(bytes.subarray(prefaceLeft));
      prefaceLeft -= Math.min(prefaceLeft, bytes.length);
      for (const { type, flags, streamId } of log.frames.splice(0)) {
        if (type === 4 && (flags & 1) === 0) socket.write(frame(4, 1, 0));
        if (type === 1) write(socket, onStream(streamId, answer));
      }
    });
  });
  return { url, [Symbol.asyncDispose]: close };
}

function connectTo(url: string) {
  return createBalancedTransport({
    resolver: createStaticResolver([url]),
    connector: createHttp2Connector(),
    backoff: { initialMs: 1 },
    waitForReady: false,
    closeGraceMs: 50,
  });
}

describe("createHttp2Connector()", () => {
  for (const { says, answer, code, isUnprocessed = false } of hostiles) {
    test(`bears a server that says ${says}`, async () => {
      await using server = await startHostile(answer);
      await using transport = connectTo(server.url);
      const call = createClient(EchoService, transport).unary({}, { timeoutMs: 4000 });
      if (code === undefined) {
        assert.equal((await call).text, "hi");
      } else {
        const error = await rejection(call);
        assert.equal(Code[error.code], Code[code], error.message);
        assert.equal(callFate(error) === "unprocessed", isUnprocessed, error.message);
      }
    });
  }

  for (const { says, answer, code } of hostiles) {
    test(`reads a stream of a server that says ${says}`, async () => {
      await using server = await startHostile(answer);
      await using transport = connectTo(server.url);
      const texts: string[] = [];
      const read = async () => {
        const stream = createClient(EchoService, transport).serverStream({}, { timeoutMs: 4000 });
        for await (const { text } of stream) texts.push(text);
      };
      if (says === "no message" || says === "two messages") {
        await read();
      } else if (code === undefined) {
        await read();
        assert.deepEqual(texts, ["hi"]);
      } else {
        const error = await rejection(read());
        assert.equal(Code[error.code], Code[code], error.message);
      }
    });
  }

  test("bears fifty gzip bombs at once", async () => {
    const answer = [head("grpc-encoding", "gzip"), pieces(message(bomb, 1)), trailers("grpc-status", "0")];
    await using server = await startHostile(answer);
    await using transport = connectTo(server.url);
    const client = createClient(EchoService, transport);
    const calls = Array.from({ length: 50 }, () => rejection(client.unary({}, { timeoutMs: 20_000 })));
    for (const { code, message } of await Promise.all(calls)) assert.equal(Code[code], "ResourceExhausted", message);
  });

  test("bears a server that answers before it is asked", async () => {
    await using server = await startHostile([], [settings(), ok]);
    await using transport = connectTo(server.url);
    const error = await rejection(createClient(EchoService, transport).unary({}, { timeoutMs: 4000 }));
    assert.equal(error.code, Code.Unavailable);
  });

  for (const { what, setting, codeAtEnd } of [
    // Never sent, and so as calls that wait for an endpoint.
    { what: "streams", setting: 3, codeAtEnd: Code.Canceled },
    { what: "data", setting: 4, codeAtEnd: Code.Unavailable },
  ]) {
    test(`waits for a server that never takes ${what}, until the deadline, the signal or close()`, async () => {
      await using server = await startHostile([], settings([setting, 0]));
      await using transport = connectTo(server.url);
      const client = createClient(EchoService, transport);
      const controller = new AbortController();
      const late = rejection(client.unary({}, { timeoutMs: 50 }));
      const aborted = rejection(client.unary({}, { signal: controller.signal }));
      const left = rejection(client.unary({}));
      assert.equal((await late).code, Code.DeadlineExceeded);
      controller.abort();
      assert.equal((await aborted).code, Code.Canceled);
      await transport.close();
      assert.equal((await left).code, codeAtEnd);
    });
  }
});
