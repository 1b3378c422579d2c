// Unary calls on the server's own path, over a connection in memory.

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, test } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createContextKey, type HandlerContext } from "@connectrpc/connect";
import { compressionBrotli, compressionGzip } from "@connectrpc/connect-node";
import { streamGzip } from "../../src/grpc/compression.ts";
import {
  EchoService,
  type UnaryRequest,
  UnaryRequestSchema,
  UnaryResponseSchema,
} from "../gen/lictor/test/v1/echo_pb.ts";
import {
  type CallInit,
  createGrpcPair,
  type GrpcPair,
  type GrpcPairOptions,
  type PairCall,
} from "../support/echo-grpc.ts";
import { pause } from "../support/eventually.ts";
import { grpcFrame } from "../support/http2-call.ts";

const path = "/lictor.test.v1.EchoService/Unary";
const { unary } = EchoService.method;

type Handler = (
  request: UnaryRequest,
  context: HandlerContext,
) => MessageInitShape<typeof UnaryResponseSchema> | Promise<MessageInitShape<typeof UnaryResponseSchema>>;

function serveUnary(handler: Handler, options: Omit<GrpcPairOptions, "routes"> = {}): GrpcPair {
  return createGrpcPair({ ...options, routes: (router) => router.service(EchoService, { unary: handler }) });
}

function request(init: MessageInitShape<typeof UnaryRequestSchema> = {}): Uint8Array {
  return grpcFrame(toBinary(UnaryRequestSchema, create(UnaryRequestSchema, init)));
}

/** Makes a call and waits for its end. */
async function callOnce(pair: GrpcPair, init: CallInit = { body: request() }): Promise<PairCall> {
  const call = pair.open(path, init);
  await pair.settle();
  // Compression takes its time elsewhere.
  for (let turn = 0; turn < 500 && !call.heard.ended; turn++) {
    await pause(1);
    await pair.settle();
  }
  return call;
}

/** A message with its flag for compression set. */
function packed(bytes: Uint8Array): Uint8Array {
  const frame = grpcFrame(bytes);
  frame[0] = 1;
  return frame;
}

describe("a unary call", () => {
  test("is answered in the turn in which it came, where its handler answers at once", () => {
    const pair = serveUnary(({ text }) => ({ text: `${text}!` }));
    const call = pair.open(path, { body: request({ text: "hi" }) });
    pair.run();
    assert.equal(call.heard.ended, true);
    assert.equal(call.messages(unary)[0]?.text, "hi!");
    assert.deepEqual(call.fields, {
      ":status": "200",
      "content-type": "application/grpc+proto",
      "grpc-status": "0",
    });
    assert.equal(pair.calls.size, 0);
    assert.equal(pair.server.streamCount, 0);
  });

  test("is answered by a promise, and by whatever has a then", async () => {
    // biome-ignore lint/suspicious/noThenProperty: that is what is tested
    const thenable = { then: (resolve: (value: object) => void) => resolve({ text: "later" }) };
    for (const answer of [Promise.resolve({ text: "later" }), thenable as never]) {
      const call = await callOnce(serveUnary(() => answer));
      assert.equal(call.messages(unary)[0]?.text, "later");
      assert.equal(call.fields["grpc-status"], "0");
    }
  });

  test("takes a request in any pieces, and its end in a frame of its own", async () => {
    const bytes = request({ text: "in pieces", payload: new Uint8Array(50).fill(7) });
    for (const size of [1, 4, 5, 6, 20, bytes.length]) {
      const pair = serveUnary(({ text, payload }) => ({ text, payload }));
      const call = pair.open(path);
      for (let at = 0; at < bytes.length; at += size) {
        call.send(bytes.subarray(at, at + size));
        pair.run();
      }
      assert.equal(call.heard.ended, false);
      call.send(new Uint8Array(0), true);
      await pair.settle();
      const [answer] = call.messages(unary);
      assert.equal(answer?.text, "in pieces");
      // Nobody else's bytes: those that came are overwritten by now.
      assert.deepEqual([...(answer?.payload ?? [])], new Array(50).fill(7));
    }
  });

  test("carries a message larger than every window", async () => {
    const pair = serveUnary(({ payload }) => ({ payload }), {
      server: { initialWindowBytes: 65_535, maxWindowBytes: 65_535 },
    });
    const payload = new Uint8Array(1_000_000).map((_, index) => index % 251);
    const call = await callOnce(pair, { body: request({ payload }) });
    assert.equal(Buffer.compare(call.messages(unary)[0]?.payload ?? Buffer.alloc(0), payload), 0);
  });

  test("makes neither Headers nor AbortController nor timers unless its handler asks for them", () => {
    const plain = serveUnary(({ text }) => ({ text }));
    const curious = serveUnary((_, { signal, requestHeader }) => ({
      text: `${signal.aborted} ${requestHeader.get("x-one")}`,
    }));
    const made: string[] = [];
    const { Headers: PlainHeaders, AbortController: PlainController } = globalThis;
    globalThis.Headers = class extends PlainHeaders {
      constructor(init?: HeadersInit) {
        super(init);
        made.push("Headers");
      }
    };
    globalThis.AbortController = class extends PlainController {
      constructor() {
        super();
        made.push("AbortController");
      }
    };
    try {
      plain.open(path, { body: request({ text: "hi" }), fields: ["x-one", "1"] });
      plain.run();
      assert.equal(plain.calls.size, 0);
      assert.deepEqual(made, []);
      assert.equal(plain.clock.pending, 0);
      const call = curious.open(path, { body: request(), fields: ["x-one", "1"] });
      curious.run();
      assert.equal(call.messages(unary)[0]?.text, "false 1");
      assert.deepEqual(made.toSorted(), ["AbortController", "Headers"]);
    } finally {
      globalThis.Headers = PlainHeaders;
      globalThis.AbortController = PlainController;
    }
  });

  test("serves the same block of headers again and again, and others between", async () => {
    const pair = serveUnary(({ text }, { requestHeader }) => ({ text: text + requestHeader.get("x-turn") }));
    for (let turn = 0; turn < 20; turn++) {
      const fields = ["x-turn", String(turn % 3)];
      const call = await callOnce(pair, { body: request({ text: "t" }), fields });
      assert.equal(call.messages(unary)[0]?.text, `t${turn % 3}`);
    }
  });
});

