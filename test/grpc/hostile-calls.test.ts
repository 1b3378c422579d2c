// Calls whose fields and messages are garbage: each is answered with a status that says so, or is taken as it is; the connection goes on,
// and nothing of them is kept.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, decodeBinaryHeader, type HandlerContext } from "@connectrpc/connect";
import { EchoService, UnaryRequestSchema } from "../gen/lictor/test/v1/echo_pb.ts";
import { createGrpcPair, type GrpcPair, type GrpcPairOptions } from "../support/echo-grpc.ts";
import { grpcFrame } from "../support/http2-call.ts";
import { seededRandom } from "../support/seeded-random.ts";

const service = "/lictor.test.v1.EchoService";
const body = grpcFrame(toBinary(UnaryRequestSchema, create(UnaryRequestSchema, { text: "x" })));

function start(options: Omit<GrpcPairOptions, "routes"> = {}) {
  const contexts: HandlerContext[] = [];
  const pair = createGrpcPair({
    ...options,
    readMaxBytes: 4 * 1024 * 1024,
    routes: (router) =>
      router.service(EchoService, {
        unary(request, context) {
          contexts.push(context);
          const given = context.requestHeader.get("x-given-bin");
          if (given !== null) decodeBinaryHeader(given);
          return { text: request.text };
        },
        async clientStream(requests) {
          let count = 0;
          for await (const _request of requests) count++;
          return { count };
        },
      }),
  });
  return { contexts, pair };
}

/** The code of a call that is over; "ok" where it was answered. */
async function statusOf(pair: GrpcPair, fields: readonly string[], bytes: Uint8Array, method = "Unary") {
  const call = pair.open(`${service}/${method}`, { fields, body: bytes });
  await pair.settle();
  const status = call.fields["grpc-status"];
  return status === "0" ? "ok" : Code[Number(status)];
}

/** Nothing of all that is left, and the next call is answered. */
async function assertGoesOn(pair: GrpcPair): Promise<void> {
  assert.equal(await statusOf(pair, [], body), "ok");
  assert.equal(pair.calls.size, 0);
  assert.equal(pair.partial.bytes, 0);
  assert.equal(pair.server.streamCount, 0);
}

describe("A call whose fields are garbage", () => {
  test("has the last of several deadlines, and one that is over at once", async () => {
    const { contexts, pair } = start();
    for (const [texts, timeoutMs] of [
      [["1S", "2S"], 2000],
      [["abc", "3S"], 3000],
      [["99999999H"], 2 ** 31 - 1],
      [["0n"], 0],
      [["1n"], 0],
    ] as const) {
      await statusOf(
        pair,
        texts.flatMap((text) => ["grpc-timeout", text]),
        body,
      );
      assert.equal(Math.round(contexts.at(-1)?.timeoutMs() ?? Number.NaN), timeoutMs, texts.join());
    }
    assert.equal(await statusOf(pair, ["grpc-timeout", "1S", "grpc-timeout", "abc"], body), "InvalidArgument");
    await assertGoesOn(pair);
  });

  test("is the handler's to judge where a -bin field is not in base64", async () => {
    const { pair } = start();
    for (const text of ["!!!", "A", "====", "%00", "a b", "\x80"]) {
      const status = await statusOf(pair, ["x-given-bin", text], body);
      assert.ok(status === "DataLoss" || status === "ok", `${text}: ${status}`);
      assert.equal(await statusOf(pair, ["x-other-bin", text], body), "ok");
    }
    await assertGoesOn(pair);
  });

  test("is refused where its compression is one that nobody knows, however it is spelled", async () => {
    const { pair } = start();
    for (const text of ["GZIP", "gzip,br", ";;;", "x".repeat(8000)]) {
      const status = await statusOf(pair, ["grpc-encoding", text], body);
      assert.equal(status, "Unimplemented", text);
      assert.equal(await statusOf(pair, ["grpc-accept-encoding", text], body), "ok");
    }
    await assertGoesOn(pair);
  });
});

describe("A call whose messages are garbage", () => {
  for (const method of ["Unary", "ClientStream"]) {
    test(`is answered with a status, whatever the bytes: ${method}`, async (context) => {
      const { pair } = start();
      const seed = 20_487;
      const random = seededRandom(seed).random;
      const seen = new Set<string | undefined>();
      for (let round = 0; round < 500; round++) {
        const bytes = Uint8Array.from({ length: Math.floor(random() * 30) }, () => Math.floor(random() * 256));
        // Half of them have a head that could be one.
        if (bytes.length >= 5 && round % 2 === 0) bytes.set([round % 3 === 0 ? 1 : 0, 0, 0, 0, bytes.length - 5]);
        const fields = round % 5 === 0 ? ["grpc-encoding", "gzip"] : [];
        const status = await statusOf(pair, fields, bytes, method);
        assert.notEqual(status, undefined, `seed ${seed}, round ${round}`);
        seen.add(status);
      }
      context.diagnostic([...seen].join());
      for (const code of ["Internal", "InvalidArgument", "ResourceExhausted"]) assert.ok(seen.has(code), code);
      await assertGoesOn(pair);
      assert.deepEqual(pair.logger.lines, []);
    });
  }

  test("is refused at once where it claims 4 GiB, on 1,000 streams at a time", async () => {
    const { pair } = start();
    const calls = Array.from({ length: 1000 }, () => pair.open(`${service}/Unary`));
    for (const call of calls) call.send(Uint8Array.of(0, 255, 255, 255, 255));
    await pair.settle();
    assert.deepEqual(
      new Set(calls.map(({ fields }) => Number(fields["grpc-status"]))),
      new Set([Code.ResourceExhausted]),
    );
    await assertGoesOn(pair);
  });

  test("holds little where a byte of it has come, on 10,000 streams at a time, and nothing once they are reset", async () => {
    const { pair } = start({ server: { maxConcurrentStreams: 10_000 } });
    const calls = Array.from({ length: 10_000 }, () => pair.open(`${service}/Unary`));
    for (const call of calls) call.send(Uint8Array.of(0, 0, 64, 0, 0, 1));
    await pair.settle();
    assert.equal(pair.calls.size, 10_000);
    assert.ok(pair.partial.bytes <= 10_000 * 1024, `${pair.partial.bytes} held`);
    for (const call of calls) call.reset();
    await pair.settle();
    await assertGoesOn(pair);
  });
});
