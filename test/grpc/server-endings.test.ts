// How calls end on the server's own path other than by their handler: deadlines, cancellation, cuts, and readers that lag behind.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import { ErrorCode } from "../../src/http2/error-code.ts";
import { EchoService, UnaryRequestSchema } from "../gen/lictor/test/v1/echo_pb.ts";
import { createGrpcPair, type GrpcPair, type GrpcPairOptions } from "../support/echo-grpc.ts";
import { grpcFrame } from "../support/http2-call.ts";

const path = "/lictor.test.v1.EchoService/Unary";
const body = grpcFrame(toBinary(UnaryRequestSchema, create(UnaryRequestSchema, { text: "x" })));

/** A handler that a test lets go of. */
function createSlowHandler() {
  const contexts: HandlerContext[] = [];
  let settle: PromiseWithResolvers<{ text: string }> = Promise.withResolvers();
  return {
    contexts,
    answer: () => settle.resolve({ text: "late" }),
    fail: (error: unknown) => settle.reject(error),
    handle(_: unknown, context: HandlerContext) {
      contexts.push(context);
      settle = Promise.withResolvers();
      return settle.promise;
    },
  };
}

function start(options: Omit<GrpcPairOptions, "routes"> = {}) {
  const handler = createSlowHandler();
  const pair: GrpcPair = createGrpcPair({
    ...options,
    routes: (router) => router.service(EchoService, { unary: handler.handle }),
  });
  return { handler, pair };
}

function reasonOf(context: HandlerContext | undefined): unknown {
  assert.equal(context?.signal.aborted, true);
  return context?.signal.reason;
}

function assertCode(error: unknown, code: Code): void {
  assert.ok(error instanceof ConnectError, String(error));
  assert.equal(error.code, code);
}

describe("a deadline", () => {
  test("ends a call with deadline_exceeded when it passes, whatever its handler does", async () => {
    const { handler, pair } = start();
    const call = pair.open(path, { body, fields: ["grpc-timeout", "100m"] });
    await pair.settle();
    const { signal } = handler.contexts[0]!;
    await pair.clock.advance(99);
    await pair.settle();
    assert.equal(signal.aborted, false);
    assert.equal(pair.calls.size, 1);
    await pair.clock.advance(2);
    await pair.settle();
    assertCode(reasonOf(handler.contexts[0]), Code.DeadlineExceeded);
    assert.equal((signal.reason as ConnectError).rawMessage, "the operation timed out");
    assert.equal(Number(call.fields["grpc-status"]), Code.DeadlineExceeded);
    assert.equal(pair.calls.size, 0);
    handler.answer();
    await pair.settle();
    assert.equal(call.data.length, 0);
    assert.equal(pair.clock.pending, 0);
  });

  test("ends a call whose request never becomes whole", async () => {
    const { pair } = start();
    const call = pair.open(path, { fields: ["grpc-timeout", "5S"] });
    call.send(body.subarray(0, 4));
    await pair.settle();
    await pair.clock.advance(5001);
    await pair.settle();
    assert.equal(Number(call.fields["grpc-status"]), Code.DeadlineExceeded);
    assert.equal(pair.server.streamCount, 0);
  });

  test("lets go of what came of such a request", async () => {
    const { pair } = start({ readMaxBytes: 1_000_000 });
    const large = grpcFrame(new Uint8Array(900_000));
    const call = pair.open(path, { fields: ["grpc-timeout", "5S"] });
    call.send(large.subarray(0, 500_000));
    await pair.settle();
    assert.equal(pair.partial.bytes, 900_000);
    await pair.clock.advance(5001);
    await pair.settle();
    assert.equal(pair.partial.bytes, 0);
  });

  test("leaves no timer behind when the call is answered in time", async () => {
    const { handler, pair } = start();
    const call = pair.open(path, { body, fields: ["grpc-timeout", "1H"] });
    await pair.settle();
    handler.answer();
    await pair.settle();
    assert.equal(call.fields["grpc-status"], "0");
    pair.server.abort(0);
    await pair.clock.advance(3_600_001);
    assert.equal(pair.clock.pending, 0);
  });

  for (const [text, timeoutMs] of [
    ["2H", 7_200_000],
    ["3M", 180_000],
    ["4S", 4000],
    ["5m", 5],
    ["6000000u", 6000],
    ["7000000n", 7],
    ["99999999H", 2 ** 31 - 1],
  ] as const) {
    test(`of ${text} is ${timeoutMs} ms`, async () => {
      const { handler, pair } = start();
      const call = pair.open(path, { body, fields: ["grpc-timeout", text] });
      await pair.settle();
      assert.equal(handler.contexts[0]?.timeoutMs(), timeoutMs);
      call.reset();
      await pair.settle();
      assert.equal(pair.calls.size, 0);
    });
  }

  for (const text of ["", "5", "S", "5x", "-5S", "1.5S", "123456789S", "5 S", "0x5S"]) {
    test(`of ${JSON.stringify(text)} is ${text === "" ? "none" : "an invalid_argument"}`, async () => {
      const { handler, pair } = start();
      const call = pair.open(path, { body, fields: ["grpc-timeout", text] });
      await pair.settle();
      if (text === "") {
        assert.equal(handler.contexts[0]?.timeoutMs(), undefined);
      } else {
        assert.equal(Number(call.fields["grpc-status"]), Code.InvalidArgument);
        assert.equal(handler.contexts.length, 0);
      }
    });
  }

  test("beyond maxTimeoutMs is an invalid_argument", async () => {
    const { handler, pair } = start({ maxTimeoutMs: 1000 });
    const call = pair.open(path, { body, fields: ["grpc-timeout", "1001m"] });
    await pair.settle();
    assert.equal(Number(call.fields["grpc-status"]), Code.InvalidArgument);
    pair.open(path, { body, fields: ["grpc-timeout", "1000m"] });
    await pair.settle();
    assert.equal(handler.contexts.length, 1);
  });
});

