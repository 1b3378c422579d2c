import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createAsyncIterable, createWritableIterable } from "@connectrpc/connect/protocol";
import { callFate, markUnprocessed } from "../../src/core/call-fate.ts";
import { streamGzip } from "../../src/grpc/compression.ts";
import {
  BidiRequestSchema,
  ClientStreamRequestSchema,
  ClientStreamResponseSchema,
  EchoService,
  ServerStreamResponseSchema,
} from "../gen/lictor/test/v1/echo_pb.ts";
import { eventually } from "../support/eventually.ts";
import { createGrpcPair, type GrpcPairOptions, type ServedCall } from "../support/grpc-pair.ts";
import { grpcFrame } from "../support/http2-call.ts";
import { rejection } from "../support/rejection.ts";

const cancel = 8;
const { serverStream, clientStream, bidi } = EchoService.method;

async function pairWith(onRequest: (call: ServedCall) => void, options: GrpcPairOptions = {}) {
  const pair = await createGrpcPair({ onRequest, ...options });
  return { pair, client: createClient(EchoService, pair.transport) };
}

function item(index: number, text = "s"): Uint8Array {
  return toBinary(ServerStreamResponseSchema, create(ServerStreamResponseSchema, { text, index }));
}

function sendItems(call: ServedCall, count: number): void {
  call.head("x-head", "h");
  for (let index = 0; index < count; index++) call.message(item(index));
}

/** The messages of a request as the server has them. */
function requestsOf(call: ServedCall | undefined): Uint8Array[] {
  const bytes = Buffer.concat(call?.pieces ?? []);
  const messages: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt32BE(at + 1);
    messages.push(bytes.subarray(at + 5, at + 5 + length));
    at += 5 + length;
  }
  return messages;
}

/** Sends one request; the answer's iterator and what surrounds it. */
async function openServerStream(pair: Awaited<ReturnType<typeof createGrpcPair>>, signal?: AbortSignal) {
  const response = await pair.transport.stream(
    serverStream,
    signal,
    undefined,
    undefined,
    createAsyncIterable([{ text: "x" }]),
  );
  return { response, iterator: response.message[Symbol.asyncIterator]() };
}

