import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { serve } from "../../src/server/serve.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { call, grpcFrame, grpcHeaders, openSession } from "../support/http2-call.ts";
import { http2Kinds } from "../support/http2-kinds.ts";

/** What a handler says, and what gRPC's clients must find on the wire. */
const spellings: Readonly<Record<string, string>> = {
  "which room?": "which room?",
  "a/b: c, d; e&f=g+h$i#j@k": "a/b: c, d; e&f=g+h$i#j@k",
  "100 %": "100 %25",
  "grün, 日本": "gr%C3%BCn, %E6%97%A5%E6%9C%AC",
  "two\nlines": "two%0Alines",
  " spaces at both ends ": "%20spaces at both ends%20",
};

for (const http2 of http2Kinds) {
  describe(`serve({ http2: "${http2}" })`, () => {
    for (const [text, spelled] of Object.entries(spellings)) {
      test(`writes the error text ${JSON.stringify(text)} as gRPC does`, async () => {
        await using server = serve({
          http2,
          routes: (router) =>
            router.service(EchoService, {
              unary() {
                throw new ConnectError(text, Code.InvalidArgument);
              },
            }),
        });
        const session = await openSession((await server.ready).url);
        const { headers, trailers } = await call(
          session,
          grpcHeaders("/lictor.test.v1.EchoService/Unary"),
          grpcFrame(new Uint8Array(0)),
        );
        session.destroy();
        assert.equal({ ...headers, ...trailers }["grpc-message"], spelled);
      });
    }
  });
}
