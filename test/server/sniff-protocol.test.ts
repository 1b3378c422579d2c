import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { namesOtherProtocol, protocolOf } from "../../src/server/sniff-protocol.ts";

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

describe("namesOtherProtocol()", () => {
  for (const [text, isOther] of [
    ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", false],
    ["GET / HTTP/1.0\r\n", false],
    ["GET / HTTP/1.1\n", false],
    ["GET / HTTP/1.1", false],
    ["INVALID CONNECTION PREFACE\r\n\r\n", true],
    ["PRIVATE * HTTP/2.0\r\n\r\n", true],
    ["GET /\r\n", false],
    ["GARBAGE\r\n\r\n", false],
    ["\r\n", false],
    ["GET / HTTP/2.0\r\n", true],
    ["a b c\n", true],
    ["\x16\x03\x01\n", false],
    ["\x16\x03\x01", false],
    ["\x16\x03\x01 a bc d\n", false],
    ["\x16\x03\x01 \x03 c\n", false],
    [`GET /${"x".repeat(2000)} HTTP/1.1\r\n`, false],
  ] as const) {
    test(`says ${isOther} of ${JSON.stringify(text.slice(0, 40))}`, () => {
      assert.equal(namesOtherProtocol(bytes(text)), isOther);
    });
  }
});
