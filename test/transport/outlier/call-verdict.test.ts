// What a call's failure says of its endpoint.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { callVerdict, wasSilent } from "../../../src/transport/outlier/call-verdict.ts";

describe("callVerdict()", () => {
  test("blames the server for what a working one does not answer, and for silence", () => {
    for (const code of [Code.Unavailable, Code.Internal, Code.Unknown, Code.DataLoss]) {
      assert.equal(callVerdict(new ConnectError("", code), "answered"), "fault", Code[code]);
      assert.equal(callVerdict(new ConnectError("", code), "maybe-processed"), "fault", Code[code]);
    }
    const late = new ConnectError("", Code.DeadlineExceeded);
    assert.equal(callVerdict(late, "maybe-processed"), "fault");
    assert.deepEqual([wasSilent(late, "maybe-processed"), wasSilent(late, "answered")], [true, false]);
  });

  test("takes an answer that blames the caller as a sign of life, and no answer for nothing", () => {
    for (const code of [Code.InvalidArgument, Code.NotFound, Code.ResourceExhausted, Code.Unimplemented]) {
      assert.equal(callVerdict(new ConnectError("", code), "answered"), "fine", Code[code]);
    }
    assert.equal(callVerdict(new ConnectError("", Code.Canceled), "maybe-processed"), "nothing");
    assert.equal(callVerdict(new ConnectError("", Code.Unavailable), "unprocessed"), "nothing");
  });

  test("does not blame a server that sheds load and says when to come again", () => {
    const shed = new ConnectError("", Code.Unavailable, { "grpc-retry-pushback-ms": "50" });
    assert.equal(callVerdict(shed, "answered"), "fine");
  });
});