describe("the context of a unary call", () => {
  test("tells the call's facts", async () => {
    let seen: Record<string, unknown> = {};
    const pair = serveUnary((_, context) => {
      const { service, method, protocolName, requestMethod, url, requestHeader } = context;
      seen = { service, method, protocolName, requestMethod, url, header: [...requestHeader] };
      return {};
    });
    await callOnce(pair, { body: request(), fields: ["x-list", "a", "x-list", "b", "x-bytes-bin", "AAEC"] });
    assert.equal(seen.service, EchoService);
    assert.equal(seen.method, unary);
    assert.equal(seen.protocolName, "grpc");
    assert.equal(seen.requestMethod, "POST");
    assert.equal(seen.url, `http://host${path}`);
    assert.deepEqual(seen.header, [
      ["content-type", "application/grpc"],
      ["te", "trailers"],
      ["x-bytes-bin", "AAEC"],
      ["x-list", "a, b"],
    ]);
  });

  test("sends headers and trailers that the handler sets, and none that are the protocol's", async () => {
    const pair = serveUnary((_, { responseHeader, responseTrailer }) => {
      responseHeader.set("x-header", "1");
      responseHeader.set("content-type", "text/plain");
      responseHeader.append("set-cookie", "a=1");
      responseHeader.append("set-cookie", "b=2");
      responseTrailer.set("x-trailer", "2");
      responseTrailer.set("grpc-status", "5");
      responseTrailer.set("connection", "close");
      return {};
    });
    const { heard } = await callOnce(pair);
    const [header = [], trailer] = heard.headers;
    assert.deepEqual(header.slice(0, 4), [":status", "200", "content-type", "application/grpc+proto"]);
    // In whatever order the runtime's Headers have them.
    const pairs = Array.from({ length: header.length / 2 - 2 }, (_, index) =>
      header.slice(4 + index * 2, 6 + index * 2),
    );
    assert.deepEqual(pairs.map(([name, value]) => `${name} ${value}`).toSorted(), [
      "set-cookie a=1",
      "set-cookie b=2",
      "x-header 1",
    ]);
    assert.deepEqual(trailer, ["grpc-status", "0", "x-trailer", "2"]);
  });

  test("keeps values for the length of the call", async () => {
    const key = createContextKey("preset");
    const pair = serveUnary((_, { values }) => {
      const before = values.get(key);
      values.set(key, "set");
      return { text: `${before} ${values.get(key)}` };
    });
    assert.equal((await callOnce(pair)).messages(unary)[0]?.text, "preset set");
    assert.equal((await callOnce(pair)).messages(unary)[0]?.text, "preset set");
  });

  test("timeoutMs() counts down, taken out of the context too; it is undefined without a deadline", async () => {
    const left: (number | undefined)[] = [];
    const pair = serveUnary(async (_, { timeoutMs }) => {
      left.push(timeoutMs());
      await new Promise<void>((resolve) => pair.clock.schedule(30, resolve));
      left.push(timeoutMs());
      return {};
    });
    pair.open(path, { body: request(), fields: ["grpc-timeout", "100m"] });
    await pair.settle();
    await pair.clock.advance(30);
    pair.open(path, { body: request() });
    await pair.settle();
    await pair.clock.advance(30);
    assert.deepEqual(left, [100, 70, undefined, undefined]);
  });
});

