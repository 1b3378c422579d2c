// Streaming calls on the server's own path, over a connection in memory: both ways, with readers that lag behind on either side.

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import process from "node:process";
import { describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import { compressionGzip } from "@connectrpc/connect-node";
import {
  BidiRequestSchema,
  type ClientStreamRequest,
  EchoService,
  ServerStreamRequestSchema,
} from "../gen/lictor/test/v1/echo_pb.ts";
import { createGrpcPair, type GrpcPair, type GrpcPairOptions, type PairCall } from "../support/echo-grpc.ts";
import { createEchoService } from "../support/echo-service.ts";
import { eventually } from "../support/eventually.ts";
import { grpcFrame } from "../support/http2-call.ts";

const service = "/lictor.test.v1.EchoService";
const { serverStream, clientStream, bidi } = EchoService.method;
const smallWindows = { initialWindowBytes: 65_535, maxWindowBytes: 65_535 };

function serveWith(
  implementation: Partial<ServiceImpl<typeof EchoService>>,
  options: Omit<GrpcPairOptions, "routes"> = {},
): GrpcPair {
  return createGrpcPair({ ...options, routes: (router) => router.service(EchoService, implementation) });
}

const order = (count: number, text = "s"): Uint8Array =>
  grpcFrame(toBinary(ServerStreamRequestSchema, create(ServerStreamRequestSchema, { count, text })));
/** Of clientStream and bidi alike: their first field is the text. */
const piece = (text: string): Uint8Array => grpcFrame(toBinary(BidiRequestSchema, create(BidiRequestSchema, { text })));

async function ended(pair: GrpcPair, call: PairCall): Promise<void> {
  await eventually("the end of the call", async () => {
    await pair.settle();
    return call.heard.ended || call.heard.reset !== undefined;
  });
}

describe("a call that streams from the server", () => {
  test("sends what its handler yields, then the status", async () => {
    const pair = createGrpcPair({ routes: createEchoService() });
    const call = pair.open(`${service}/ServerStream`, { body: order(5) });
    await ended(pair, call);
    assert.deepEqual(
      call.messages(serverStream).map(({ index }) => index),
      [0, 1, 2, 3, 4],
    );
    assert.equal(call.fields["grpc-status"], "0");
    assert.equal(call.blocks, 2);
    assert.equal(pair.calls.size, 0);
  });

  test("has headers until its first message, and trailers until its end", async () => {
    const pair = serveWith({
      async *serverStream(_, { responseHeader, responseTrailer }) {
        responseHeader.set("x-before", "1");
        yield { index: 0 };
        responseHeader.set("x-after", "1");
        yield { index: 1 };
        responseTrailer.set("x-trailer", "1");
      },
    });
    const call = pair.open(`${service}/ServerStream`, { body: order(0) });
    await ended(pair, call);
    assert.equal(call.fields["x-before"], "1");
    assert.equal(call.fields["x-after"], undefined);
    assert.equal(call.fields["x-trailer"], "1");
  });

  test("may have no messages, and may fail before and after its first", async () => {
    const pair = serveWith({
      async *serverStream({ count }) {
        for (let index = 0; index < count; index++) yield { index };
        throw new ConnectError("enough", Code.DataLoss);
      },
    });
    const none = pair.open(`${service}/ServerStream`, { body: order(0) });
    const two = pair.open(`${service}/ServerStream`, { body: order(2) });
    await ended(pair, none);
    await ended(pair, two);
    assert.equal(none.blocks, 1);
    assert.equal(Number(none.fields["grpc-status"]), Code.DataLoss);
    assert.equal(two.messages(serverStream).length, 2);
    assert.equal(Number(two.fields["grpc-status"]), Code.DataLoss);
    const empty = createGrpcPair({ routes: createEchoService() });
    const call = empty.open(`${service}/ServerStream`, { body: order(0) });
    await ended(empty, call);
    assert.equal(call.blocks, 2);
    assert.equal(call.fields["grpc-status"], "0");
  });

  test("fails where the handler throws instead of giving an iterable, or gives none", async () => {
    for (const [handler, code] of [
      [
        () => {
          throw new ConnectError("no", Code.PermissionDenied);
        },
        Code.PermissionDenied,
      ],
      [() => undefined as never, Code.Internal],
      [
        () => {
          const rest: (Promise<IteratorResult<object>> | undefined)[] = [Promise.resolve({ done: false, value: {} })];
          const iterator: AsyncIterator<object> = {
            next: () => rest.shift() ?? new Promise(() => {}),
            return() {
              throw new Error("does not like to be told");
            },
          };
          return { [Symbol.asyncIterator]: () => iterator };
        },
        undefined,
      ],
    ] as const) {
      const pair = serveWith({ serverStream: handler });
      const call = pair.open(`${service}/ServerStream`, { body: order(1) });
      if (code === undefined) {
        await pair.settle();
        call.reset();
        await pair.settle();
      } else {
        await ended(pair, call);
        assert.equal(Number(call.fields["grpc-status"]), code);
      }
      assert.equal(pair.calls.size, 0);
    }
  });

  test("pulls its handler no faster than the client reads", async () => {
    let yielded = 0;
    const pair = serveWith(
      {
        async *serverStream() {
          for (; yielded < 100; yielded++) yield { text: "x".repeat(10_000) };
        },
      },
      { client: smallWindows },
    );
    const call = pair.open(`${service}/ServerStream`, { body: order(0), consume: false });
    await pair.settle();
    await pair.settle();
    // What the window takes, and the one that waits.
    assert.ok(yielded >= 6 && yielded <= 8, `${yielded} messages`);
    assert.ok(pair.server.pendingBytes < 20_000);
    while (!call.heard.ended) {
      pair.client.consumed(call.stream, call.stream.heldBytes);
      await pair.settle();
    }
    assert.equal(yielded, 100);
    assert.equal(call.messages(serverStream).length, 100);
  });

  test("whose generator never waits lets others have their turns, and holds little", async () => {
    let yielded = 0;
    let stop = false;
    let mostPending = 0;
    const pair = serveWith({
      async *serverStream() {
        while (!stop) {
          yielded++;
          yield { text: "x" };
        }
      },
    });
    const call = pair.open(`${service}/ServerStream`, { body: order(0) });
    pair.run();
    let turns = 0;
    for (; turns < 20; turns++) {
      await new Promise((resolve) => setTimeout(resolve, 0));
      mostPending = Math.max(mostPending, pair.server.pendingBytes);
      pair.run();
    }
    stop = true;
    await ended(pair, call);
    assert.ok(yielded > 20, `${yielded} messages`);
    assert.equal(call.messages(serverStream).length, yielded);
    assert.ok(mostPending < 1024 * 1024, `${mostPending} bytes`);
  });

  test("tells its handler's generator when the client cancels, and when the deadline passes", async () => {
    for (const how of ["cancel", "deadline"] as const) {
      const events: string[] = [];
      const waiting = Promise.withResolvers<void>();
      const pair = serveWith({
        async *serverStream(_, { signal }) {
          try {
            yield { index: 0 };
            signal.addEventListener("abort", () => waiting.resolve());
            await waiting.promise;
            events.push("aborted");
            yield { index: 1 };
            events.push("went on");
          } finally {
            events.push("finally");
          }
        },
      });
      const fields = how === "deadline" ? ["grpc-timeout", "1S"] : [];
      const call = pair.open(`${service}/ServerStream`, { body: order(0), fields });
      await pair.settle();
      if (how === "cancel") call.reset();
      else await pair.clock.advance(1001);
      await pair.settle();
      assert.deepEqual(events, ["aborted", "finally"]);
      assert.equal(call.messages(serverStream).length, 1);
      assert.equal(pair.calls.size, 0);
      if (how === "deadline") assert.equal(Number(call.fields["grpc-status"]), Code.DeadlineExceeded);
    }
  });

  test("compresses its messages as the request was, or as the server is told to, where they are worth it", async () => {
    const accept = ["grpc-accept-encoding", "gzip"];
    for (const [sendCompression, fields, isPacked] of [
      [undefined, accept, false],
      [undefined, [...accept, "grpc-encoding", "gzip"], true],
      [compressionGzip, accept, true],
      [compressionGzip, [], false],
    ] as const) {
      const pair = createGrpcPair({
        routes: createEchoService(),
        acceptCompression: [compressionGzip],
        ...(sendCompression && { sendCompression }),
      });
      const call = pair.open(`${service}/ServerStream`, { body: order(3, "x".repeat(5000)), fields });
      await ended(pair, call);
      assert.equal(call.fields["grpc-status"], "0");
      assert.equal(call.fields["grpc-encoding"], isPacked ? "gzip" : undefined);
      assert.equal(call.data[0], isPacked ? 1 : 0);
      assert.equal(call.data.length < 1000, isPacked);
    }
  });
});

describe("a call that streams from the client", () => {
  test("hands over messages however they come, then the end", async () => {
    for (const size of [1, 3, 7, 1000, 10_000]) {
      const long = "c".repeat(size < 5 ? 20 : 2000);
      const all = Buffer.concat(["a", "", long, "d"].map((text) => piece(text)));
      const pair = createGrpcPair({ routes: createEchoService() });
      const call = pair.open(`${service}/ClientStream`);
      for (let at = 0; at < all.length; at += size) {
        call.send(all.subarray(at, at + size), at + size >= all.length);
        if (size > 1) pair.run();
      }
      await ended(pair, call);
      assert.equal(call.messages(clientStream)[0]?.text, `a,,${long},d`, `pieces of ${size}`);
      assert.equal(call.fields["grpc-status"], "0");
    }
  });

  test("may have no messages", async () => {
    const pair = createGrpcPair({ routes: createEchoService() });
    const call = pair.open(`${service}/ClientStream`, { body: new Uint8Array(0) });
    await ended(pair, call);
    assert.equal(call.messages(clientStream)[0]?.count, 0);
  });

  test("makes a client wait whose handler does not read, and lets it go on when it does", async () => {
    const mayRead = Promise.withResolvers<void>();
    const pair = serveWith(
      {
        async clientStream(requests) {
          await mayRead.promise;
          let count = 0;
          for await (const _ of requests) count++;
          return { count };
        },
      },
      { server: { ...smallWindows, connectionWindowBytes: 4 * 1024 * 1024 } },
    );
    const call = pair.open(`${service}/ClientStream`);
    const bytes = piece("x".repeat(1000));
    for (let sent = 0; sent < 200; sent++) call.send(bytes);
    call.send(new Uint8Array(0), true);
    await pair.settle();
    // The window is full: the rest waits with the client.
    assert.ok(pair.client.pendingBytes > 100_000, `${pair.client.pendingBytes} bytes`);
    mayRead.resolve();
    await ended(pair, call);
    assert.equal(call.messages(clientStream)[0]?.count, 200);
    assert.equal(pair.client.pendingBytes, 0);
  });

  test("takes a message larger than its window, also behind one that is not read yet", async () => {
    const pair = serveWith(
      {
        async clientStream(requests) {
          let text = "";
          for await (const request of requests) {
            await new Promise((resolve) => setTimeout(resolve, 2));
            text += request.text.length;
          }
          return { text };
        },
      },
      { server: smallWindows },
    );
    const call = pair.open(`${service}/ClientStream`);
    call.send(piece("a"));
    call.send(piece("b".repeat(300_000)));
    call.send(piece("c"), true);
    await ended(pair, call);
    assert.equal(call.messages(clientStream)[0]?.text, "13000001");
  });

  test("gives back what its handler leaves unread", async () => {
    const pair = serveWith(
      {
        async clientStream(requests) {
          for await (const { text } of requests) {
            // Leaves the loop: the iterator's return() is called.
            if (text === "enough") break;
          }
          await new Promise((resolve) => setTimeout(resolve, 5));
          return { count: 1 };
        },
      },
      { server: smallWindows },
    );
    const call = pair.open(`${service}/ClientStream`);
    call.send(piece("enough"));
    for (let sent = 0; sent < 200; sent++) call.send(piece("x".repeat(1000)));
    await ended(pair, call);
    assert.equal(call.messages(clientStream)[0]?.count, 1);
    assert.equal(call.fields["grpc-status"], "0");
    // The client had not ended: it is told to stop.
    assert.equal(pair.server.streamCount, 0);
    assert.equal(pair.client.streamCount, 0);
  });

  test("tells its handler of what is wrong with the request where it comes to it", async () => {
    const seen: unknown[] = [];
    const pair = serveWith(
      {
        async clientStream(requests) {
          let count = 0;
          try {
            for await (const _ of requests) count++;
          } catch (error) {
            seen.push(count, (error as ConnectError).code);
            throw error;
          }
          return { count };
        },
      },
      { readMaxBytes: 100 },
    );
    const cases: [Code, Uint8Array][] = [
      [Code.InvalidArgument, piece("cut off").subarray(0, 8)],
      [Code.ResourceExhausted, piece("x".repeat(200))],
      [Code.Internal, new Uint8Array([3, 0, 0, 0, 0])],
      [Code.Internal, grpcFrame(new Uint8Array([0xff]))],
      [Code.Internal, new Uint8Array([1, 0, 0, 0, 1, 0])],
    ];
    for (const [code, bytes] of cases) {
      seen.length = 0;
      const call = pair.open(`${service}/ClientStream`, { body: Buffer.concat([piece("a"), piece("b"), bytes]) });
      await ended(pair, call);
      assert.deepEqual(seen, [2, code]);
      assert.equal(Number(call.fields["grpc-status"]), code);
    }
  });

  test("unpacks messages, each as its own flag says", async () => {
    const pair = createGrpcPair({ routes: createEchoService(), acceptCompression: [compressionGzip] });
    const packedPiece = grpcFrame(gzipSync(piece("packed").subarray(5)));
    packedPiece[0] = 1;
    const call = pair.open(`${service}/ClientStream`, {
      fields: ["grpc-encoding", "gzip"],
      body: Buffer.concat([packedPiece, piece("plain"), packedPiece]),
    });
    await ended(pair, call);
    assert.equal(call.messages(clientStream)[0]?.text, "packed,plain,packed");
  });

  test("fails the handler's reading when the client cancels, when the deadline passes, and when it is cut", async () => {
    for (const [how, code] of [
      ["cancel", Code.Canceled],
      ["deadline", Code.DeadlineExceeded],
      ["cut", Code.Unavailable],
    ] as const) {
      const failure = Promise.withResolvers<unknown>();
      const pair = serveWith({
        async clientStream(requests) {
          try {
            for await (const _ of requests);
          } catch (error) {
            failure.resolve(error);
            throw error;
          }
          return {};
        },
      });
      const call = pair.open(`${service}/ClientStream`, { fields: ["grpc-timeout", "1S"] });
      call.send(piece("a"));
      await pair.settle();
      if (how === "cancel") call.reset();
      else if (how === "deadline") await pair.clock.advance(1001);
      else pair.calls.cut(new ConnectError("over", Code.Unavailable));
      await pair.settle();
      assert.equal(((await failure.promise) as ConnectError).code, code);
      assert.deepEqual(pair.logger.lines, []);
      assert.equal(pair.calls.size, 0);
    }
  });

  test("answers a reader that asks for several messages at once in order", async () => {
    const pair = serveWith({
      async clientStream(requests) {
        const iterator = requests[Symbol.asyncIterator]() as AsyncIterator<ClientStreamRequest>;
        const results = await Promise.all([iterator.next(), iterator.next(), iterator.next(), iterator.next()]);
        return { text: results.map(({ done, value }) => (done === true ? "end" : value.text)).join() };
      },
    });
    const call = pair.open(`${service}/ClientStream`);
    await pair.settle();
    call.send(piece("a"));
    await pair.settle();
    call.send(Buffer.concat([piece("b"), piece("c")]), true);
    await ended(pair, call);
    assert.equal(call.messages(clientStream)[0]?.text, "a,b,c,end");
  });

  test("keeps what is unread as bytes: a client that sends tiny pieces makes it hold no more", async () => {
    const mayRead = Promise.withResolvers<void>();
    const pair = serveWith({
      async clientStream(requests) {
        await mayRead.promise;
        let count = 0;
        for await (const _ of requests) count++;
        return { count };
      },
    });
    const call = pair.open(`${service}/ClientStream`);
    const before = process.memoryUsage();
    // Messages without a byte, two a frame.
    const two = new Uint8Array(10);
    for (let sent = 0; sent < 20_000; sent++) {
      call.send(two);
      if (sent % 1000 === 0) pair.run();
    }
    pair.run();
    const { arrayBuffers } = process.memoryUsage();
    assert.ok(arrayBuffers - before.arrayBuffers < 16 * 1024 * 1024);
    call.send(new Uint8Array(0), true);
    mayRead.resolve();
    await ended(pair, call);
    assert.equal(call.messages(clientStream)[0]?.count, 40_000);
  });
});

describe("a call that streams both ways", () => {
  test("answers each message before the next comes", async () => {
    const pair = createGrpcPair({ routes: createEchoService() });
    const call = pair.open(`${service}/Bidi`);
    for (const [index, text] of ["a", "b", "c"].entries()) {
      call.send(piece(text));
      await pair.settle();
      assert.deepEqual(
        call.messages(bidi).map((message) => message.text),
        ["a", "b", "c"].slice(0, index + 1),
      );
    }
    call.send(new Uint8Array(0), true);
    await ended(pair, call);
    assert.equal(call.fields["grpc-status"], "0");
  });

  test("may be answered in full before the client has sent anything, which then is told to stop", async () => {
    const pair = serveWith({
      async *bidi() {
        yield { text: "done" };
      },
    });
    const call = pair.open(`${service}/Bidi`);
    await ended(pair, call);
    assert.equal(call.messages(bidi)[0]?.text, "done");
    assert.equal(call.fields["grpc-status"], "0");
    assert.equal(pair.server.streamCount, 0);
  });

  test("begins before the first message, and aborts its signal at its end", async () => {
    let context: HandlerContext | undefined;
    const pair = serveWith({
      async *bidi(requests, given) {
        context = given;
        for await (const { text } of requests) yield { text };
      },
    });
    const call = pair.open(`${service}/Bidi`);
    await pair.settle();
    const signal = context?.signal;
    assert.equal(signal?.aborted, false);
    call.send(piece("a"), true);
    await ended(pair, call);
    assert.equal(signal?.aborted, true);
  });

  test("is held back by a client that does not read", async () => {
    const pair = createGrpcPair({ routes: createEchoService(), client: smallWindows, server: smallWindows });
    const call = pair.open(`${service}/Bidi`, { consume: false });
    for (let sent = 0; sent < 300; sent++) call.send(piece("x".repeat(1000)), sent === 299);
    await pair.settle();
    // Both windows are full: the server reads no more than it can answer.
    assert.ok(pair.client.pendingBytes > 100_000, `${pair.client.pendingBytes} bytes`);
    assert.ok(pair.server.pendingBytes < 5000, `${pair.server.pendingBytes} bytes`);
    while (!call.heard.ended) {
      pair.client.consumed(call.stream, call.stream.heldBytes);
      await pair.settle();
    }
    assert.equal(call.messages(bidi).length, 300);
  });
});
