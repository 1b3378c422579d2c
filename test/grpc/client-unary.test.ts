import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import type { Compression } from "@connectrpc/connect/protocol";
import { callFate } from "../../src/core/call-fate.ts";
import { streamGzip } from "../../src/grpc/compression.ts";
import { statusFields } from "../../src/grpc/status.ts";
import { EchoService, UnaryRequestSchema, UnaryResponseSchema } from "../gen/lictor/test/v1/echo_pb.ts";
import { createGrpcPair, type GrpcPair, type GrpcPairOptions, type ServedCall } from "../support/grpc-pair.ts";
import { rejection } from "../support/rejection.ts";

const cancel = 8;
const method = EchoService.method.unary;
const answer = toBinary(UnaryResponseSchema, create(UnaryResponseSchema, { text: "answer" }));

function answerWell(call: ServedCall): void {
  call.head("x-head", "h");
  call.message(answer);
  call.trailers("grpc-status", "0", "x-trail", "t");
}

async function pairWith(onRequest: (call: ServedCall) => void, options: GrpcPairOptions = {}) {
  const pair = await createGrpcPair({ onRequest, ...options });
  return { pair, client: createClient(EchoService, pair.transport) };
}

/** What a call fails with that is answered so. */
async function failureOf(onRequest: (call: ServedCall) => void, options?: GrpcPairOptions) {
  const { pair, client } = await pairWith(onRequest, options);
  const error = await rejection(client.unary({ text: "x" }));
  await pair.clock.advance(0);
  await pair[Symbol.asyncDispose]();
  return { error, call: pair.calls[0] as ServedCall, pair };
}