describe("a unary call that fails", () => {
  test("has the error's code, text, details and metadata in one block of headers", async () => {
    const pair = serveUnary(() => {
      throw new ConnectError("no such échö", Code.NotFound, { "x-hint": "other", "content-type": "text/plain" }, [
        { desc: UnaryResponseSchema, value: { text: "detail" } },
      ]);
    });
    const call = await callOnce(pair);
    assert.equal(call.blocks, 1);
    assert.equal(call.data.length, 0);
    assert.equal(call.fields[":status"], "200");
    assert.equal(call.fields["content-type"], "application/grpc+proto");
    assert.equal(call.fields["grpc-status"], "5");
    assert.equal(call.fields["grpc-message"], "no such %C3%A9ch%C3%B6");
    assert.equal(call.fields["x-hint"], "other");
    assert.ok(call.fields["grpc-status-details-bin"]);
    assert.equal(pair.logger.lines.length, 0);
  });

  test("keeps headers and trailers apart where the handler had set headers", async () => {
    const pair = serveUnary(async (_, { responseHeader, responseTrailer }) => {
      responseHeader.set("x-header", "1");
      responseTrailer.set("x-trailer", "2");
      throw new ConnectError("no", Code.Aborted);
    });
    const { heard } = await callOnce(pair);
    assert.deepEqual(heard.headers, [
      [":status", "200", "content-type", "application/grpc+proto", "x-header", "1"],
      ["x-trailer", "2", "grpc-status", "10", "grpc-message", "no"],
    ]);
  });

  test("tells nothing of an error that is no ConnectError, but to the logger", async () => {
    for (const thrown of [new Error("secret"), "secret", undefined, null]) {
      const pair = serveUnary(async () => {
        throw thrown;
      });
      const { fields } = await callOnce(pair);
      assert.equal(fields["grpc-status"], "13");
      assert.equal(fields["grpc-message"], "internal error");
      assert.deepEqual(pair.logger.lines, [
        {
          level: "error",
          message: "Handler failed",
          fields: { service: "lictor.test.v1.EchoService", method: "Unary", error: thrown },
        },
      ]);
    }
  });

  test("says internal where the answer is no message, and leaves out details that are none", async () => {
    const wrong = serveUnary(() => ({ payload: 5 }) as never);
    assert.equal((await callOnce(wrong)).fields["grpc-status"], "13");
    const badDetails = serveUnary(() => {
      throw new ConnectError("no", Code.Aborted, undefined, [
        { desc: UnaryResponseSchema, value: { payload: 5 } as never },
      ]);
    });
    const { fields } = await callOnce(badDetails);
    assert.equal(Number(fields["grpc-status"]), Code.Aborted);
    assert.equal(fields["grpc-status-details-bin"], undefined);
  });

  test("does not send another server's metadata as its own", async () => {
    const pair = serveUnary(() => {
      const error = new ConnectError("from afar", Code.Unavailable, { "x-afar": "1" });
      Object.assign(error, { isWireError: true });
      throw error;
    });
    const { fields } = await callOnce(pair);
    assert.equal(fields["grpc-status"], "14");
    assert.equal(fields["x-afar"], undefined);
  });

  test("says what is wrong with its request", async () => {
    let handled = 0;
    const pair = serveUnary(
      () => {
        handled++;
        return {};
      },
      { readMaxBytes: 100 },
    );
    const text = (length: number) => request({ text: "x".repeat(length) });
    const cases: [string, Code, Uint8Array][] = [
      ["no message", Code.Unimplemented, new Uint8Array(0)],
      ["two messages", Code.Unimplemented, Buffer.concat([request(), request()])],
      ["half a head", Code.InvalidArgument, request().subarray(0, 3)],
      ["half a message", Code.InvalidArgument, text(50).subarray(0, 20)],
      ["too long a message", Code.ResourceExhausted, text(101)],
      ["flags that nobody knows", Code.Internal, new Uint8Array([2, 0, 0, 0, 0])],
      ["no protobuf", Code.Internal, grpcFrame(new Uint8Array([0xff, 0xff]))],
      ["compression that was not named", Code.Internal, packed(gzipSync(new Uint8Array(0)))],
    ];
    for (const [what, code, body] of cases) {
      const { fields, blocks } = await callOnce(pair, { body });
      assert.equal(Number(fields["grpc-status"]), code, what);
      assert.equal(blocks, 1, what);
    }
    assert.equal(handled, 0);
    // Nothing but the head, which ends the request.
    const call = pair.open(path);
    pair.client.sendHeaders(call.stream, pair.client.prepare(["x-trailer", "1"]), undefined, true);
    await pair.settle();
    assert.equal(Number(call.fields["grpc-status"]), Code.Unimplemented);
    assert.equal(pair.calls.size, 0);
    assert.equal(pair.server.streamCount, 0);
  });

  test("is refused before its request is whole, and the rest of it is not waited for", async () => {
    const pair = serveUnary(() => ({}), { readMaxBytes: 100 });
    const call = pair.open(path);
    call.send(request({ text: "x".repeat(1000) }).subarray(0, 10));
    await pair.settle();
    assert.equal(Number(call.fields["grpc-status"]), Code.ResourceExhausted);
    // RST_STREAM(NO_ERROR) behind the answer: RFC 9113, section 8.1.
    assert.equal(call.heard.ended, true);
    assert.equal(pair.server.streamCount, 0);
  });

  test("says so where its headers, trailers or status are larger than the client takes", async () => {
    const large = "x".repeat(70_000);
    for (const [handler, code, text] of [
      [
        (context) => context.responseHeader.set("a", large),
        Code.ResourceExhausted,
        "the headers are larger than the client takes",
      ],
      [
        (context) => context.responseTrailer.set("a", large),
        Code.ResourceExhausted,
        "the trailers are larger than the client takes",
      ],
      [
        (context) => {
          context.responseHeader.set("a", large);
          throw new ConnectError("no", Code.NotFound);
        },
        Code.NotFound,
        "no",
      ],
      [
        (context) => {
          context.responseTrailer.set("a", large);
          throw new ConnectError("no", Code.NotFound);
        },
        Code.NotFound,
        "no",
      ],
      [
        () => {
          throw new ConnectError(large, Code.NotFound);
        },
        Code.NotFound,
        "the status is larger than the client takes",
      ],
      [
        () => {
          throw new ConnectError("no", Code.NotFound, { a: large });
        },
        Code.NotFound,
        "the status is larger than the client takes",
      ],
    ] as [(context: HandlerContext) => void, Code, string][]) {
      const pair = serveUnary((_request, context) => {
        handler(context);
        return {};
      });
      const { fields, heard } = await callOnce(pair);
      assert.deepEqual([Number(fields["grpc-status"]), fields["grpc-message"]], [code, text]);
      assert.ok(heard.ended && fields.a === undefined);
      assert.equal(pair.calls.size, 0);
    }
  });

  test("says unknown for a code that is none, and has no text where the error has none", async () => {
    for (const code of [0, Number.NaN, 99, undefined, "NotFound"]) {
      const pair = serveUnary(() => {
        throw Object.assign(new ConnectError("no", code as Code), { rawMessage: undefined });
      });
      const { fields } = await callOnce(pair);
      assert.equal(Number(fields["grpc-status"]), Code.Unknown);
      assert.equal(fields["grpc-message"], undefined);
    }
  });

  test("says resource_exhausted where the answer is too long", async () => {
    const pair = serveUnary(() => ({ text: "x".repeat(200) }), { writeMaxBytes: 100 });
    assert.equal(Number((await callOnce(pair)).fields["grpc-status"]), Code.ResourceExhausted);
  });
});

