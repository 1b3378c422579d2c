// Native gRPC means the same whoever speaks HTTP/2: what clients find on the wire, compared to the letter where it matters.

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { ClientHttp2Session, OutgoingHttpHeaders } from "node:http2";
import { after, before, describe, test } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import { serve } from "../../src/server/serve.ts";
import type { Server } from "../../src/server/server.ts";
import { EchoService, UnaryRequestSchema, UnaryResponseSchema } from "../gen/lictor/test/v1/echo_pb.ts";
import { call, grpcFrame, grpcHeaders, type Http2Answer, openSession } from "../support/http2-call.ts";
import { http2Kinds } from "../support/http2-kinds.ts";
import { createRecordingLogger } from "../support/recording-logger.ts";

const service = "/lictor.test.v1.EchoService";
const message = (text: string): Uint8Array =>
  grpcFrame(toBinary(UnaryRequestSchema, create(UnaryRequestSchema, { text })));

function packed(bytes: Uint8Array): Uint8Array {
  const frame = grpcFrame(bytes);
  frame[0] = 1;
  return frame;
}

for (const http2 of http2Kinds) {
  describe(`native gRPC of serve({ http2: "${http2}" })`, () => {
    const logger = createRecordingLogger();
    let server: Server;
    let session: ClientHttp2Session;
    before(async () => {
      server = serve({
        http2,
        logger,
        graceMs: 100,
        maxReceiveBytes: 100_000,
        routes(router) {
          router.service(EchoService, {
            async unary({ text }, { responseHeader, responseTrailer, requestHeader, timeoutMs }) {
              responseTrailer.set("x-trailer", "1");
              if (text === "headers") responseHeader.set("x-header", requestHeader.get("x-asked") ?? "none");
              if (text === "deadline") return { text: typeof timeoutMs() };
              if (text === "unexpected") throw new Error("secret");
              if (text === "details") {
                const details = [{ desc: UnaryResponseSchema, value: { text: "detail" } }];
                throw new ConnectError("with details: é", Code.FailedPrecondition, { "x-meta": "2" }, details);
              }
              return { text };
            },
            async clientStream(requests) {
              let text = "";
              for await (const request of requests) text += request.text;
              return { text };
            },
            async *serverStream({ text }) {
              yield { text };
              throw new ConnectError(text, Code.Aborted);
            },
          });
        },
      });
      session = await openSession((await server.ready).url);
    });
    after(async () => {
      session?.destroy();
      await server?.close();
    });
    const ask = (body: Uint8Array, extra: OutgoingHttpHeaders = {}, method = "Unary"): Promise<Http2Answer> =>
      call(session, grpcHeaders(`${service}/${method}`, extra), body);
    /** Where the status stands depends on whether anything came before it; a client reads both. */
    const all = ({ headers, trailers }: Http2Answer): Record<string, unknown> => ({ ...headers, ...trailers });

    test("answers with headers, messages and trailers in their places", async () => {
      const answer = await ask(message("headers"), { "x-asked": "yes" });
      assert.equal(answer.status, 200);
      assert.equal(answer.headers["content-type"], "application/grpc+proto");
      assert.equal(answer.headers["x-header"], "yes");
      assert.equal(answer.trailers["x-trailer"], "1");
      assert.equal(answer.trailers["grpc-status"], "0");
      assert.equal(answer.headers["grpc-status"], undefined);
      assert.equal(answer.rstCode, 0);
    });

    const cases: readonly (readonly [
      what: string,
      code: Code,
      body: Uint8Array,
      extra?: OutgoingHttpHeaders,
      method?: string,
    ])[] = [
      ["no message", Code.Unimplemented, new Uint8Array(0)],
      ["two messages", Code.Unimplemented, Buffer.concat([message("a"), message("b")])],
      ["no message of a call that the server streams", Code.Unimplemented, new Uint8Array(0), {}, "ServerStream"],
      ["half a message", Code.InvalidArgument, message("abc").subarray(0, 7)],
      ["half a message of a stream", Code.InvalidArgument, message("abc").subarray(0, 7), {}, "ClientStream"],
      ["no protobuf", Code.Internal, grpcFrame(new Uint8Array([0xff]))],
      ["too long a message", Code.ResourceExhausted, message("x".repeat(100_001))],
      ["an unknown compression", Code.Unimplemented, message("a"), { "grpc-encoding": "zstd" }],
      ["compression without its name", Code.Internal, packed(gzipSync(message("a").subarray(5)))],
      ["garbage for gzip", Code.InvalidArgument, packed(Buffer.from("garbage")), { "grpc-encoding": "gzip" }],
      [
        "too long a message once unpacked",
        Code.ResourceExhausted,
        packed(gzipSync(Buffer.alloc(200_000))),
        { "grpc-encoding": "gzip" },
      ],
      ["a deadline that is none", Code.InvalidArgument, message("a"), { "grpc-timeout": "soon" }],
      ["a method without an implementation", Code.Unimplemented, message("a"), {}, "Bidi"],
      ["a method that nobody routed", Code.Unimplemented, message("a"), {}, "Nothing"],
      ["a handler that fails", Code.Internal, message("unexpected")],
    ];
    for (const [what, code, body, extra, method] of cases) {
      test(`answers ${what} with ${Code[code]}`, async () => {
        const answer = await ask(body, extra, method);
        assert.equal(answer.status, 200);
        assert.equal(Number(all(answer)["grpc-status"]), code);
        assert.ok(!String(all(answer)["grpc-message"]).includes("secret"));
      });
    }

    test("gives details, metadata and text of errors", async () => {
      const fields = all(await ask(message("details")));
      assert.equal(Number(fields["grpc-status"]), Code.FailedPrecondition);
      assert.equal(fields["grpc-message"], "with details: %C3%A9");
      assert.equal(fields["x-meta"], "2");
      assert.equal(fields["x-trailer"], "1");
      assert.equal(fields["content-type"], "application/grpc+proto");
      assert.ok(
        Buffer.from(String(fields["grpc-status-details-bin"]), "base64").includes("lictor.test.v1.UnaryResponse"),
      );
    });

    test("gives the messages before an error", async () => {
      const answer = await ask(message("half"), {}, "ServerStream");
      assert.equal(answer.body.toString("latin1", 7), "half");
      assert.equal(Number(answer.trailers["grpc-status"]), Code.Aborted);
      assert.equal(answer.trailers["grpc-message"], "half");
    });

    test("packs and unpacks messages as client and server agree", async () => {
      for (const length of [2000, 10]) {
        const text = "x".repeat(length);
        const extra = { "grpc-encoding": "gzip", "grpc-accept-encoding": "identity, gzip" };
        const { headers, body } = await ask(packed(gzipSync(message(text).subarray(5))), extra);
        assert.equal(headers["grpc-encoding"], "gzip");
        assert.equal(body[0], length > 1024 ? 1 : 0);
        const bytes = body.subarray(5);
        assert.equal(fromBinary(UnaryResponseSchema, body[0] === 1 ? gunzipSync(bytes) : bytes).text, text);
      }
    });

    test("packs nothing when compressMinBytes is Infinity, and unpacks all the same", async () => {
      const routes = (router: ConnectRouter) => router.service(EchoService, { unary: ({ text }) => ({ text }) });
      await using plain = serve({ http2, routes, compressMinBytes: Number.POSITIVE_INFINITY, graceMs: 100 });
      const own = await openSession((await plain.ready).url);
      const text = "x".repeat(2000);
      const extra = { "grpc-encoding": "gzip", "grpc-accept-encoding": "gzip" };
      const asked = packed(gzipSync(message(text).subarray(5)));
      const { body } = await call(own, grpcHeaders(`${service}/Unary`, extra), asked);
      own.destroy();
      assert.equal(body[0], 0);
      assert.equal(fromBinary(UnaryResponseSchema, body.subarray(5)).text, text);
    });

    test("speaks JSON where it is asked to", async () => {
      const body = grpcFrame(Buffer.from('{"text":"hi","unknown":1}'));
      const answer = await ask(body, { "content-type": "application/grpc+json" });
      assert.equal(answer.headers["content-type"], "application/grpc+json");
      assert.equal(answer.body.toString("utf8", 5), '{"text":"hi"}');
      assert.equal(answer.trailers["grpc-status"], "0");
    });

    test("tells handlers how long they have", async () => {
      const { body } = await ask(message("deadline"), { "grpc-timeout": "5S" });
      assert.equal(body.toString("latin1", 7), "number");
      const endless = await ask(message("deadline"));
      assert.equal(endless.body.toString("latin1", 7), "undefined");
    });

    test("refuses other content types with 415 and other methods with 405", async () => {
      const body = message("a");
      const thrift = await ask(body, { "content-type": "application/grpc+thrift" });
      assert.equal(thrift.status, 415);
      const put = await call(session, grpcHeaders(`${service}/Unary`, { ":method": "PUT" }), body);
      assert.equal(put.status, 405);
      assert.match(String(put.headers.allow), /POST/);
    });

    test("logs handlers that fail unexpectedly, and nothing else", async () => {
      const before = logger.count("Handler failed");
      await ask(message("unexpected"));
      await ask(message("details"));
      await ask(new Uint8Array(0));
      assert.equal(logger.count("Handler failed") - before, 1);
    });
  });
}