describe("a client that cancels", () => {
  test("aborts the handler's signal with canceled; what the handler says later is dropped", async () => {
    for (const late of ["answer", "fail"] as const) {
      const { handler, pair } = start();
      const call = pair.open(path, { body });
      await pair.settle();
      assert.equal(handler.contexts[0]?.signal.aborted, false);
      call.reset();
      await pair.settle();
      assertCode(reasonOf(handler.contexts[0]), Code.Canceled);
      assert.equal(pair.calls.size, 0);
      handler[late](new Error("aborted by its signal"));
      await pair.settle();
      assert.deepEqual(pair.logger.lines, []);
    }
  });

  test("is seen by a handler that looks at its signal only afterwards", async () => {
    const { handler, pair } = start();
    pair.open(path, { body }).reset();
    await pair.settle();
    const late = pair.open(path, { body });
    await pair.settle();
    late.reset();
    await pair.settle();
    assertCode(reasonOf(handler.contexts.at(-1)), Code.Canceled);
  });

  test("is not blamed for what the server ends by itself", async () => {
    for (const [code, status, text] of [
      [ErrorCode.cancel, Code.Unavailable, "the server closes the connection"],
      [
        ErrorCode.enhanceYourCalm,
        Code.ResourceExhausted,
        "the stream was reset with HTTP/2 code 11 (ENHANCE_YOUR_CALM) as the client takes nothing of its answer",
      ],
    ] as const) {
      const { handler, pair } = start();
      pair.open(path, { body });
      await pair.settle();
      const [stream] = pair.server.streams();
      assert.ok(stream !== undefined);
      pair.server.failStream(stream, code);
      const reason = reasonOf(handler.contexts[0]);
      assertCode(reason, status);
      assert.equal((reason as ConnectError).rawMessage, text);
    }
  });

  test("by closing the connection aborts all signals", async () => {
    const { handler, pair } = start();
    for (let count = 0; count < 3; count++) pair.open(path, { body });
    await pair.settle();
    pair.server.abort(0);
    for (const context of handler.contexts) {
      assertCode(reasonOf(context), Code.Canceled);
      assert.match((reasonOf(context) as ConnectError).rawMessage, /closed the connection/);
    }
    assert.equal(pair.calls.size, 0);
  });
});

describe("a call that is over", () => {
  test("has its signal aborted, whether or not anybody asked for it before", async () => {
    const { handler, pair } = start();
    pair.open(path, { body });
    await pair.settle();
    const { signal } = handler.contexts[0]!;
    handler.answer();
    await pair.settle();
    assert.equal(signal.aborted, true);
    assert.equal((signal.reason as Error).name, "AbortError");
    pair.open(path, { body });
    await pair.settle();
    handler.fail(new ConnectError("no", Code.Aborted));
    await pair.settle();
    assertCode(reasonOf(handler.contexts[1]), Code.Aborted);
  });

  test("follows a service's own shutdownSignal while it lasts", async () => {
    const shutdown = new AbortController();
    const { handler, pair } = start({ shutdownSignal: shutdown.signal });
    pair.open(path, { body });
    await pair.settle();
    const { signal } = handler.contexts[0]!;
    assert.equal(signal.aborted, false);
    const reason = new ConnectError("over", Code.Unavailable);
    shutdown.abort(reason);
    assert.equal(signal.reason, reason);
    handler.fail(reason);
    await pair.settle();
    assert.equal(pair.calls.size, 0);
  });

  test("counts as under way until the client has taken its answer", async () => {
    const pair = createGrpcPair({
      routes: (router) => router.service(EchoService, { unary: () => ({ payload: new Uint8Array(300_000) }) }),
      client: { initialWindowBytes: 65_535, maxWindowBytes: 65_535 },
    });
    const call = pair.open(path, { body, consume: false });
    await pair.settle();
    assert.equal(call.heard.ended, false);
    assert.equal(pair.calls.size, 1);
    // A reader that wakes up.
    while (!call.heard.ended) {
      pair.client.consumed(call.stream, call.stream.heldBytes);
      await pair.settle();
    }
    assert.equal(call.fields["grpc-status"], "0");
    assert.equal(pair.calls.size, 0);
  });

  test("and whose client goes away meanwhile is not under way any more", async () => {
    const pair = createGrpcPair({
      routes: (router) => router.service(EchoService, { unary: () => ({ payload: new Uint8Array(300_000) }) }),
      client: { initialWindowBytes: 65_535, maxWindowBytes: 65_535 },
    });
    const call = pair.open(path, { body, consume: false });
    await pair.settle();
    assert.equal(pair.calls.size, 1);
    call.reset();
    await pair.settle();
    assert.equal(pair.calls.size, 0);
  });
});

describe("CallTracker.cut()", () => {
  test("ends every call with its reason at once, and aborts signals with it", async () => {
    const { handler, pair } = start();
    const calls = [pair.open(path, { body }), pair.open(path, { body }), pair.open(path)];
    await pair.settle();
    assert.equal(pair.calls.size, 3);
    const reason = new ConnectError("the server is shutting down", Code.Unavailable);
    pair.calls.cut(reason);
    await pair.settle();
    for (const { fields } of calls) assert.equal(Number(fields["grpc-status"]), Code.Unavailable);
    assert.equal(handler.contexts.length, 2);
    for (const context of handler.contexts) assert.equal(reasonOf(context), reason);
    assert.equal(pair.calls.size, 0);
    assert.equal(pair.server.streamCount, 0);
  });
});