describe("the compression of a unary call", () => {
  const acceptCompression = [compressionGzip, compressionBrotli];
  const echo: Handler = ({ text }) => ({ text });

  test("is undone for the handler, and used for its answer where that has 1 KiB or more", async () => {
    const pair = serveUnary(echo, { acceptCompression });
    for (const [length, isPacked] of [
      [2000, true],
      [10, false],
    ] as const) {
      const bytes = toBinary(UnaryRequestSchema, create(UnaryRequestSchema, { text: "x".repeat(length) }));
      const call = await callOnce(pair, {
        fields: ["grpc-encoding", "gzip", "grpc-accept-encoding", "identity,gzip"],
        body: packed(gzipSync(bytes)),
      });
      assert.equal(call.fields["grpc-status"], "0");
      assert.equal(call.fields["grpc-encoding"], "gzip");
      assert.equal(call.data[0], isPacked ? 1 : 0);
      const body = call.data.subarray(5);
      assert.equal(fromBinary(UnaryResponseSchema, isPacked ? gunzipSync(body) : body).text.length, length);
    }
  });

  test("is none for clients that take it and send their requests as they are, unless the server is told to", async () => {
    const init = { fields: ["grpc-accept-encoding", "gzip,br"], body: request({ text: "x".repeat(2000) }) };
    const asked = serveUnary(echo, { acceptCompression });
    const plain = await callOnce(asked, init);
    assert.equal(plain.fields["grpc-encoding"], undefined);
    assert.equal(plain.messages(unary)[0]?.text.length, 2000);

    const told = serveUnary(echo, { acceptCompression, sendCompression: compressionBrotli });
    const whole = await callOnce(told, init);
    assert.equal(whole.fields["grpc-encoding"], "br");
    assert.equal(whole.data[0], 1);
    const small = await callOnce(told, { ...init, body: request({ text: "x" }) });
    assert.equal(small.data[0], 0);
  });

  test("that the server is told to send goes before the request's, but only to clients that take it", async () => {
    const pair = serveUnary(echo, { acceptCompression, sendCompression: compressionGzip, compressMinBytes: 1 });
    const body = request({ text: "x" });
    for (const [fields, encoding] of [
      [["grpc-encoding", "br", "grpc-accept-encoding", "br,gzip"], "gzip"],
      [["grpc-encoding", "br", "grpc-accept-encoding", "br"], "br"],
      [["grpc-encoding", "br"], "br"],
      [["grpc-encoding", "identity", "grpc-accept-encoding", "gzip"], "gzip"],
      [["grpc-encoding", "identity", "grpc-accept-encoding", "identity"], undefined],
      [[], undefined],
    ] as const) {
      const call = await callOnce(pair, { fields, body });
      assert.equal(call.fields["grpc-encoding"], encoding, fields.join());
      assert.equal(call.data[0], encoding === undefined ? 0 : 1);
    }
  });

  test("leaves handlers Uint8Arrays that share no memory with others", async () => {
    const payload = new Uint8Array(100).fill(7);
    const seen: Uint8Array[] = [];
    const keep: Handler = (message) => {
      seen.push(message.payload);
      return {};
    };
    for (const compression of [compressionGzip, compressionBrotli, streamGzip]) {
      const pair = serveUnary(keep, { acceptCompression: [compression] });
      const bytes = toBinary(UnaryRequestSchema, create(UnaryRequestSchema, { payload }));
      const body = packed(await compression.compress(bytes));
      await callOnce(pair, { fields: ["grpc-encoding", compression.name], body });
    }
    assert.equal(seen.length, 3);
    for (const one of seen) {
      assert.equal(Object.getPrototypeOf(one), Uint8Array.prototype);
      assert.deepEqual(one, payload);
      assert.ok(one.buffer.byteLength < 2 * payload.length, `a buffer of ${one.buffer.byteLength}`);
    }
  });

  test("may be named and not used", async () => {
    const pair = serveUnary(echo, { acceptCompression });
    const call = await callOnce(pair, { fields: ["grpc-encoding", "gzip"], body: request({ text: "plain" }) });
    assert.equal(call.messages(unary)[0]?.text, "plain");
  });

  test("follows the request's where the client says nothing of answers, and is none where it takes no other", async () => {
    const pair = serveUnary(echo, { acceptCompression, compressMinBytes: 1 });
    const body = request({ text: "x" });
    const same = await callOnce(pair, { fields: ["grpc-encoding", "br"], body });
    assert.equal(same.fields["grpc-encoding"], "br");
    assert.equal(same.data[0], 1);
    const none = await callOnce(pair, { fields: ["grpc-encoding", "br", "grpc-accept-encoding", "zstd"], body });
    assert.equal(none.fields["grpc-encoding"], undefined);
    assert.equal(none.data[0], 0);
  });

  test("is refused with unimplemented, and what is known, where nobody knows it", async () => {
    const pair = serveUnary(echo, { acceptCompression });
    for (let round = 0; round < 3; round++) {
      const { fields, blocks } = await callOnce(pair, { fields: ["grpc-encoding", "zstd"], body: request() });
      assert.equal(Number(fields["grpc-status"]), Code.Unimplemented);
      assert.equal(fields["grpc-accept-encoding"], "gzip,br");
      assert.equal(blocks, 1);
    }
  });

  test("does not get around the limit: resource_exhausted for what is too long unpacked", async () => {
    const pair = serveUnary(echo, { acceptCompression, readMaxBytes: 10_000 });
    const bomb = gzipSync(new Uint8Array(1_000_000));
    const { fields } = await callOnce(pair, { fields: ["grpc-encoding", "gzip"], body: packed(bomb) });
    assert.equal(Number(fields["grpc-status"]), Code.ResourceExhausted);
    const garbage = await callOnce(pair, { fields: ["grpc-encoding", "gzip"], body: packed(Buffer.from("no gzip")) });
    assert.equal(Number(garbage.fields["grpc-status"]), Code.InvalidArgument);
  });
});