describe("SessionTransport.stream() reading", () => {
  test("answers with the header at once, then messages, then the trailer", async () => {
    const { pair } = await pairWith((call) => call.head("x-head", "h"));
    const { response, iterator } = await openServerStream(pair);
    const copy = { ...response };
    assert.equal(copy.header.get("x-head"), "h");
    assert.equal(copy.trailer.get("x-trail"), null);
    const first = iterator.next();
    pair.calls[0]?.message(item(0));
    assert.equal((await first).value?.index, 0);
    pair.calls[0]?.message(item(1));
    pair.calls[0]?.trailers("grpc-status", "0", "x-trail", "t");
    await pair.clock.advance(0);
    assert.equal((await iterator.next()).value?.index, 1);
    assert.deepEqual(await iterator.next(), { done: true, value: undefined });
    assert.deepEqual(await iterator.next(), { done: true, value: undefined });
    assert.equal(copy.trailer.get("x-trail"), "t");
    assert.equal(pair.calls[0]?.pieces.length, 1, "the request and its end are one frame");
    await pair[Symbol.asyncDispose]();
  });

  test("gives messages in order to a reader who does not wait for each", async () => {
    const { pair } = await pairWith((call) => call.head());
    const { iterator } = await openServerStream(pair);
    const results = [iterator.next(), iterator.next(), iterator.next(), iterator.next(), iterator.next()];
    for (let index = 0; index < 3; index++) pair.calls[0]?.message(item(index));
    pair.calls[0]?.trailers();
    assert.deepEqual(
      (await Promise.all(results)).map((result) => result.value?.index),
      [0, 1, 2, undefined, undefined],
    );
    await pair[Symbol.asyncDispose]();
  });

  test("carries many messages in pieces of any size", async () => {
    const count = 5000;
    const { pair, client } = await pairWith((call) => {
      call.head();
      const bytes = Buffer.concat(
        Array.from({ length: count }, (_, index) => {
          const message = item(index, "x".repeat(index % 50));
          return Buffer.concat([Uint8Array.of(0, 0, 0, 0, message.length), message]);
        }),
      );
      for (let at = 0; at < bytes.length; at += 977) call.data(bytes.subarray(at, at + 977));
      call.trailers();
    });
    let index = 0;
    for await (const message of client.serverStream({})) {
      assert.equal(message.index, index);
      assert.equal(message.text.length, index % 50);
      index++;
    }
    assert.equal(index, count);
    await pair[Symbol.asyncDispose]();
  });

  test("keeps messages in order that come one a frame, in pieces and several at once, while their reader is busy", async () => {
    const counts = [1, 1, 1, 0, 3, 1, 1];
    let served: ServedCall | undefined;
    const { pair, client } = await pairWith((call) => {
      served = call;
      call.head();
    });
    await using _pair = pair;
    const reading = client.serverStream({ text: "x" })[Symbol.asyncIterator]();
    const first = reading.next();
    await eventually("the call", () => served !== undefined);
    const frames = counts.map((count, at) => {
      const from = counts.slice(0, at).reduce((sum, one) => sum + one, 0);
      return Buffer.concat(Array.from({ length: count }, (_, index) => grpcFrame(item(from + index))));
    });
    // The fourth one is the fifth's beginning.
    const split = frames[4] ?? Buffer.alloc(0);
    frames.splice(3, 2, split.subarray(0, 7), split.subarray(7));
    for (const frame of frames) {
      served?.data(frame);
      await new Promise((resolve) => setImmediate(resolve));
    }
    served?.trailers();
    const indexes = [(await first).value?.index];
    for (let next = await reading.next(); next.done !== true; next = await reading.next())
      indexes.push(next.value.index);
    assert.deepEqual(indexes, [0, 1, 2, 3, 4, 5, 6, 7]);
  });

  test("a slow reader stops the sender at the window, and lets it go on by reading", async () => {
    const payload = "x".repeat(10_000);
    const count = 200;
    const { pair } = await pairWith((call) => {
      call.head();
      for (let index = 0; index < count; index++) call.message(item(index, payload));
      call.trailers();
    });
    const { iterator } = await openServerStream(pair);
    await pair.clock.advance(0);
    const waiting = pair.server.connection.pendingBytes;
    assert.ok(waiting > count * 10_000 - 300_000, `${waiting} wait`);
    for (let index = 0; index < 10; index++) await iterator.next();
    await pair.clock.advance(0);
    assert.ok(pair.server.connection.pendingBytes >= waiting - 300_000);
    let read = 10;
    while (!(await iterator.next()).done) read++;
    assert.equal(read, count);
    await pair[Symbol.asyncDispose]();
  });

  test("a message larger than the window comes through", async () => {
    const text = "x".repeat(3 * 1024 * 1024);
    const { pair, client } = await pairWith((call) => {
      call.head();
      call.message(item(1, text));
      call.message(item(2, text));
      call.trailers();
    });
    const lengths: number[] = [];
    for await (const message of client.serverStream({})) lengths.push(message.text.length);
    assert.deepEqual(lengths, [text.length, text.length]);
    await pair[Symbol.asyncDispose]();
  });

  test("gives the messages before a failure first, then the error once", async () => {
    const ends: readonly (readonly [what: string, code: Code, end: (call: ServedCall) => void])[] = [
      ["a status", Code.Aborted, (call) => call.trailers("grpc-status", "10", "grpc-message", "no")],
      ["no trailers", Code.Internal, (call) => call.data(new Uint8Array(0), true)],
      ["a reset", Code.ResourceExhausted, (call) => call.reset(11)],
      ["unknown flags", Code.Internal, (call) => call.data(Uint8Array.of(9, 0, 0, 0, 0))],
      [
        "half a message",
        Code.Internal,
        (call) => {
          call.data(Uint8Array.of(0, 0, 0, 0, 9, 1));
          call.trailers();
        },
      ],
    ];
    for (const [what, code, end] of ends) {
      const { pair } = await pairWith((call) => {
        sendItems(call, 3);
        end(call);
      });
      const { iterator } = await openServerStream(pair);
      await pair.clock.advance(0);
      for (let index = 0; index < 3; index++) assert.equal((await iterator.next()).value?.index, index, what);
      const error = await rejection(iterator.next());
      assert.equal(Code[error.code], Code[code], what);
      if (code === Code.Aborted) assert.equal(error.metadata.get("x-head"), "h");
      assert.deepEqual(await iterator.next(), { done: true, value: undefined });
      assert.equal(pair.session.connection.streamCount, 0);
      await pair[Symbol.asyncDispose]();
    }
  });

  test("a message that cannot be decoded fails the call, and the server sees CANCEL", async () => {
    const { pair } = await pairWith((call) => {
      call.head();
      call.message(Uint8Array.of(0x0a, 0x7f));
      call.message(item(1));
    });
    const { iterator } = await openServerStream(pair);
    assert.equal((await rejection(iterator.next())).code, Code.Internal);
    assert.equal((await iterator.next()).done, true);
    await pair.clock.advance(0);
    assert.equal(pair.calls[0]?.resetCode, cancel);
    await pair[Symbol.asyncDispose]();
  });

  test("trailers only: an error rejects the call, ok is an answer without messages", async () => {
    const { pair, client } = await pairWith((call) =>
      call.sendHeaders([":status", "200", "content-type", "application/grpc", "grpc-status", "12", "x-t", "1"], true),
    );
    const error = await rejection(openServerStream(pair));
    assert.equal(error.code, Code.Unimplemented);
    assert.equal(error.metadata.get("x-t"), "1");
    await pair[Symbol.asyncDispose]();
    const fine = await pairWith((call) =>
      call.sendHeaders([":status", "200", "content-type", "application/grpc", "grpc-status", "0", "x-t", "1"], true),
    );
    let trailer = "";
    const received: unknown[] = [];
    const options = { onTrailer: (headers: Headers) => (trailer = headers.get("x-t") ?? "") };
    for await (const message of createClient(EchoService, fine.pair.transport).serverStream({}, options)) {
      received.push(message);
    }
    assert.deepEqual([received.length, trailer], [0, "1"]);
    void client;
    await fine.pair[Symbol.asyncDispose]();
  });

  test("break cancels the call, and throw() too", async () => {
    const { pair } = await pairWith((call) => sendItems(call, 5));
    const { response } = await openServerStream(pair);
    for await (const message of response.message) if (message.index === 2) break;
    await pair.clock.advance(0);
    assert.equal(pair.calls[0]?.resetCode, cancel);
    const { iterator } = await openServerStream(pair);
    await assert.rejects(iterator.throw?.(new Error("mine")) ?? Promise.resolve(), /mine/);
    assert.equal((await iterator.next()).done, true);
    await pair.clock.advance(0);
    assert.equal(pair.calls[1]?.resetCode, cancel);
    await pair[Symbol.asyncDispose]();
  });

  test("an abort fails the reader at once, also after everything has come", async () => {
    const { pair } = await pairWith((call) => {
      sendItems(call, 5);
      if (pair.calls.length === 2) call.trailers();
    });
    for (const expected of [cancel, undefined]) {
      const controller = new AbortController();
      const { iterator } = await openServerStream(pair, controller.signal);
      await pair.clock.advance(0);
      await iterator.next();
      controller.abort();
      assert.equal((await rejection(iterator.next())).code, Code.Canceled);
      await pair.clock.advance(0);
      assert.equal(pair.calls.at(-1)?.resetCode, expected);
    }
    await pair[Symbol.asyncDispose]();
  });

  test("a deadline that passes fails a reader that waits", async () => {
    const { pair, client } = await pairWith((call) => sendItems(call, 1));
    const texts: number[] = [];
    const failed = rejection(
      (async () => {
        for await (const message of client.serverStream({}, { timeoutMs: 100 })) texts.push(message.index);
      })(),
    );
    await pair.clock.advance(101);
    assert.equal((await failed).code, Code.DeadlineExceeded);
    assert.deepEqual(texts, [0]);
    assert.equal(pair.calls[0]?.resetCode, cancel);
    await pair[Symbol.asyncDispose]();
  });

  test("reads compressed messages in order, and says so where they are too large", async () => {
    const bytes = await Promise.all([item(0), item(1)].map((message) => streamGzip.compress(message)));
    const large = await streamGzip.compress(item(2, "x".repeat(100_000)));
    const { pair } = await pairWith(
      (call) => {
        call.head("grpc-encoding", "gzip");
        for (const one of bytes) call.message(one, true);
        call.message(item(7));
        call.message(large, true);
        call.trailers();
      },
      { acceptCompression: [streamGzip], maxReceiveBytes: 50_000 },
    );
    const { iterator } = await openServerStream(pair);
    const results = [iterator.next(), iterator.next(), iterator.next()];
    assert.deepEqual(
      (await Promise.all(results)).map((result) => result.value?.index),
      [0, 1, 7],
    );
    assert.equal((await rejection(iterator.next())).code, Code.ResourceExhausted);
    assert.equal((await iterator.next()).done, true);
    await pair[Symbol.asyncDispose]();
  });
});