describe("SessionTransport.unary()", () => {
  test("sends gRPC's headers and one DATA frame, and answers with message, header and trailer", async () => {
    const { pair, client } = await pairWith(answerWell, { acceptCompression: [streamGzip] });
    const response = await pair.transport.unary(method, undefined, undefined, undefined, { text: "question" });
    assert.equal(response.message.text, "answer");
    const copy = { ...response };
    assert.equal(copy.stream, false);
    assert.equal(copy.service, EchoService);
    assert.equal(copy.method, method);
    assert.equal(copy.header.get("x-head"), "h");
    assert.equal(copy.trailer.get("x-trail"), "t");
    assert.ok(copy.header instanceof Headers);
    const [call] = pair.calls;
    const version: string = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")).version;
    assert.deepEqual(call?.fields, [
      ...[":method", "POST", ":scheme", "http", ":path", "/lictor.test.v1.EchoService/Unary"],
      ...[":authority", "peer.test:1", "te", "trailers", "content-type", "application/grpc+proto"],
      ...["user-agent", `grpc-typescript-lictor/${version}`, "grpc-accept-encoding", "gzip"],
    ]);
    assert.equal(call?.pieces.length, 1);
    const [piece = new Uint8Array(0)] = call?.pieces ?? [];
    assert.deepEqual([...piece.subarray(0, 5)], [0, 0, 0, 0, piece.length - 5]);
    assert.equal(fromBinary(UnaryRequestSchema, piece.subarray(5)).text, "question");
    // A message that is one already goes as it is.
    assert.equal((await client.unary(create(UnaryRequestSchema, { text: "again" }))).text, "answer");
    await pair[Symbol.asyncDispose]();
  });

  test("reads a message in any number of pieces", async () => {
    for (const size of [1, 2, 3, 5, 6, 7]) {
      const { pair, client } = await pairWith((call) => {
        call.head();
        const bytes = Uint8Array.of(0, 0, 0, 0, answer.length, ...answer);
        for (let at = 0; at < bytes.length; at += size) call.data(bytes.subarray(at, at + size));
        call.trailers();
      });
      assert.equal((await client.unary({})).text, "answer");
      await pair[Symbol.asyncDispose]();
    }
  });

  test("ignores informational headers, and reads an empty message", async () => {
    const { pair, client } = await pairWith((call) => {
      call.sendHeaders([":status", "103", "link", "</x>"], false);
      call.head();
      call.message(new Uint8Array(0));
      call.trailers();
    });
    assert.equal((await client.unary({})).text, "");
    await pair[Symbol.asyncDispose]();
  });

  test("takes bytes out of the message that do not change with what comes after", async () => {
    const payload = new Uint8Array(100).fill(7);
    const { pair, client } = await pairWith((call) => {
      call.head();
      call.message(toBinary(UnaryResponseSchema, create(UnaryResponseSchema, { payload })));
      call.trailers();
    });
    const { payload: received } = await client.unary({});
    for (let count = 0; count < 50; count++) await client.unary({});
    assert.deepEqual(received, payload);
    await pair[Symbol.asyncDispose]();
  });

  test("fails with the status of the trailers, and the metadata of header and trailers", async () => {
    const detail = { desc: UnaryRequestSchema, value: { text: "detail" } };
    const told = new ConnectError("größer", Code.OutOfRange, { "x-trail": "t" }, [detail]);
    const { error, call } = await failureOf((served) => {
      served.head("x-head", "h");
      served.trailers(...statusFields(told));
    });
    assert.equal(error.code, Code.OutOfRange);
    assert.equal(error.rawMessage, "größer");
    assert.equal(error.findDetails(UnaryRequestSchema)[0]?.text, "detail");
    assert.equal(error.metadata.get("x-head"), "h");
    assert.equal(error.metadata.get("x-trail"), "t");
    assert.equal(callFate(error), "answered");
    assert.equal(call.resetCode, undefined);
  });

  const plain = [":status", "200", "content-type", "application/grpc"];
  const failures: readonly (readonly [what: string, code: Code, onRequest: (call: ServedCall) => void])[] = [
    ["trailers only", Code.NotFound, (call) => call.sendHeaders([...plain, "grpc-status", "5"], true)],
    [
      "a status beside an HTTP error",
      Code.NotFound,
      (call) => call.sendHeaders([":status", "503", "grpc-status", "5"], true),
    ],
    ["trailers only without a status", Code.Internal, (call) => call.sendHeaders(plain, true)],
    ["ok without a message", Code.Unimplemented, (call) => call.sendHeaders([...plain, "grpc-status", "0"], true)],
    [
      "an error of HTTP",
      Code.Unavailable,
      (call) => call.sendHeaders([":status", "503", "content-type", "text/html"], false),
    ],
    ["HTTP 404 and no more", Code.Unimplemented, (call) => call.sendHeaders([":status", "404"], true)],
    ["HTTP 800", Code.Unknown, (call) => call.sendHeaders([":status", "800"], true)],
    [
      "something else than gRPC",
      Code.Unknown,
      (call) => call.sendHeaders([":status", "200", "content-type", "text/html"], false),
    ],
    [
      "another codec",
      Code.Internal,
      (call) => call.sendHeaders([":status", "200", "content-type", "application/grpc+json"], false),
    ],
    ["an encoding that was not offered", Code.Internal, (call) => call.head("grpc-encoding", "foo")],
    [
      "a compressed message without an encoding",
      Code.Internal,
      (call) => {
        call.head("grpc-encoding", "identity");
        call.message(answer, true);
        call.trailers();
      },
    ],
    [
      "a second message",
      Code.Unimplemented,
      (call) => {
        call.head();
        call.message(answer);
        call.message(answer);
        call.trailers();
      },
    ],
    [
      "half a message",
      Code.Internal,
      (call) => {
        call.head();
        call.data(Uint8Array.of(0, 0, 0, 0, 9, 1));
        call.trailers();
      },
    ],
    [
      "a message and no trailers",
      Code.Internal,
      (call) => {
        call.head();
        call.data(Uint8Array.of(0, 0, 0, 0, 0), true);
      },
    ],
    [
      "trailers without a status",
      Code.Internal,
      (call) => {
        call.head();
        call.message(answer);
        call.trailers("x-trail", "t");
      },
    ],
    [
      "unknown flags",
      Code.Internal,
      (call) => {
        call.head();
        call.data(Uint8Array.of(2, 0, 0, 0, 0));
      },
    ],
    [
      "no message of the type",
      Code.Internal,
      (call) => {
        call.head();
        call.message(Uint8Array.of(0x0a, 0x7f));
        call.trailers();
      },
    ],
    [
      "more than is taken",
      Code.ResourceExhausted,
      (call) => {
        call.head();
        call.message(new Uint8Array(4 * 1024 * 1024 + 1));
      },
    ],
    ["headers larger than are taken", Code.ResourceExhausted, (call) => call.head("x-large", "x".repeat(70_000))],
    ["a reset with INTERNAL_ERROR", Code.Internal, (call) => call.reset(2)],
    ["a reset with ENHANCE_YOUR_CALM", Code.ResourceExhausted, (call) => call.reset(11)],
    ["a reset with INADEQUATE_SECURITY", Code.PermissionDenied, (call) => call.reset(12)],
  ];
  for (const [what, code, onRequest] of failures) {
    test(`fails as it should when the answer is ${what}`, async () => {
      const { error } = await failureOf(onRequest);
      assert.equal(Code[error.code], Code[code], error.message);
      const hasStatus = what === "trailers only" || what === "a status beside an HTTP error";
      assert.equal(callFate(error), hasStatus ? "answered" : "maybe-processed");
    });
  }

  for (const [code, expected] of [
    [cancel, Code.Canceled],
    [0, Code.Internal],
  ] as const) {
    test(`a reset with ${code} is ${Code[expected]} on a connection that goes on`, async () => {
      const { pair, client } = await pairWith((call) => call.reset(code));
      const failed = rejection(client.unary({}));
      await pair.clock.advance(1);
      assert.equal(Code[(await failed).code], Code[expected]);
      await pair[Symbol.asyncDispose]();
    });

    test(`a reset with ${code} is unavailable on a connection that ends with it`, async () => {
      const { pair, client } = await pairWith((call) => {
        call.reset(code);
        pair.server.destroy(undefined);
      });
      const failed = rejection(client.unary({}));
      await pair.clock.advance(1);
      assert.equal((await failed).code, Code.Unavailable);
      await pair[Symbol.asyncDispose]();
    });
  }

  test("REFUSED_STREAM is unavailable and unprocessed", async () => {
    const { error } = await failureOf((call) => call.reset(7));
    assert.equal(error.code, Code.Unavailable);
    assert.equal(callFate(error), "unprocessed");
  });

  test("an answer that comes before the request has left cancels the rest of the request", async () => {
    const pair = await createGrpcPair({
      consumes: false,
      onCall(call) {
        call.head();
        call.trailers("grpc-status", "8", "grpc-message", "too much");
      },
    });
    const client = createClient(EchoService, pair.transport);
    const error = await rejection(client.unary({ payload: new Uint8Array(1024 * 1024) }));
    assert.equal(error.rawMessage, "too much");
    assert.equal(pair.session.connection.streamCount, 0);
    await pair[Symbol.asyncDispose]();
  });
});

