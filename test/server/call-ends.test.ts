// What handlers are told of calls that end before their answer, over real sockets; and what is left of an answer that was whole by then.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { describe, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { serve } from "../../src/server/serve.ts";
import type { ServeOptions } from "../../src/server/serve-options.ts";
import { createManualClock, type ManualClock } from "../../src/testing/manual-clock.ts";
import { EchoService, ServerStreamRequestSchema, UnaryRequestSchema } from "../gen/lictor/test/v1/echo_pb.ts";
import { eventually } from "../support/eventually.ts";
import { FrameLog, frame, preface, request, uint32 } from "../support/h2-wire.ts";
import { grpcFrame } from "../support/http2-call.ts";
import { createRecordingLogger } from "../support/recording-logger.ts";

const service = "/lictor.test.v1.EchoService";
const unaryRequest = toBinary(UnaryRequestSchema, create(UnaryRequestSchema, { text: "x" }));
const streamRequest = toBinary(ServerStreamRequestSchema, create(ServerStreamRequestSchema, { text: "x", count: 1 }));

/** A client that writes frames by hand. */
interface Client {
  readonly log: FrameLog;
  readonly clock: ManualClock;
  send(...frames: readonly Uint8Array[]): void;
  /** Ends its side. */
  end(): void;
  /** Resolves with the reason of the handler's signal. */
  readonly reason: Promise<unknown>;
  /** Resolves when the handler has been called. */
  readonly called: Promise<void>;
}

/** A server whose handlers answer nothing, or too much, and a client of it that has shaken hands. */
async function withClient(options: Partial<ServeOptions>, run: (client: Client) => Promise<void>): Promise<void> {
  const clock = createManualClock();
  const reason = Promise.withResolvers<unknown>();
  const called = Promise.withResolvers<void>();
  const watch = (signal: AbortSignal): void => {
    signal.addEventListener("abort", () => reason.resolve(signal.reason));
    called.resolve();
  };
  const server = serve({
    http2: "lictor",
    clock,
    routes: (router) =>
      router.service(EchoService, {
        unary(_, { signal }) {
          watch(signal);
          return new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
        },
        async *serverStream(_, { signal }) {
          watch(signal);
          for (let sent = 0; sent < 100; sent++) yield { text: "y".repeat(16_000) };
        },
      }),
    fallback: () => new Response("whole"),
    ...options,
  });
  const { port } = await server.ready;
  const log = new FrameLog();
  const socket = connect(port, "127.0.0.1");
  socket.on("data", (chunk) => log.add(chunk));
  socket.on("error", () => {});
  const closed = new Promise((resolve) => socket.once("close", resolve));
  await once(socket, "connect");
  const send = (...frames: readonly Uint8Array[]): void => {
    for (const bytes of frames) socket.write(bytes);
  };
  send(preface(), frame(4, 1, 0));
  await eventually("SETTINGS", () => log.ofType(4).length === 2);
  try {
    await run({ log, clock, send, end: () => socket.end(), reason: reason.promise, called: called.promise });
  } finally {
    socket.destroy();
    await closed;
    await server.close();
  }
}

/** The frames of a call, native gRPC or Connect's, whose request is whole unless it is said otherwise. */
function callFrames(contentType: string, isWhole = true): Uint8Array[] {
  const isGrpc = contentType === "application/grpc";
  const head = request(1, `${service}/Unary`, false, ["content-type", contentType, "te", "trailers"]);
  return [head, frame(0, isWhole ? 1 : 0, 1, isGrpc ? grpcFrame(unaryRequest) : unaryRequest)];
}

const ends: readonly {
  readonly name: string;
  readonly options?: Partial<ServeOptions>;
  readonly end: (client: Client) => unknown;
  readonly code: Code;
  readonly text: RegExp;
}[] = [
  {
    name: "the client resets the stream",
    end: ({ send }) => send(frame(3, 0, 1, uint32(8))),
    code: Code.Canceled,
    text: /^the client reset the stream with HTTP\/2 code 8 \(CANCEL\)$/,
  },
  {
    name: "the client closes the connection",
    end: (client) => client.end(),
    code: Code.Canceled,
    text: /^the client closed the connection$/,
  },
  {
    name: "the client offends on the stream",
    end: ({ send }) => send(frame(8, 0, 1, uint32(0))),
    code: Code.Internal,
    text: /^the stream was reset with HTTP\/2 code 1 \(PROTOCOL_ERROR\) as the client broke a rule of HTTP\/2$/,
  },
  {
    name: "the client offends on the connection",
    end: ({ send }) => send(frame(0, 0, 0, [1])),
    code: Code.Unavailable,
    text: /^the connection to the client ended: DATA came on stream 0$/,
  },
  {
    name: "the client answers no PING",
    options: { keepalive: { timeMs: 1000, timeoutMs: 1000 } },
    end: ({ clock }) => clock.advance(3000),
    code: Code.Unavailable,
    text: /^the connection to the client ended: the client answers no PING$/,
  },
];

for (const contentType of ["application/grpc", "application/proto"]) {
  describe(`a handler of ${contentType} is told why its call ended`, () => {
    for (const { name, options = {}, end, code, text } of ends) {
      test(`where ${name}`, () =>
        withClient(options, async (client) => {
          client.send(...callFrames(contentType));
          await client.called;
          await end(client);
          const reason = await client.reason;
          assert.ok(reason instanceof ConnectError, String(reason));
          assert.deepEqual([reason.code, Code[reason.code]], [code, Code[code]]);
          assert.match(reason.rawMessage, text);
        }));
    }
  });
}

