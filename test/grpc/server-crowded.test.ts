// Servers that are asked for more than their client takes, or for more work than they do at a time: what is done at once is bounded, and
// everything is answered in the end.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import type { Compression } from "@connectrpc/connect/protocol";
import { Turns } from "../../src/grpc/server/turns.ts";
import { ErrorCode } from "../../src/http2/error-code.ts";
import { EchoService, UnaryRequestSchema } from "../gen/lictor/test/v1/echo_pb.ts";
import { createGrpcPair, type GrpcPair, type GrpcPairOptions, type PairCall } from "../support/echo-grpc.ts";
import { grpcFrame } from "../support/http2-call.ts";

const path = "/lictor.test.v1.EchoService/Unary";
const mebibyte = 1024 * 1024;

const frames = (isCompressed: boolean): Uint8Array => {
  const frame = grpcFrame(toBinary(UnaryRequestSchema, create(UnaryRequestSchema, { text: "a" })));
  frame[0] = isCompressed ? 1 : 0;
  return frame;
};

/** Makes many calls at once, whose answers are `bytes` each. */
async function callMany(
  pair: GrpcPair,
  count: number,
  { isCompressed = false, consume = true }: { isCompressed?: boolean; consume?: boolean } = {},
): Promise<PairCall[]> {
  const fields = isCompressed ? ["grpc-encoding", "slow"] : [];
  const calls = Array.from({ length: count }, () => pair.open(path, { body: frames(isCompressed), consume, fields }));
  await pair.settle();
  return calls;
}

function answering(bytes: number, options: Omit<GrpcPairOptions, "routes"> = {}) {
  const payload = new Uint8Array(bytes);
  // Answers come in a turn of their own, when all calls have come.
  return createGrpcPair({
    ...options,
    routes: (router) => router.service(EchoService, { unary: async () => ({ payload }) }),
  });
}

/** A compression that is done with a message when it is told to be. */
function createSlowCompression() {
  const under: (() => void)[] = [];
  let bytesUnder = 0;
  let most = { count: 0, bytes: 0 };
  const work = (bytes: Uint8Array): Promise<Uint8Array<ArrayBuffer>> =>
    new Promise((resolve) => {
      bytesUnder += bytes.length;
      under.push(() => {
        bytesUnder -= bytes.length;
        resolve(new Uint8Array(bytes));
      });
      most = { count: Math.max(most.count, under.length), bytes: Math.max(most.bytes, bytesUnder) };
    });
  const compression: Compression = { name: "slow", compress: work, decompress: work };
  return {
    compression,
    get most() {
      return most;
    },
    /** Is done with all that is under way, again and again, until nothing is. */
    async finish(pair: GrpcPair) {
      while (under.length > 0) {
        for (const done of under.splice(0)) done();
        await pair.settle();
      }
    },
  };
}

const statuses = (calls: readonly PairCall[]) => new Set(calls.map(({ fields }) => fields["grpc-status"]));

describe("A gRPC server", () => {
  test("makes answers only while there is room, and all of them in the end", async () => {
    const maxPendingBytes = mebibyte;
    const pair = answering(100_000, { server: { maxPendingBytes }, client: { maxConcurrentStreams: 0 } });
    const calls = await callMany(pair, 60, { consume: false });
    assert.ok(pair.server.pendingBytes <= maxPendingBytes + 101_000, `${pair.server.pendingBytes} wait`);
    for (let round = 0; round < 200 && calls.some(({ heard }) => !heard.ended); round++) {
      for (const { stream } of calls) pair.client.consumed(stream, stream.heldBytes);
      await pair.settle();
    }
    assert.deepEqual(statuses(calls), new Set(["0"]));
    assert.equal(pair.server.pendingBytes, 0);
  });

  test("lets go of answers that nobody waits for any more", async () => {
    const pair = answering(100_000, { server: { maxPendingBytes: mebibyte } });
    const calls = await callMany(pair, 60, { consume: false });
    for (const call of calls) call.reset(ErrorCode.cancel);
    await pair.settle();
    assert.equal(pair.server.pendingBytes, 0);
    assert.equal(pair.calls.size, 0);
    const [later] = await callMany(pair, 1);
    assert.equal(later?.fields["grpc-status"], "0");
  });

  test("unpacks four messages of a connection at a time, and none of a call that is over", async () => {
    const slow = createSlowCompression();
    const pair = answering(0, { acceptCompression: [slow.compression] });
    const calls = await callMany(pair, 20, { isCompressed: true });
    for (const call of calls.slice(10)) call.reset(ErrorCode.cancel);
    await pair.settle();
    let unpacked = 0;
    const { decompress } = slow.compression;
    slow.compression.decompress = (...parts) => {
      unpacked++;
      return decompress(...parts);
    };
    await slow.finish(pair);
    assert.equal(slow.most.count, 4);
    // Four were under way.
    assert.equal(unpacked, 6);
    assert.deepEqual(statuses(calls.slice(0, 10)), new Set(["0"]));
  });

  test("takes no more messages of a connection than it unpacks, though it holds none of their streams' windows", async () => {
    const slow = createSlowCompression();
    const pair = answering(0, { acceptCompression: [slow.compression], server: { maxHeldBytes: mebibyte } });
    const body = new Uint8Array(mebibyte / 4);
    body.set([1, 0, 3, 255, 251]);
    const calls: PairCall[] = [];
    while (calls.length < 80) {
      calls.push(pair.open(path, { body, fields: ["grpc-encoding", "slow"] }));
      // Whole, before the next one begins: the client sends in turns.
      await pair.settle();
    }
    // A window of 4 MiB, half of it announced late, and what is held.
    assert.ok(pair.client.pendingBytes >= 12 * mebibyte, `${pair.client.pendingBytes} wait at the client`);
    await slow.finish(pair);
    assert.equal(pair.client.pendingBytes, 0);
    // Zeros are no message.
    assert.deepEqual(statuses(calls), new Set(["13"]));
  });

  test("compresses no more answers at a time than may wait", async () => {
    const slow = createSlowCompression();
    const pair = answering(mebibyte, { acceptCompression: [slow.compression] });
    const fields = ["grpc-encoding", "slow"];
    const calls = Array.from({ length: 40 }, () => pair.open(path, { body: frames(false), fields }));
    await pair.settle();
    await slow.finish(pair);
    assert.ok(slow.most.bytes <= 18 * mebibyte, `${slow.most.bytes} at a time`);
    assert.deepEqual(statuses(calls), new Set(["0"]));
  });
});

describe("Turns", () => {
  test("go on after a failure, in order, and let the event loop have its own between", async () => {
    const order: string[] = [];
    const turns = new Turns(1, (run) => {
      order.push("loop");
      setImmediate(run);
    });
    const settled = await Promise.allSettled(
      ["a", "b", "c"].map((name) =>
        turns.run(async () => {
          order.push(name);
          if (name === "b") throw new Error("b failed");
          return name;
        }),
      ),
    );
    assert.deepEqual(order, ["a", "loop", "b", "loop", "c"]);
    assert.deepEqual(
      settled.map(({ status }) => status),
      ["fulfilled", "rejected", "fulfilled"],
    );
    assert.equal(await turns.run(async () => "d"), "d");
  });
});