describe("a unary call's deadline and signal", () => {
  test("the deadline is told to the server, and ends the call with CANCEL", async () => {
    const { pair, client } = await pairWith(() => {});
    const failed = rejection(client.unary({}, { timeoutMs: 250 }));
    await pair.clock.advance(249);
    assert.equal(pair.calls[0]?.headers.get("grpc-timeout"), "250m");
    assert.equal(pair.calls[0]?.resetCode, undefined);
    await pair.clock.advance(2);
    const error = await failed;
    assert.equal(error.code, Code.DeadlineExceeded);
    assert.equal(error.rawMessage, "the operation timed out");
    assert.equal(pair.calls[0]?.resetCode, cancel);
    await pair[Symbol.asyncDispose]();
  });

  test("timeouts are whole milliseconds in at most eight digits; 0 and less are none", async () => {
    const { pair, client } = await pairWith(answerWell);
    for (const [timeoutMs, expected] of [
      [0.5, "1m"],
      [1.5, "2m"],
      [99_999_999, "99999999m"],
      [100_000_000, "100000S"],
      [Number.POSITIVE_INFINITY, "2147483S"],
      [0, undefined],
      [-1, undefined],
    ] as const) {
      await client.unary({}, { timeoutMs });
      assert.equal(pair.calls.at(-1)?.headers.get("grpc-timeout"), expected);
    }
    await pair[Symbol.asyncDispose]();
  });

  test("leave nothing behind when the call is over", async () => {
    const { pair, client } = await pairWith(answerWell);
    const signal = new CountingSignal();
    await client.unary({}, { timeoutMs: 1000, signal });
    assert.equal(signal.listeners, 0);
    await pair[Symbol.asyncDispose]();
    await pair.clock.advance(2000);
    assert.equal(pair.clock.pending, 0);
  });

  test("a signal that is aborted already sends nothing", async () => {
    const { pair, client } = await pairWith(answerWell);
    const error = await rejection(client.unary({}, { signal: AbortSignal.abort() }));
    assert.equal(error.code, Code.Canceled);
    await pair.clock.advance(0);
    assert.equal(pair.calls.length, 0);
    await pair[Symbol.asyncDispose]();
  });

  test("an abort fails with the signal's reason, and the server sees CANCEL", async () => {
    const { pair, client } = await pairWith(() => {});
    for (const [reason, code, text] of [
      [undefined, Code.Canceled, /abort/],
      [new Error("enough"), Code.Canceled, /^enough$/],
      [new ConnectError("mine", Code.Aborted), Code.Aborted, /^mine$/],
      [new DOMException("late", "TimeoutError"), Code.Canceled, /^late$/],
    ] as const) {
      const controller = new AbortController();
      const failed = rejection(client.unary({}, { signal: controller.signal }));
      await pair.clock.advance(0);
      controller.abort(reason);
      const error = await failed;
      assert.equal(error.code, code);
      assert.match(error.rawMessage, text);
      await pair.clock.advance(0);
      assert.equal(pair.calls.at(-1)?.resetCode, cancel);
    }
    await pair[Symbol.asyncDispose]();
  });
});

