// Which failures prove that nothing was sent. The errors are those that the runtimes were seen to throw.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { provesNoConnection } from "../../src/edge/no-connection.ts";

function failure(fields: Record<string, unknown>, cause?: Error): Error {
  return Object.assign(new TypeError("fetch failed", { cause }), fields);
}

const proofs: Readonly<Record<string, Error>> = {
  "Node's refused port": failure({}, failure({ code: "ECONNREFUSED", syscall: "connect" })),
  "Node's two refused addresses": failure(
    {},
    Object.assign(new AggregateError([failure({ code: "ECONNREFUSED" })]), { code: "ECONNREFUSED" }),
  ),
  "Node's unknown name": failure({}, failure({ code: "ENOTFOUND", syscall: "getaddrinfo" })),
  "Node's time-out of a connection attempt": failure({}, failure({ code: "ETIMEDOUT", syscall: "connect" })),
  "undici's time-out of a connection attempt": failure({}, failure({ code: "UND_ERR_CONNECT_TIMEOUT" })),
  "Bun's refused port": failure({ code: "ECONNREFUSED" }),
  "Bun's refused port, as older ones had it": failure({ code: "ConnectionRefused" }),
};

const noProofs: Readonly<Record<string, unknown>> = {
  "Node's closed connection": failure({}, failure({ code: "UND_ERR_SOCKET" })),
  "Bun's reset connection": failure({ code: "ECONNRESET" }),
  "a time-out of an established connection": failure({}, failure({ code: "ETIMEDOUT", syscall: "read" })),
  // Deno sends a request again whose connection was lost: that the last attempt was refused says nothing of the first.
  "Deno's refused port": failure(
    {},
    new Error("client error (Connect): tcp connect error: Connection refused (os error 111)"),
  ),
  "workerd's lost connection": new Error("Network connection lost."),
  "a browser's failure": new TypeError("Failed to fetch"),
  "what is no error": "ECONNREFUSED",
};

describe("provesNoConnection()", () => {
  for (const [what, error] of Object.entries(proofs)) {
    test(`says yes to ${what}`, () => assert.equal(provesNoConnection(error), true));
  }
  for (const [what, error] of Object.entries(noProofs)) {
    test(`says no to ${what}`, () => assert.equal(provesNoConnection(error), false));
  }
  test("ends with a cause that is its own", () => {
    const error = new Error("round");
    error.cause = error;
    assert.equal(provesNoConnection(error), false);
  });
});
