import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, test } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";
import { Code, ConnectError } from "@connectrpc/connect";
import { compressionBrotli, compressionGzip } from "@connectrpc/connect-node";
import { compressionNames, findCompression, pickCompression, streamGzip } from "../../src/grpc/compression.ts";

const list = [compressionGzip, compressionBrotli];

function isCode(code: Code): (error: unknown) => boolean {
  return (error) => error instanceof ConnectError && error.code === code;
}

describe("pickCompression()", () => {
  test("takes the first that the peer names and we have", () => {
    assert.equal(pickCompression(list, "zstd, br,gzip"), compressionBrotli);
    assert.equal(pickCompression(list, "identity,deflate,gzip"), compressionGzip);
    assert.equal(pickCompression(list, "identity"), undefined);
    assert.equal(pickCompression(list, ""), undefined);
    assert.equal(pickCompression([], "gzip"), undefined);
  });
});

describe("findCompression()", () => {
  test("finds by name", () => {
    assert.equal(findCompression(list, "br"), compressionBrotli);
    assert.equal(findCompression(list, "zstd"), undefined);
    assert.equal(compressionNames(list), "gzip,br");
  });
});

describe("streamGzip", () => {
  const text = "so much of it ".repeat(10_000);

  test("writes what others read, and reads what others wrote", async () => {
    const packed = await streamGzip.compress(Buffer.from(text));
    assert.equal(gunzipSync(packed).toString(), text);
    assert.ok(packed.length < text.length / 10);
    const unpacked = await streamGzip.decompress(gzipSync(text), text.length);
    assert.equal(Buffer.from(unpacked).toString(), text);
  });

  test("takes no bytes for no bytes", async () => {
    assert.equal((await streamGzip.decompress(new Uint8Array(0), 10)).length, 0);
    const packed = await streamGzip.compress(new Uint8Array(0));
    assert.equal((await streamGzip.decompress(packed, 10)).length, 0);
  });

  test("stops at the limit with resource_exhausted", async () => {
    await assert.rejects(streamGzip.decompress(gzipSync(text), text.length - 1), isCode(Code.ResourceExhausted));
    // A bomb: 64 MiB of zeros in 64 KiB.
    const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024));
    await assert.rejects(streamGzip.decompress(bomb, 1024 * 1024), isCode(Code.ResourceExhausted));
  });

  test("refuses what is no gzip, or half of one, with invalid_argument", async () => {
    await assert.rejects(streamGzip.decompress(Buffer.from("no gzip at all"), 100), isCode(Code.InvalidArgument));
    const half = gzipSync(text).subarray(0, 100);
    await assert.rejects(streamGzip.decompress(half, text.length), isCode(Code.InvalidArgument));
  });
});
