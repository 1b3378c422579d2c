import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { describeError } from "../../src/transport/describe-error.ts";

test("describeError() says what the error says, and what fetch wraps", () => {
  const socket = Object.assign(new Error("connect failed"), { code: "ECONNREFUSED" });
  const cases: readonly [error: unknown, text: string][] = [
    ["away", "away"],
    [undefined, "undefined"],
    [new Error("self-signed certificate\n"), "self-signed certificate"],
    [new TypeError("fetch failed", { cause: socket }), "fetch failed: connect failed (ECONNREFUSED)"],
    [new Error("no HTTP/2 spoken there", { cause: socket }), "no HTTP/2 spoken there"],
    [
      new TypeError("no way: connect failed (ECONNREFUSED)", { cause: socket }),
      "no way: connect failed (ECONNREFUSED)",
    ],
    [new Error("connect failed", { cause: socket }), "connect failed (ECONNREFUSED)"],
    [new ConnectError("reset", Code.Unavailable), "reset"],
    [new ConnectError("reset", Code.Unavailable, undefined, undefined, socket), "reset"],
    [
      Object.assign(new Error("12:error:0A:SSL routines:f:unexpected message:a.c:7:\n"), { code: "ERR_SSL_X" }),
      "12:error:0A:SSL routines:f:unexpected message:a.c:7: (ERR_SSL_X)",
    ],
    [new ConnectError("one\n  two\r\n", Code.Unavailable), "one two"],
    ["one\ntwo", "one two"],
    [new AggregateError([new Error("first"), new Error("second")]), "first"],
  ];
  for (const [error, text] of cases) assert.equal(describeError(error), text);
});