describe("serve({ maxReaderPauseMs })", () => {
  test("resets a stream that nobody reads for so long, and tells its handler and the logger", () => {
    const logger = createRecordingLogger();
    return withClient({ maxReaderPauseMs: 2000, logger }, async ({ log, clock, send, called, reason }) => {
      const head = request(1, `${service}/ServerStream`, false, ["content-type", "application/grpc", "te", "trailers"]);
      // The connection's window is open, the stream's is not.
      send(frame(8, 0, 0, uint32(1_000_000)), head, frame(0, 1, 1, grpcFrame(streamRequest)));
      await called;
      const received = () => log.ofType(0).reduce((sum, { payload }) => sum + payload.length, 0);
      await eventually("a full window", () => received() === 65_535);
      await clock.advance(1900);
      assert.equal(log.ofType(3).length, 0);
      await clock.advance(1200);
      await eventually("RST_STREAM", () => log.ofType(3).length === 1);
      const why = (await reason) as ConnectError;
      assert.equal(why.code, Code.ResourceExhausted);
      assert.match(why.rawMessage, /ENHANCE_YOUR_CALM.*takes nothing of its answer/);
      const [line, ...more] = logger.lines.filter(({ message }) => message === "HTTP/2 stream failed");
      assert.deepEqual(more, []);
      assert.equal(line?.level, "debug");
      assert.match(String(line?.fields.error), /ENHANCE_YOUR_CALM.*takes nothing of its answer/);
    });
  });

  test("resets an answer that is whole and that nobody reads for so long, and tells the logger", () => {
    const logger = createRecordingLogger();
    const fallback = () => new Response("y".repeat(100_000));
    return withClient({ maxReaderPauseMs: 2000, logger, fallback }, async ({ log, clock, send }) => {
      send(frame(8, 0, 0, uint32(1_000_000)), request(1, "/x"));
      const received = () => log.ofType(0).reduce((sum, { payload }) => sum + payload.length, 0);
      await eventually("a full window", () => received() === 65_535);
      await clock.advance(3100);
      await eventually("RST_STREAM", () => log.ofType(3).length === 1);
      assert.equal(logger.count("HTTP/2 stream failed"), 1);
    });
  });

  test("lets readers pause for ever where it is Infinity", () =>
    withClient({ maxReaderPauseMs: Number.POSITIVE_INFINITY }, async ({ log, clock, send, called }) => {
      const head = request(1, `${service}/ServerStream`, false, ["content-type", "application/grpc", "te", "trailers"]);
      send(frame(8, 0, 0, uint32(1_000_000)), head, frame(0, 1, 1, grpcFrame(streamRequest)));
      await called;
      await eventually("a full window", () => log.ofType(0).length >= 4);
      await clock.advance(600_000);
      send(frame(8, 0, 1, uint32(100)));
      const received = () => log.ofType(0).reduce((sum, { payload }) => sum + payload.length, 0);
      await eventually("more", () => received() === 65_635);
      assert.equal(log.ofType(3).length, 0);
    }));
});

describe("a request that ends short of its content-length when its answer is whole", () => {
  // RFC 9113, section 8.1.1: malformed, and so a stream error of type PROTOCOL_ERROR, which takes nothing back of what was sent.
  test("is reset with PROTOCOL_ERROR behind the answer, and the connection goes on", () =>
    withClient({}, async ({ log, send }) => {
      send(request(1, "/x", false, ["content-length", "10"]));
      const ofStream = (id: number) => log.frames.filter(({ streamId }) => streamId === id);
      const isWhole = (id: number) => ofStream(id).some(({ type, flags }) => type === 0 && (flags & 1) === 1);
      await eventually("the answer", () => isWhole(1));
      assert.equal(log.ofType(3).length, 0);
      send(frame(0, 1, 1, [1, 2, 3]));
      await eventually("RST_STREAM", () => log.ofType(3).length === 1);
      const last = ofStream(1).at(-1);
      assert.deepEqual([last?.type, last?.payload], [3, uint32(1)]);
      send(request(3, "/x"));
      await eventually("another answer", () => isWhole(3));
      assert.equal(log.goaway, undefined);
    }));

  test("is late after native gRPC's answer, which has ended the stream in order", () =>
    withClient({}, async ({ log, send }) => {
      const more = [
        "content-type",
        "application/grpc",
        "te",
        "trailers",
        "grpc-encoding",
        "unknown",
        "content-length",
        "10",
      ];
      send(request(1, `${service}/Unary`, false, more));
      await eventually("RST_STREAM", () => log.ofType(3).length === 1);
      assert.deepEqual(
        log.frames.filter(({ streamId }) => streamId === 1).map(({ type }) => type),
        [1, 3],
      );
      assert.deepEqual(log.ofType(3)[0]?.payload, uint32(0));
      send(frame(0, 1, 1, [1, 2, 3]), request(3, "/x"));
      await eventually("another answer", () => log.frames.some(({ streamId, type }) => streamId === 3 && type === 0));
      assert.equal(log.ofType(3).length, 1);
      assert.equal(log.goaway, undefined);
    }));
});