describe("a unary call's metadata", () => {
  test("goes with the call, but for what is the protocol's", async () => {
    const { pair, client } = await pairWith(answerWell);
    const headers = {
      "X-Tenant": "a",
      "x-bin": "AAE",
      "user-agent": "mine/1",
      "grpc-timeout": "5S",
      te: "gzip",
      "content-type": "text/plain",
      "grpc-encoding": "gzip",
      host: "elsewhere",
      "content-length": "7",
    };
    await client.unary({}, { headers });
    const sent = pair.calls[0]?.headers ?? new Map();
    assert.equal(sent.get("x-tenant"), "a");
    assert.equal(sent.get("x-bin"), "AAE");
    assert.equal(sent.get("user-agent"), "mine/1");
    assert.equal(sent.get("grpc-timeout"), "5S");
    assert.equal(sent.get("te"), "trailers");
    assert.equal(sent.get("content-type"), "application/grpc+proto");
    for (const name of ["grpc-encoding", "host", "content-length"]) assert.ok(!sent.has(name), name);
    assert.equal(pair.calls[0]?.fields.filter((name) => name === "user-agent").length, 1);
    await client.unary({}, { headers: { "grpc-timeout": "5S" }, timeoutMs: 100 });
    assert.equal(pair.calls[1]?.headers.get("grpc-timeout"), "100m");
    await pair[Symbol.asyncDispose]();
  });

  test("is the same to the server however often it is sent", async () => {
    const { pair, client } = await pairWith(answerWell);
    for (let count = 0; count < 40; count++) {
      const tenant = count < 20 || count % 2 === 0 ? "a" : "b";
      await client.unary({}, { headers: { "x-tenant": tenant, authorization: "Bearer x" }, timeoutMs: 1000 });
      const sent = pair.calls.at(-1);
      assert.equal(sent?.headers.get("x-tenant"), tenant);
      assert.equal(sent?.headers.get("authorization"), "Bearer x");
      assert.equal(sent?.fields.filter((name) => name === "x-tenant").length, 1);
    }
    await client.unary({});
    assert.ok(!pair.calls.at(-1)?.headers.has("x-tenant"));
    await pair[Symbol.asyncDispose]();
  });

  test("follows the object that the caller keeps and changes", async () => {
    const { pair, client } = await pairWith(answerWell);
    const headers: Record<string, string> = { "x-tenant": "a" };
    for (let count = 0; count < 20; count++) await client.unary({}, { headers });
    headers["x-tenant"] = "b";
    await client.unary({}, { headers });
    assert.equal(pair.calls.at(-1)?.headers.get("x-tenant"), "b");
    for (let count = 0; count < 20; count++) await client.unary({}, { headers });
    headers["x-more"] = "c";
    await client.unary({}, { headers });
    assert.equal(pair.calls.at(-1)?.headers.get("x-more"), "c");
    for (let count = 0; count < 20; count++) await client.unary({}, { headers });
    headers["x-more"] = "two\nlines";
    assert.equal((await rejection(client.unary({}, { headers }))).code, Code.InvalidArgument);
    await pair[Symbol.asyncDispose]();
  });

  test("that cannot be sent fails the call before anything is sent", async () => {
    const { pair, client } = await pairWith(answerWell, { serverLimits: { maxHeaderListBytes: 1000 } });
    const forbidden = await rejection(client.unary({}, { headers: { connection: "close" } }));
    assert.equal(forbidden.code, Code.InvalidArgument);
    const large = await rejection(client.unary({}, { headers: { "x-large": "x".repeat(1000) } }));
    assert.equal(large.code, Code.ResourceExhausted);
    assert.match(large.rawMessage, /as 1000 is the most/);
    await pair.clock.advance(0);
    assert.equal(pair.calls.length, 0);
    await pair[Symbol.asyncDispose]();
  });
});

