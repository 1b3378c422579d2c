import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { protocolOf } from "../../src/server/sniff-protocol.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

describe("protocolOf()", () => {
  for (const [text, protocol] of [
    ["", undefined],
    ["P", undefined],
    ["PR", undefined],
    ["PRI", "http2"],
    ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "http2"],
    ["PO", "http1"],
    ["PU", "http1"],
    ["PA", "http1"],
    ["PRO", "http1"],
    ["G", "http1"],
    ["p", "http1"],
    ["\0", "http1"],
    ["\x16\x03\x01", "http1"],
  ] as const) {
    test(`says ${protocol ?? "not yet"} of ${JSON.stringify(text)}`, () => {
      assert.equal(protocolOf(bytes(text)), protocol);
    });
  }
});