describe("JSON over gRPC", () => {
  test("is spoken where the content type says so", async () => {
    const pair = serveUnary(({ text }) => ({ text: `${text}!` }));
    for (const contentType of ["application/grpc+json", "application/grpc+json; charset=utf-8"]) {
      const call = await callOnce(pair, { contentType, body: grpcFrame(Buffer.from('{"text":"hi","unknown":1}')) });
      assert.equal(call.fields["content-type"], "application/grpc+json");
      assert.equal(Buffer.from(call.data.subarray(5)).toString(), '{"text":"hi!"}');
      assert.equal(call.fields["grpc-status"], "0");
    }
    const bad = await callOnce(pair, { contentType: "application/grpc+json", body: grpcFrame(Buffer.from("{")) });
    assert.equal(Number(bad.fields["grpc-status"]), Code.InvalidArgument);
  });
});

describe("GrpcSession", () => {
  test("leaves to others what is no POST, no gRPC, or not routed", async () => {
    const pair = serveUnary(() => ({}));
    const others: [string, CallInit][] = [
      [path, { method: "GET" }],
      [path, { contentType: "application/grpc-web+proto" }],
      [path, { contentType: "application/grpc+thrift" }],
      [path, { contentType: "application/json" }],
      [path, { contentType: "" }],
      ["/lictor.test.v1.EchoService/Nothing", {}],
    ];
    for (const [index, [where, init]] of others.entries()) {
      pair.open(where, init);
      await pair.settle();
      assert.equal(pair.left, index + 1);
    }
    for (const contentType of ["application/grpc+proto", "Application/gRPC"]) {
      const call = await callOnce(pair, { contentType, body: request() });
      assert.equal(call.fields["grpc-status"], "0");
    }
    assert.equal(pair.left, others.length);
  });

  test("asks the request gate before a message is read", async () => {
    let handled = 0;
    const pair = serveUnary(
      () => {
        handled++;
        return {};
      },
      {
        async requestGate({ requestHeader, responseHeader }) {
          responseHeader.set("x-gate", "passed");
          if (!requestHeader.has("x-let-me-in")) throw new ConnectError("no", Code.Unauthenticated);
        },
      },
    );
    const refused = await callOnce(pair, { body: grpcFrame(new Uint8Array([0xff])) });
    assert.equal(Number(refused.fields["grpc-status"]), Code.Unauthenticated);
    const admitted = await callOnce(pair, { body: request(), fields: ["x-let-me-in", "1"] });
    assert.equal(admitted.fields["grpc-status"], "0");
    assert.equal(admitted.fields["x-gate"], "passed");
    assert.equal(handled, 1);
  });
});