describe("a unary call's size and compression", () => {
  test("a message above maxSendBytes, or that cannot be encoded, is not sent", async () => {
    const { pair, client } = await pairWith(answerWell, { maxSendBytes: 10 });
    assert.equal((await rejection(client.unary({ text: "x".repeat(9) }))).code, Code.ResourceExhausted);
    assert.equal((await rejection(client.unary({ delayMs: 0.5 }))).code, Code.Internal);
    assert.equal((await client.unary({ text: "x".repeat(8) })).text, "answer");
    assert.equal(pair.calls.length, 1);
    await pair[Symbol.asyncDispose]();
  });

  test("requests of some size are compressed where that is asked for, and answers read", async () => {
    const { pair, client } = await pairWith(
      (call) => {
        void streamGzip.compress(answer).then((bytes) => {
          call.head("grpc-encoding", "gzip");
          call.message(bytes, true);
          call.trailers();
        });
      },
      { acceptCompression: [streamGzip], sendCompression: streamGzip, compressMinBytes: 100 },
    );
    assert.equal((await client.unary({ text: "short" })).text, "answer");
    assert.equal(pair.calls[0]?.headers.get("grpc-encoding"), "gzip");
    assert.equal(pair.calls[0]?.pieces[0]?.[0], 0);
    assert.equal((await client.unary({ text: "long".repeat(100) })).text, "answer");
    const [piece = new Uint8Array(0)] = pair.calls[1]?.pieces ?? [];
    assert.equal(piece[0], 1);
    const message = await streamGzip.decompress(piece.subarray(5), 1000);
    assert.equal(fromBinary(UnaryRequestSchema, message).text, "long".repeat(100));
    await pair[Symbol.asyncDispose]();
  });

  test("the limit holds after decompression, and what is no gzip is internal", async () => {
    const bomb = await streamGzip.compress(new Uint8Array(100_000));
    for (const [bytes, code] of [
      [bomb, Code.ResourceExhausted],
      [new Uint8Array(20).fill(1), Code.Internal],
    ] as const) {
      const { pair, client } = await pairWith(
        (call) => {
          call.head("grpc-encoding", "gzip");
          call.message(bytes, true);
          call.trailers();
        },
        { acceptCompression: [streamGzip], maxReceiveBytes: 50_000 },
      );
      assert.equal(Code[(await rejection(client.unary({}))).code], Code[code]);
      await pair[Symbol.asyncDispose]();
    }
  });

  test("a call that is given up while its request is compressed sends nothing", async () => {
    const compressing = Promise.withResolvers<Uint8Array<ArrayBuffer>>();
    const slow: Compression = { ...streamGzip, compress: () => compressing.promise };
    const { pair, client } = await pairWith(answerWell, { sendCompression: slow });
    const failed = rejection(client.unary({ text: "x" }, { timeoutMs: 10 }));
    await pair.clock.advance(20);
    assert.equal((await failed).code, Code.DeadlineExceeded);
    compressing.resolve(new Uint8Array(1));
    await pair.clock.advance(0);
    assert.equal(pair.calls.length, 0);
    await pair[Symbol.asyncDispose]();
  });
});

