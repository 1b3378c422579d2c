import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { findTrailerError, setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { toHeaders } from "../../src/grpc/metadata.ts";
import { readStatus, statusFields } from "../../src/grpc/status.ts";
import { decodeStatusText, encodeStatusText } from "../../src/grpc/status-text.ts";
import { UnaryRequestSchema } from "../gen/lictor/test/v1/echo_pb.ts";

const detail = { desc: UnaryRequestSchema, value: { text: "detail", delayMs: 7 } };

function failure(fields: readonly string[]): ConnectError {
  const status = readStatus(fields);
  assert.ok(status instanceof ConnectError);
  return status;
}

describe("readStatus()", () => {
  test("tells ok, a failure and none apart", () => {
    assert.equal(readStatus(["grpc-status", "0", "x", "y"]), "ok");
    assert.equal(readStatus(["content-type", "application/grpc"]), undefined);
    const error = failure(["x-more", "1", "grpc-status", "9", "grpc-message", "not %61 chance"]);
    assert.equal(error.code, Code.FailedPrecondition);
    assert.equal(error.rawMessage, "not a chance");
    assert.equal(error.metadata.get("x-more"), "1");
  });

  test("counts what is no code of gRPC's as unknown", () => {
    for (const status of ["17", "99", "-1", "1.5", "", "ok", "0x1", "00"]) {
      assert.equal(failure(["grpc-status", status]).code, Code.Unknown, status);
    }
    assert.equal(failure(["grpc-status", "77", "grpc-message", "why"]).rawMessage, "why");
  });

  test("reads the details that Connect writes, and Connect those that statusFields() writes", () => {
    const told = new ConnectError("why: grün", Code.Aborted, { "x-a": "b" }, [detail, detail]);
    const theirs = setTrailerStatus(new Headers(), told);
    const error = failure([...theirs].flat());
    assert.equal(error.rawMessage, "why: grün");
    assert.deepEqual(
      error.findDetails(UnaryRequestSchema).map(({ text, delayMs }) => [text, delayMs]),
      [
        ["detail", 7],
        ["detail", 7],
      ],
    );
    const back = findTrailerError(toHeaders(statusFields(told)));
    assert.equal(back?.rawMessage, "why: grün");
    assert.equal(back?.findDetails(UnaryRequestSchema)[1]?.text, "detail");
    assert.equal(back?.metadata.get("x-a"), "b");
  });

  test("keeps the status where the details cannot be read or say something else", () => {
    const ours = ["grpc-status", "5", "grpc-message", "gone"];
    for (const broken of ["!!!", "CAU", "////", ""]) {
      const error = failure([...ours, "grpc-status-details-bin", broken]);
      assert.equal(error.code, Code.NotFound, broken);
      assert.equal(error.details.length, 0, broken);
    }
    const other = statusFields(new ConnectError("other", Code.Internal, undefined, [detail]));
    const value = other[other.indexOf("grpc-status-details-bin") + 1] ?? "";
    const error = failure([...ours, "grpc-status-details-bin", value]);
    assert.equal(error.code, Code.NotFound);
    assert.equal(error.rawMessage, "gone");
  });
});

describe("statusFields()", () => {
  test("writes only what it must", () => {
    assert.deepEqual(statusFields(new ConnectError("", Code.Unavailable)), ["grpc-status", "14"]);
    const error = new ConnectError("100 %", Code.DataLoss, { "x-a": "1", "grpc-status": "0", connection: "close" });
    assert.deepEqual(statusFields(error), ["grpc-status", "15", "grpc-message", "100 %25", "x-a", "1"]);
  });

  test("passes on an error of another server without its metadata", () => {
    const wire = failure(["grpc-status", "7", "grpc-message", "no", "x-secret", "1"]);
    assert.deepEqual(statusFields(wire), ["grpc-status", "7", "grpc-message", "no"]);
  });

  test("sends details that came as bytes, and leaves out what protobuf cannot encode", () => {
    const raw = new ConnectError("raw", Code.Aborted);
    raw.details = [
      {
        type: "lictor.test.v1.UnaryRequest",
        value: toBinary(UnaryRequestSchema, create(UnaryRequestSchema, { text: "t" })),
      },
    ];
    assert.equal(failure(statusFields(raw)).findDetails(UnaryRequestSchema)[0]?.text, "t");
    const broken = new ConnectError("broken", Code.Aborted, undefined, [
      { desc: UnaryRequestSchema, value: { delayMs: 0.5 } },
    ]);
    assert.deepEqual(statusFields(broken), ["grpc-status", "10", "grpc-message", "broken"]);
  });
});

describe("encodeStatusText()", () => {
  test("spells as gRPC does, and decodeStatusText() reads it back", () => {
    const spellings = {
      plain: "plain",
      "a/b: c, d; e&f=g+h$i#j@k": "a/b: c, d; e&f=g+h$i#j@k",
      "100 %": "100 %25",
      "grün 日本 🙂": "gr%C3%BCn %E6%97%A5%E6%9C%AC %F0%9F%99%82",
      "two\nlines\u007f": "two%0Alines%7F",
      "  both ends ": "%20%20both ends%20",
      " ": "%20",
      "": "",
    };
    for (const [text, spelled] of Object.entries(spellings)) {
      assert.equal(encodeStatusText(text), spelled);
      assert.equal(decodeStatusText(spelled), text);
    }
    assert.equal(encodeStatusText("\ud800"), "%EF%BF%BD");
  });

  test("decodeStatusText() leaves alone what is not encoded", () => {
    for (const text of ["100 %", "%", "%4", "%zz", "a%2"]) assert.equal(decodeStatusText(text), text);
    assert.equal(decodeStatusText("%41%zz%42"), "A%zzB");
    // Bytes that are UTF-8 but were sent as they are.
    assert.equal(decodeStatusText("gr\u00c3\u00bcn"), "grün");
    assert.equal(decodeStatusText("%ff"), "\ufffd");
  });
});
