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
    [new AggregateError([new Error("first"), new Error("second")]), "first"],
  ];
  for (const [error, text] of cases) assert.equal(describeError(error), text);
});
