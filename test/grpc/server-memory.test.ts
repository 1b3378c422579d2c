// What a connection remembers of its peer's calls does not grow with what strangers send: names of methods that nobody serves, and of
// more methods than there can be.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { DescMethod } from "@bufbuild/protobuf";
import { rawMethod } from "../../src/edge/tcp/session-object/raw-method.ts";
import { RequestFields } from "../../src/grpc/client/request-fields.ts";
import { CallTracker } from "../../src/grpc/server/call-tracker.ts";
import { GrpcSession } from "../../src/grpc/server/grpc-session.ts";
import type { HeaderBlock } from "../../src/http2/hpack/header-decoder.ts";
import { Stream } from "../../src/http2/stream.ts";
import { createGrpcPair } from "../support/echo-grpc.ts";
import { createEchoService } from "../support/echo-service.ts";
import { heapGrowth } from "../support/heap.ts";
import { createRecordingLogger } from "../support/recording-logger.ts";

const names = 100_000;
/** Each name would leave a KiB behind. */
const mostBytes: number = 8 * 1024 * 1024;

describe(`${names} paths of methods`, () => {
  test("leave nothing in a server's session that serves none of them", () => {
    const pair = createGrpcPair({ routes: createEchoService() });
    const session = new GrpcSession(
      pair.server,
      {
        route: () => undefined,
        leaves: () => false,
        calls: new CallTracker(),
        scheme: "http",
        clock: pair.clock,
        logger: createRecordingLogger(),
        yieldToLoop: setImmediate,
      },
      () => undefined,
    );
    const stream = new Stream(1, { onHeaders() {}, onData() {}, onReset() {}, onDrained() {} }, 0, 0);
    const bytes = heapGrowth(() => {
      for (let index = 0; index < names; index++) {
        const path = `/some.package.Service${index}/${"Method".repeat(150)}${index}`;
        const fields = [":method", "POST", ":path", path, "content-type", "application/grpc"];
        const block: HeaderBlock = { fields, tooLarge: false, listBytes: 1000, derived: undefined, judged: undefined };
        assert.equal(session.accept(stream, block, true), undefined);
      }
      return session;
    });
    assert.ok(bytes < mostBytes, `${bytes} bytes`);
  });

  test("leave little on a client's connection that passes them on", () => {
    const { client } = createGrpcPair({ routes: createEchoService() });
    const fields = new RequestFields({
      connection: client,
      url: "http://host:1",
      acceptEncoding: "gzip",
      encoding: undefined,
    });
    const bytes = heapGrowth(() => {
      for (let index = 0; index < names; index++) {
        const method = rawMethod(`/some.package.Service${index}/${"Method".repeat(20)}`);
        assert.ok(method !== undefined);
        fields.head(method.unary as DescMethod, undefined, undefined);
      }
      return fields;
    });
    assert.ok(bytes < mostBytes, `${bytes} bytes`);
  });
});
