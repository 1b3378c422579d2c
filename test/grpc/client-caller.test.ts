// Unary calls made the faster way: ended by any CallSignal, and with a recourse where they fail.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { callFate } from "../../src/core/call-fate.ts";
import type { CallSignal } from "../../src/core/call-signal.ts";
import { EchoService, UnaryResponseSchema } from "../gen/lictor/test/v1/echo_pb.ts";
import { createGrpcPair, type ServedCall } from "../support/grpc-pair.ts";
import { rejection } from "../support/rejection.ts";

const { unary } = EchoService.method;
const answerBytes = toBinary(UnaryResponseSchema, create(UnaryResponseSchema, { text: "answer" }));
const none = () => undefined;

function answer(call: ServedCall): void {
  call.head();
  call.message(answerBytes);
  call.trailers();
}

/** The least of a signal. */
function createCallSignal() {
  const listeners = new Set<() => void>();
  const signal = {
    aborted: false,
    reason: undefined as unknown,
    addEventListener: (_type: "abort", listener: () => void) => {
      listeners.add(listener);
    },
    removeEventListener: (_type: "abort", listener: () => void) => {
      listeners.delete(listener);
    },
  } satisfies CallSignal;
  const abort = (reason: unknown) => {
    Object.assign(signal, { aborted: true, reason });
    for (const listener of [...listeners]) listener();
  };
  return { signal, listeners, abort };
}

describe("SessionTransport.unaryCall()", () => {
  test("is ended by any CallSignal, and listens no longer than the call lasts", async () => {
    await using pair = await createGrpcPair();
    const { signal, listeners, abort } = createCallSignal();
    const aborted = rejection(pair.transport.unaryCall(unary, signal, undefined, undefined, {}, none));
    await pair.clock.advance(0);
    assert.equal(listeners.size, 1);
    abort(new Error("enough"));
    const error = await aborted;
    assert.deepEqual([error.code, error.rawMessage, listeners.size], [Code.Canceled, "enough", 0]);
    await pair.clock.advance(0);
    assert.equal(pair.calls[0]?.resetCode, 8);
    const late = await rejection(pair.transport.unaryCall(unary, signal, undefined, undefined, {}, none));
    assert.deepEqual([late.code, pair.calls.length], [Code.Canceled, 1]);
  });

  test("leaves the deadline to a signal that keeps it, and takes CANCEL behind it for its passing", async () => {
    for (const isPast of [false, true]) {
      await using pair = await createGrpcPair();
      const { signal, listeners } = createCallSignal();
      const keeping = { ...signal, isPastDeadline: () => isPast };
      const call = rejection(pair.transport.unaryCall(unary, keeping, 50, undefined, {}, none));
      await pair.clock.advance(0);
      assert.ok(pair.calls[0]?.fields.includes("50m"), String(pair.calls[0]?.fields));
      await pair.clock.advance(60);
      assert.deepEqual([pair.calls[0]?.resetCode, listeners.size], [undefined, 1]);
      pair.calls[0]?.reset(8);
      await pair.clock.advance(0);
      assert.equal((await call).code, isPast ? Code.DeadlineExceeded : Code.Canceled);
      assert.equal(listeners.size, 0);
    }
  });

  test("asks its recourse once, before it fails, and ends as that says", async () => {
    const refuse = (call: ServedCall) => call.reset(7);
    await using pair = await createGrpcPair({ onRequest: (call) => (pair.calls.length === 1 ? refuse : answer)(call) });
    const errors: ConnectError[] = [];
    const response = await pair.transport.unaryCall(unary, undefined, undefined, undefined, {}, (error) => {
      errors.push(error);
      return pair.transport.unary(unary, undefined, undefined, undefined, {});
    });
    assert.equal(response.message.text, "answer");
    assert.deepEqual(errors.map(callFate), ["unprocessed"]);
    const instead = new ConnectError("no better", Code.DataLoss);
    pair.transport.stop();
    const failed = pair.transport.unaryCall(unary, undefined, undefined, undefined, {}, () => Promise.reject(instead));
    assert.equal(await rejection(failed), instead);
    const notTaken = await rejection(pair.transport.unaryCall(unary, undefined, undefined, undefined, {}, none));
    assert.deepEqual([notTaken.code, callFate(notTaken)], [Code.Unavailable, "unprocessed"]);
  });
});
