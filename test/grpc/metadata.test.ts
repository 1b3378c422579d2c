import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { appendFields, fieldBytes, toFields, toHeaders } from "../../src/grpc/metadata.ts";

function refused(init: HeadersInit): ConnectError {
  try {
    toFields(init);
  } catch (error) {
    assert.ok(error instanceof ConnectError);
    assert.equal(error.code, Code.InvalidArgument);
    return error;
  }
  assert.fail("it was taken");
}

describe("toFields()", () => {
  test("reads every shape of HeadersInit", () => {
    const fields = ["x-a", "1", "x-b", "2"];
    assert.deepEqual(toFields({ "X-A": "1", "x-b": "2" }), fields);
    assert.deepEqual(
      toFields([
        ["x-a", "1"],
        ["X-B", "2"],
      ]),
      fields,
    );
    assert.deepEqual(toFields(new Headers({ "X-A": "1", "x-b": "2" })), fields);
    assert.deepEqual(
      toFields(
        new Map([
          ["x-a", "1"],
          ["x-b", "2"],
        ]) as unknown as HeadersInit,
      ),
      fields,
    );
    assert.equal(toFields(undefined), undefined);
    assert.equal(toFields({}), undefined);
    assert.equal(toFields(new Headers()), undefined);
  });

  test("trims values and keeps what Headers keeps", () => {
    assert.deepEqual(toFields({ a: "  x y\t", b: "", c: "\r\nz\n" }), ["a", "x y", "b", "", "c", "z"]);
    assert.deepEqual(toFields({ n: 5 as unknown as string }), ["n", "5"]);
  });

  test("refuses what HTTP/2 does not carry, and never repeats a value", () => {
    for (const name of ["connection", "Keep-Alive", "transfer-encoding", "upgrade", "proxy-connection"]) {
      assert.match(refused({ [name]: "x" }).rawMessage, new RegExp(name, "i"));
    }
    for (const name of ["", "a b", "a:b", ":path", "ü"]) refused([[name, "x"]]);
    for (const value of ["a\nb", "a\tb", "a\u0000", "日本", "gr\u00fc\u00df", "a\u007fb"]) {
      assert.ok(!refused([["authorization", `Bearer secret${value}`]]).message.includes("secret"));
    }
  });

  test("takes -bin fields in base64, with padding or without, one or several", () => {
    for (const value of ["", "AA", "AA==", "AAE", "AAE=", "AAEC", "+/+/", "AA==, AAE,AAEC"]) {
      assert.deepEqual(toFields({ "x-bin": value }), ["x-bin", value]);
    }
    for (const value of ["A", "AAECA", "AA=", "AAEC=", "AA===", "=", "A=A=", "A A", "-_-_", "s3cret!", "AA;AA"]) {
      const { rawMessage } = refused({ "X-Bin": value });
      assert.match(rawMessage, /"x-bin" as its value must be base64/);
      assert.ok(!rawMessage.includes("s3cret"));
    }
    assert.deepEqual(toFields({ "x-binary": "!" }), ["x-binary", "!"]);
  });
});

describe("toHeaders()", () => {
  test("leaves pseudo-fields out and joins those of one name", () => {
    const headers = toHeaders([":status", "200", "x-a", "1", "x-a", "2", "set-cookie", "c=1", "set-cookie", "d=2"]);
    assert.deepEqual(headers.getSetCookie(), ["c=1", "d=2"]);
    headers.delete("set-cookie");
    assert.deepEqual([...headers], [["x-a", "1, 2"]]);
    appendFields(headers, ["x-a", "3"]);
    assert.equal(headers.get("x-a"), "1, 2, 3");
  });
});

test("fieldBytes() counts as RFC 9113 does", () => {
  assert.equal(fieldBytes(["x-a", "12", "b", ""]), 3 + 2 + 32 + 1 + 32);
});