describe("SessionTransport.stream() sending", () => {
  function answerCount(call: ServedCall): void {
    call.head();
    const count = requestsOf(call).length;
    call.message(toBinary(ClientStreamResponseSchema, create(ClientStreamResponseSchema, { count })));
    call.trailers();
  }

  test("sends every message, then the end", async () => {
    const { pair, client } = await pairWith(answerCount);
    const texts = ["a", "b", "", "c".repeat(100_000)];
    const answer = await client.clientStream(createAsyncIterable(texts.map((text) => ({ text }))));
    assert.equal(answer.count, 4);
    const received = requestsOf(pair.calls[0]).map((bytes) => fromBinary(ClientStreamRequestSchema, bytes).text);
    assert.deepEqual(received, texts);
    assert.equal((await client.clientStream(createAsyncIterable([]))).count, 0);
    await pair[Symbol.asyncDispose]();
  });

  test("asks for messages only as fast as the server takes them", async () => {
    const { pair, client } = await pairWith(answerCount, { consumes: false });
    let asked = 0;
    async function* source() {
      for (; asked < 100; asked++) yield { text: "x".repeat(32 * 1024) };
    }
    const answer = client.clientStream(source());
    await pair.clock.advance(0);
    const before = asked;
    assert.ok(before < 20, `${before} were asked for`);
    await pair.clock.advance(0);
    assert.equal(asked, before);
    let given = 0;
    while (!pair.calls[0]?.ended) {
      const held = Buffer.concat(pair.calls[0]?.pieces ?? []).length;
      pair.calls[0]?.consume(held - given);
      given = held;
      await pair.clock.advance(0);
    }
    assert.equal((await answer).count, 100);
    await pair[Symbol.asyncDispose]();
  });

  test("a source that never waits lets others have a turn", async () => {
    const { pair, client } = await pairWith(answerCount);
    let isOn = true;
    async function* source() {
      while (isOn) yield { text: "" };
    }
    const timer = setTimeout(() => {
      isOn = false;
    }, 1);
    const answer = client.clientStream(source());
    while (!pair.calls[0]?.ended) await pair.clock.advance(0);
    clearTimeout(timer);
    assert.ok((await answer).count > 0);
    await pair[Symbol.asyncDispose]();
  });

  test("both ways at once, message by message", async () => {
    const { pair, client } = await pairWith(() => {}, { onCall: (call) => call.head() });
    const requests = createWritableIterable<{ text: string }>();
    const answers = client.bidi(requests)[Symbol.asyncIterator]();
    for (let index = 0; index < 5; index++) {
      const next = answers.next();
      await requests.write({ text: `t${index}` });
      await pair.clock.advance(0);
      const received = requestsOf(pair.calls[0]).at(-1) ?? new Uint8Array(0);
      assert.equal(fromBinary(BidiRequestSchema, received).text, `t${index}`);
      pair.calls[0]?.message(item(index));
      assert.equal((await next).value?.index, index);
    }
    requests.close();
    await pair.clock.advance(0);
    assert.equal(pair.calls[0]?.ended, true);
    pair.calls[0]?.trailers();
    assert.equal((await answers.next()).done, true);
    await pair[Symbol.asyncDispose]();
  });

  test("a source that fails ends the call with its error, and the server sees CANCEL", async () => {
    const { pair, client } = await pairWith(answerCount);
    for (const [thrown, code] of [
      [new Error("mine"), Code.Unknown],
      [new ConnectError("mine", Code.DataLoss), Code.DataLoss],
    ] as const) {
      async function* source() {
        yield { text: "1" };
        throw thrown;
      }
      const error = await rejection(client.clientStream(source()));
      assert.equal(error.code, code);
      assert.equal(error.rawMessage, "mine");
      await pair.clock.advance(0);
      assert.equal(pair.calls.at(-1)?.resetCode, cancel);
    }
    await pair[Symbol.asyncDispose]();
  });

  test("a message that cannot be sent fails the call", async () => {
    const { pair, client } = await pairWith(answerCount, { maxSendBytes: 10 });
    const error = await rejection(client.clientStream(createAsyncIterable([{ text: "x".repeat(20) }])));
    assert.equal(error.code, Code.ResourceExhausted);
    await pair[Symbol.asyncDispose]();
  });

  test("an answer that ends first is whole; the source is told, the server gets CANCEL for the rest", async () => {
    const { pair } = await pairWith(() => {}, {
      onCall(call) {
        call.head();
        call.message(item(1));
        call.trailers();
      },
    });
    let closed = false;
    async function* source() {
      try {
        for (;;) {
          yield { text: "x" };
          await pair.clock.advance(0);
        }
      } finally {
        closed = true;
      }
    }
    const response = await pair.transport.stream(bidi, undefined, undefined, undefined, source());
    const received: unknown[] = [];
    for await (const message of response.message) received.push(message);
    assert.equal(received.length, 1);
    await eventually("the source is closed", () => closed);
    assert.equal(pair.session.connection.streamCount, 0);
    await pair[Symbol.asyncDispose]();
  });

  test("a failure is thrown into the source, unless nothing was asked of it and the call may go elsewhere", async () => {
    const { pair } = await pairWith(() => {}, { serverLimits: { maxConcurrentStreams: 1 } });
    const told: string[] = [];
    const source = (name: string): AsyncIterable<{ text: string }> => ({
      [Symbol.asyncIterator]: () => ({
        next: () => {
          told.push(`${name} next`);
          return new Promise(() => {});
        },
        throw: (error: unknown) => {
          told.push(`${name} ${ConnectError.from(error).rawMessage}`);
          return Promise.reject(error);
        },
        return: () => {
          told.push(`${name} return`);
          return Promise.resolve({ done: true, value: undefined });
        },
      }),
    });
    const controller = new AbortController();
    const sent = rejection(
      pair.transport.stream(clientStream, controller.signal, undefined, undefined, source("sent")),
    );
    const waiting = rejection(pair.transport.stream(clientStream, undefined, undefined, undefined, source("waiting")));
    const late = rejection(pair.transport.stream(clientStream, undefined, 10, undefined, source("late")));
    await pair.clock.advance(20);
    assert.equal((await late).code, Code.DeadlineExceeded);
    pair.server.leave();
    assert.equal(callFate(await waiting), "unprocessed");
    controller.abort(new Error("enough"));
    await sent;
    assert.deepEqual(told, ["sent next", "late the operation timed out", "late return", "sent enough", "sent return"]);
    await pair[Symbol.asyncDispose]();
  });

  test("a source that fails with another call's failure does not hand its fate on", async () => {
    const { pair } = await pairWith(() => {});
    async function* source(): AsyncGenerator<{ text: string }> {
      yield { text: "1" };
      throw markUnprocessed(new ConnectError("another call was refused", Code.Unavailable));
    }
    const error = await rejection(pair.transport.stream(clientStream, undefined, undefined, undefined, source()));
    assert.deepEqual([error.code, error.rawMessage], [Code.Unavailable, "another call was refused"]);
    assert.equal(callFate(error), "maybe-processed");
    await pair[Symbol.asyncDispose]();
  });

  test("compresses messages of some size where that is asked for", async () => {
    const { pair, client } = await pairWith(answerCount, { sendCompression: streamGzip, compressMinBytes: 50 });
    const texts = ["short", "long".repeat(50), "short"];
    await client.clientStream(createAsyncIterable(texts.map((text) => ({ text }))));
    const [first, second = new Uint8Array(0), third] = requestsOf(pair.calls[0]);
    assert.equal(fromBinary(ClientStreamRequestSchema, first ?? new Uint8Array(0)).text, "short");
    assert.equal(fromBinary(ClientStreamRequestSchema, third ?? new Uint8Array(0)).text, "short");
    const message = await streamGzip.decompress(second, 10_000);
    assert.equal(fromBinary(ClientStreamRequestSchema, message).text, texts[1]);
    await pair[Symbol.asyncDispose]();
  });

  test("a connection that is cut fails the call as unavailable, and stops the source", async () => {
    const { pair, client } = await pairWith(() => {});
    let closed = false;
    async function* source() {
      try {
        for (;;) {
          yield { text: "x" };
          await pair.clock.advance(0);
        }
      } finally {
        closed = true;
      }
    }
    const failed = rejection(client.clientStream(source()));
    await pair.clock.advance(0);
    pair.session.destroy(new Error("cut"));
    const error = await failed;
    assert.equal(error.code, Code.Unavailable);
    assert.match(error.rawMessage, /peer\.test:1: cut/);
    await pair.clock.advance(0);
    await eventually("the source is closed", () => closed);
    await pair[Symbol.asyncDispose]();
  });
});