describe("calls beyond the streams that the server takes", () => {
  async function full(): Promise<{ pair: GrpcPair; client: ReturnType<typeof createClient<typeof EchoService>> }> {
    return pairWith(() => {}, { serverLimits: { maxConcurrentStreams: 2 } });
  }

  function textOf(call: ServedCall | undefined): string {
    return fromBinary(UnaryRequestSchema, call?.pieces[0]?.subarray(5) ?? new Uint8Array(0)).text;
  }

  test("wait for their turn, in order", async () => {
    const { pair, client } = await full();
    const answers = ["0", "1", "2", "3", "4"].map((text) => client.unary({ text }));
    await pair.clock.advance(0);
    assert.deepEqual(pair.calls.map(textOf), ["0", "1"]);
    answerWell(pair.calls[1] as ServedCall);
    await pair.clock.advance(0);
    assert.deepEqual(pair.calls.map(textOf), ["0", "1", "2"]);
    for (const index of [0, 2, 3, 4]) {
      answerWell(pair.calls[index] as ServedCall);
      await pair.clock.advance(0);
    }
    assert.deepEqual(pair.calls.map(textOf), ["0", "1", "2", "3", "4"]);
    assert.equal((await Promise.all(answers)).length, 5);
    await pair[Symbol.asyncDispose]();
  });

  test("may be given up while they wait, and then are never sent", async () => {
    const { pair, client } = await full();
    const first = [client.unary({ text: "0" }), client.unary({ text: "1" })];
    const controller = new AbortController();
    const waiting = [
      rejection(client.unary({ text: "late" }, { timeoutMs: 50 })),
      rejection(client.unary({ text: "aborted" }, { signal: controller.signal })),
    ];
    const last = client.unary({ text: "last" });
    await pair.clock.advance(60);
    controller.abort();
    assert.deepEqual(
      (await Promise.all(waiting)).map(({ code }) => code),
      [Code.DeadlineExceeded, Code.Canceled],
    );
    for (const call of [...pair.calls]) answerWell(call);
    await pair.clock.advance(0);
    assert.deepEqual(pair.calls.map(textOf), ["0", "1", "last"]);
    answerWell(pair.calls[2] as ServedCall);
    await Promise.all([...first, last]);
    await pair[Symbol.asyncDispose]();
  });

  test("are unprocessed when the server leaves meanwhile; those under way go on", async () => {
    const { pair, client } = await full();
    const sent = [client.unary({ text: "0" }), client.unary({ text: "1" })];
    const waiting = rejection(client.unary({ text: "2" }));
    await pair.clock.advance(0);
    pair.server.leave();
    const error = await waiting;
    assert.equal(error.code, Code.Unavailable);
    assert.equal(callFate(error), "unprocessed");
    assert.equal(callFate(await rejection(client.unary({}))), "unprocessed");
    for (const call of pair.calls) answerWell(call);
    assert.equal((await Promise.all(sent)).length, 2);
    await pair[Symbol.asyncDispose]();
  });
});

/** Counts the listeners that were added and not removed. */
class CountingSignal extends EventTarget implements AbortSignal {
  readonly aborted = false;
  readonly reason: unknown = undefined;
  onabort = null;
  listeners = 0;

  throwIfAborted(): void {}

  override addEventListener(...args: Parameters<EventTarget["addEventListener"]>): void {
    this.listeners++;
    super.addEventListener(...args);
  }

  override removeEventListener(...args: Parameters<EventTarget["removeEventListener"]>): void {
    this.listeners--;
    super.removeEventListener(...args);
  }
}
