// Clients that know HTTP and JSON but no gRPC: Connect's unary protocol by hand, over HTTP/1.1 and HTTP/2 alike.
// https://connectrpc.com/docs/protocol

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { base64Encode } from "@bufbuild/protobuf/wire";
import { Code, ConnectError } from "@connectrpc/connect";
import { HelloRequestSchema, HelloResponseSchema } from "../../gen/HelloService_proto/hello_service_pb.ts";
import { createHelloService } from "../../src/hello/hello-service.ts";
import { serve } from "../../src/server/serve.ts";
import type { Server } from "../../src/server/server.ts";
import { EchoService, UnaryRequestSchema } from "../gen/lictor/test/v1/echo_pb.ts";
import { type Answer, ask, type HttpVersion, type Question } from "../support/ask.ts";
import { createEchoService } from "../support/echo-service.ts";

const echo = "/lictor.test.v1.EchoService/Unary";
const hello = "/HelloService_proto.HelloService/SayHello";
const json = { "content-type": "application/json" };

/** A Connect error as it is on the wire. */
interface ErrorBody {
  readonly code: string;
  readonly message?: string;
  readonly details?: readonly { readonly type: string; readonly value: string }[];
}

function errorOf({ text, headers }: Answer): ErrorBody {
  assert.equal(headers["content-type"], "application/json");
  return JSON.parse(text);
}

