// Which answers a server compresses, by protocol, and what programs get of messages that came compressed: over real sockets.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createHttp2Connector, type Http2ConnectorOptions } from "../../src/connector/http2-connector.ts";
import { createStaticResolver } from "../../src/resolver/static-resolver.ts";
import { brotli, gzip } from "../../src/runtime/zlib-compression.ts";
import { serve } from "../../src/server/serve.ts";
import type { ServeOptions } from "../../src/server/serve-options.ts";
import { type BalancedTransport, createBalancedTransport } from "../../src/transport/balanced-transport.ts";
import { EchoService, UnaryRequestSchema, UnaryResponseSchema } from "../gen/lictor/test/v1/echo_pb.ts";
import { call, grpcFrame, grpcHeaders, openSession } from "../support/http2-call.ts";

const unaryPath = "/lictor.test.v1.EchoService/Unary";
const payload: Uint8Array = new Uint8Array(3000).fill(7);
const message = toBinary(UnaryRequestSchema, create(UnaryRequestSchema, { payload }));

/** A server that echoes payloads, and those that its handlers got. */
function serveEcho(options: Partial<ServeOptions> = {}) {
  const seen: Uint8Array[] = [];
  const server = serve({
    graceMs: 100,
    ...options,
    routes: (router) =>
      router.service(EchoService, {
        unary(request) {
          seen.push(request.payload);
          return { payload: request.payload };
        },
        async clientStream(requests) {
          const texts: string[] = [];
          for await (const { text } of requests) texts.push(text);
          return { text: texts.join() };
        },
        async *serverStream({ text, count }) {
          for (let index = 0; index < count; index++) yield { text, index };
        },
      }),
  });
  return { server, seen };
}

function connectTo(url: string, options: Http2ConnectorOptions): BalancedTransport {
  return createBalancedTransport({ resolver: createStaticResolver([url]), connector: createHttp2Connector(options) });
}

/** The encoding that a native gRPC call is answered with. */
async function grpcEncoding(url: string, headers: Record<string, string>): Promise<string | undefined> {
  const session = await openSession(url);
  const { headers: answered, body } = await call(session, grpcHeaders(unaryPath, headers), grpcFrame(message));
  session.destroy();
  const encoding = answered["grpc-encoding"];
  assert.equal(body[0], encoding === undefined ? 0 : 1);
  return encoding as string | undefined;
}

function assertPlain(bytes: Uint8Array | undefined): void {
  assert.ok(bytes !== undefined);
  assert.equal(Object.getPrototypeOf(bytes), Uint8Array.prototype);
  assert.deepEqual(bytes, payload);
}

describe("serve()", () => {
  test("compresses native gRPC's answers as their requests, and not because a client could unpack them", async () => {
    const { server } = serveEcho();
    await using _ = server;
    const { url } = await server.ready;
    assert.equal(await grpcEncoding(url, { "grpc-accept-encoding": "gzip,br" }), undefined);
    assert.equal(await grpcEncoding(url, { "grpc-encoding": "br", "grpc-accept-encoding": "gzip,br" }), "br");
    assert.equal(await grpcEncoding(url, { "grpc-encoding": "gzip" }), "gzip");
  });

  test("compresses them with sendCompression for every client that takes it", async () => {
    const { server } = serveEcho({ sendCompression: gzip });
    await using _ = server;
    const { url } = await server.ready;
    assert.equal(await grpcEncoding(url, { "grpc-accept-encoding": "br,gzip" }), "gzip");
    assert.equal(await grpcEncoding(url, { "grpc-accept-encoding": "br" }), undefined);
    assert.equal(await grpcEncoding(url, {}), undefined);
  });

  test("compresses none where compressMinBytes is Infinity", async () => {
    const { server } = serveEcho({ sendCompression: gzip, compressMinBytes: Number.POSITIVE_INFINITY });
    await using _ = server;
    const session = await openSession((await server.ready).url);
    const headers = grpcHeaders(unaryPath, { "grpc-accept-encoding": "gzip" });
    assert.equal((await call(session, headers, grpcFrame(message))).body[0], 0);
    session.destroy();
  });

  for (const http2 of ["lictor", "node"] as const) {
    test(`compresses Connect's answers for every client that takes it, http2: "${http2}"`, async () => {
      const { server, seen } = serveEcho({ http2 });
      await using _ = server;
      const session = await openSession((await server.ready).url);
      const headers = { ":method": "POST", ":path": unaryPath, "content-type": "application/proto" };
      const plain = await call(session, headers, message);
      assert.equal(plain.headers["content-encoding"], undefined);
      const asked = { ...headers, "accept-encoding": "gzip", "content-encoding": "gzip" };
      const packed = await call(session, asked, await gzip.compress(message));
      assert.equal(packed.headers["content-encoding"], "gzip");
      const bytes = await gzip.decompress(packed.body, 1_000_000);
      assert.deepEqual(fromBinary(UnaryResponseSchema, bytes).payload, payload);
      assertPlain(seen[1]);
      session.destroy();
    });
  }
});

for (const compression of [gzip, brotli]) {
  test(`messages that came in ${compression.name} have Uint8Arrays for bytes on both sides, alone and streamed`, async () => {
    const { server, seen } = serveEcho({ sendCompression: compression });
    await using _ = server;
    await using transport = connectTo((await server.ready).url, { sendCompression: compression });
    const client = createClient(EchoService, transport);
    assertPlain((await client.unary({ payload })).payload);
    assertPlain(seen[0]);
    const long = "x".repeat(3000);
    async function* requests() {
      yield { text: long };
      yield { text: "y" };
    }
    assert.equal((await client.clientStream(requests())).text, `${long},y`);
    const answers: string[] = [];
    for await (const { text } of client.serverStream({ text: long, count: 2 })) answers.push(text);
    assert.deepEqual(answers, [long, long]);
  });
}

test("what gzip and brotli unpack is a Uint8Array on a buffer of its own", async () => {
  for (const compression of [gzip, brotli]) {
    const bytes = await compression.decompress(await compression.compress(payload), payload.length);
    assertPlain(bytes);
    assert.equal(bytes.buffer.byteLength, bytes.byteLength);
    assert.equal((await compression.decompress(new Uint8Array(0), 10)).length, 0);
  }
});