for (const [version, http2] of [
  ["HTTP/1.1", "node"],
  ["HTTP/2", "node"],
  ["HTTP/2", "lictor"],
] as const satisfies readonly (readonly [HttpVersion, string])[]) {
  describe(`a JSON client by ${version}, http2: "${http2}"`, () => {
    let server: Server;
    let url: string;
    const aborted: Promise<void>[] = [];
    before(async () => {
      const hellos = createHelloService({ address: { host: "test", port: 1 } });
      const echoes = createEchoService({
        onCall: (_, signal) => {
          aborted.push(new Promise((resolve) => signal.addEventListener("abort", () => resolve())));
        },
      });
      server = serve({
        http2,
        routes(router) {
          hellos(router);
          echoes(router);
        },
        graceMs: 200,
      });
      ({ url } = await server.ready);
    });
    after(() => server.close());
    const send = (path: string, question: Question) => ask(url, version, path, question);
    const post = (path: string, body: string | Uint8Array, headers: Readonly<Record<string, string>> = json) =>
      send(path, { method: "POST", headers, body });
    const get = (query: Readonly<Record<string, string>>, path = hello) =>
      send(`${path}?${new URLSearchParams(query)}`, {});

    test("posts JSON and gets JSON, of a known length", async () => {
      const answer = await post(hello, '{"name":"you","num1":1,"num2":2}');
      assert.equal(answer.status, 200);
      assert.equal(answer.headers["content-type"], "application/json");
      assert.equal(answer.headers["content-length"], String(answer.body.length));
      assert.deepEqual(JSON.parse(answer.text), { message: "Hello! you!This is Server: test:1", result: 3 });
    });

    for (const contentType of [
      "application/json; charset=utf-8",
      "application/json;charset=UTF-8",
      "APPLICATION/JSON",
    ]) {
      test(`posts ${contentType}`, async () => {
        assert.equal((await post(hello, "{}", { "content-type": contentType })).status, 200);
      });
    }

    test("posts binary messages and gets binary messages", async () => {
      const request = toBinary(HelloRequestSchema, {
        $typeName: "HelloService_proto.HelloRequest",
        name: "",
        num1: 40,
        num2: 2,
      });
      const answer = await post(hello, request, { "content-type": "application/proto" });
      assert.equal(answer.status, 200);
      assert.equal(fromBinary(HelloResponseSchema, answer.body).result, 42);
    });

    test("gets by GET what has no side effects, from JSON", async () => {
      const answer = await get({ encoding: "json", message: '{"name":"ü+ &","num1":1}' });
      assert.equal(answer.status, 200);
      assert.equal(JSON.parse(answer.text).message, "Hello! ü+ &!This is Server: test:1");
      assert.equal(answer.headers.vary, "Accept-Encoding");
    });

    test("gets by GET from base64, from binary and from gzip", async () => {
      const message = { $typeName: "HelloService_proto.HelloRequest", name: "", num1: 40, num2: 2 } as const;
      const bytes = toBinary(HelloRequestSchema, message);
      const inJson = await get({ connect: "v1", encoding: "json", base64: "1", message: btoa('{"num1":42}') });
      assert.equal(JSON.parse(inJson.text).result, 42);
      // https://connectrpc.com/docs/protocol#unary-get-request: URL-safe, with padding or without.
      for (const alphabet of ["url", "std"] as const) {
        const answer = await get({ encoding: "proto", base64: "1", message: base64Encode(bytes, alphabet) });
        assert.equal(answer.headers["content-type"], "application/proto");
        assert.equal(fromBinary(HelloResponseSchema, answer.body).result, 42);
      }
      const packed = await get({
        encoding: "proto",
        base64: "1",
        compression: "gzip",
        message: base64Encode(gzipSync(bytes), "url"),
      });
      assert.equal(fromBinary(HelloResponseSchema, packed.body).result, 42);
    });

    test("gets by GET an error that says what is wrong with the query", async () => {
      const badJson = await get({ encoding: "json", message: "{" });
      assert.equal(badJson.status, 400);
      assert.equal(errorOf(badJson).code, "invalid_argument");
      const badBase64 = await get({ encoding: "json", base64: "1", message: "%%%" });
      assert.equal(badBase64.status, 400);
      assert.deepEqual(errorOf(badBase64), {
        code: "invalid_argument",
        message: 'the query\'s "message" is no base64',
      });
      assert.equal((await get({ encoding: "xml", message: "" })).status, 415);
      assert.equal((await get({ message: "{}" })).status, 415);
    });

    test("is refused a GET, a HEAD or a PUT of a method that is for POST: 405, and told so", async () => {
      for (const method of ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"]) {
        const answer = await send(`${echo}?encoding=json&message={}`, { method });
        assert.equal(answer.status, 405, method);
        assert.equal(answer.headers.allow, "POST");
        assert.equal(answer.text, method === "HEAD" ? "" : "Method Not Allowed");
      }
      assert.equal((await send(hello, { method: "PUT" })).headers.allow, "POST, GET");
    });

    test("is answered malformed JSON with invalid_argument, 400", async () => {
      for (const body of ["", "{", "[]", "nonsense", '{"num1":"many"}', '{"num1":2147483648}', "\u0000"]) {
        const answer = await post(hello, body);
        assert.equal(answer.status, 400, body);
        assert.equal(errorOf(answer).code, "invalid_argument", body);
      }
    });

    test("may send fields that the server does not know", async () => {
      assert.equal(JSON.parse((await post(hello, '{"num1":1,"new":true}')).text).result, 1);
    });

    test("is answered other content types with 415, and told so", async () => {
      for (const contentType of ["text/plain", "application/x-www-form-urlencoded", "application/xml", "json"]) {
        const answer = await post(hello, "{}", { "content-type": contentType });
        assert.equal(answer.status, 415, contentType);
        assert.equal(answer.text, "Unsupported Media Type");
      }
      assert.equal((await post(hello, "{}", {})).status, 415);
    });

    test("sends gzip, and gets gzip where it asks for it", async () => {
      const headers = { ...json, "content-encoding": "gzip", "accept-encoding": "gzip" };
      const text = "x".repeat(10_000);
      const answer = await post(echo, gzipSync(JSON.stringify({ text })), headers);
      assert.equal(answer.status, 200);
      assert.equal(answer.headers["content-encoding"], "gzip");
      assert.ok(answer.body.length < 1000, `${answer.body.length} bytes`);
      assert.equal(JSON.parse(gunzipSync(answer.body).toString()).text, text);
    });

    test("gets no gzip that it did not ask for", async () => {
      const answer = await post(echo, JSON.stringify({ text: "x".repeat(10_000) }));
      assert.equal(answer.headers["content-encoding"], undefined);
      assert.equal(JSON.parse(answer.text).text.length, 10_000);
    });

    test("is told which compression it cannot send, and that it sent none", async () => {
      const unknown = await post(echo, "{}", { ...json, "content-encoding": "zstd" });
      assert.equal(unknown.status, 501);
      assert.equal(errorOf(unknown).code, "unimplemented");
      assert.match(errorOf(unknown).message ?? "", /gzip,\s?br/);
      const plain = await post(echo, "{}", { ...json, "content-encoding": "gzip" });
      assert.equal(plain.status, 400);
      assert.equal(errorOf(plain).code, "invalid_argument");
    });

    test("is answered a message over the limit with resource_exhausted, before and after unpacking", async () => {
      const big = JSON.stringify({ text: "x".repeat(4 * 1024 * 1024) });
      for (const [body, headers] of [
        [big, json],
        [gzipSync(big), { ...json, "content-encoding": "gzip" }],
      ] as const) {
        const answer = await post(echo, body, headers);
        assert.equal(answer.status, 429);
        assert.equal(errorOf(answer).code, "resource_exhausted");
      }
      assert.equal((await post(echo, "{}")).status, 200);
    });

    test("has its Connect-Timeout-Ms kept, and the handler is told", async () => {
      aborted.length = 0;
      const answer = await post(echo, '{"delayMs":60000}', { ...json, "connect-timeout-ms": "50" });
      assert.equal(answer.status, 504);
      assert.equal(errorOf(answer).code, "deadline_exceeded");
      assert.equal(aborted.length, 1);
      await aborted[0];
    });

    for (const bad of ["soon", "-1", "12345678901", "1.5"]) {
      test(`is refused the Connect-Timeout-Ms ${bad}`, async () => {
        const answer = await post(echo, "{}", { ...json, "connect-timeout-ms": bad });
        assert.equal(answer.status, 400);
        assert.equal(errorOf(answer).code, "invalid_argument");
      });
    }

    test("is told of a stream both ways how it can be had", async () => {
      const headers = { "content-type": "application/connect+json" };
      const answer = await post("/lictor.test.v1.EchoService/Bidi", "", headers);
      if (version === "HTTP/2") {
        assert.equal(answer.status, 200);
      } else {
        assert.equal(answer.status, 505);
        assert.equal(answer.text, "This method streams both ways, which takes HTTP/2");
        assert.equal(answer.headers.connection, "close");
      }
    });
  });

  describe(`a JSON client by ${version} whose call fails, http2: "${http2}"`, () => {
    let server: Server;
    let url: string;
    before(async () => {
      server = serve({
        http2,
        routes(router) {
          router.service(EchoService, {
            unary({ text }) {
              if (text === "secret") throw new Error("of the handler");
              const details = [{ desc: UnaryRequestSchema, value: { text: "more" } }];
              throw new ConnectError("no such text", Code.NotFound, { "x-hint": "try another" }, details);
            },
          });
        },
      });
      ({ url } = await server.ready);
    });
    after(() => server.close());

    test("gets code, message, details and metadata", async () => {
      const answer = await ask(url, version, echo, { method: "POST", headers: json, body: "{}" });
      assert.equal(answer.status, 404);
      assert.equal(answer.headers["x-hint"], "try another");
      const { code, message, details } = errorOf(answer);
      assert.deepEqual({ code, message }, { code: "not_found", message: "no such text" });
      assert.equal(details?.length, 1);
      assert.equal(details?.[0]?.type, "lictor.test.v1.UnaryRequest");
      // https://connectrpc.com/docs/protocol#error-end-stream: base64 without padding.
      const bytes = Buffer.from(details?.[0]?.value ?? "", "base64");
      assert.equal(fromBinary(UnaryRequestSchema, bytes).text, "more");
      assert.doesNotMatch(details?.[0]?.value ?? "", /=/);
    });

    test("gets nothing of what a handler did not mean to tell", async () => {
      const answer = await ask(url, version, echo, { method: "POST", headers: json, body: '{"text":"secret"}' });
      assert.equal(answer.status, 500);
      assert.deepEqual(errorOf(answer), { code: "internal", message: "internal error" });
    });
  });
}
