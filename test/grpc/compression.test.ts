import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, test } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";
import { Code, ConnectError } from "@connectrpc/connect";
import { compressionBrotli, compressionGzip } from "@connectrpc/connect-node";
import { plainBytes } from "../../src/core/plain-bytes.ts";
import {
  compressionNames,
  findCompression,
  isCompression,
  streamGzip,
  takesCompression,
} from "../../src/grpc/compression.ts";

const list = [compressionGzip, compressionBrotli];

function isCode(code: Code): (error: unknown) => boolean {
  return (error) => error instanceof ConnectError && error.code === code;
}

describe("isCompression()", () => {
  test("knows a compression from what is none", () => {
    for (const one of [...list, streamGzip, { ...streamGzip, name: "x-my.own+1" }])
      assert.equal(isCompression(one), true);
    const names = ["", "a,b", "a b", "ü", 5].map((name) => ({ ...streamGzip, name }));
    for (const one of ["gzip", null, undefined, 5, {}, list, { name: "gzip" }, ...names]) {
      assert.equal(isCompression(one), false);
    }
  });
});

describe("takesCompression()", () => {
  test("finds a name among those that the peer accepts", () => {
    assert.equal(takesCompression("zstd, br,gzip", "br"), true);
    assert.equal(takesCompression("identity,deflate,gzip", "gzip"), true);
    assert.equal(takesCompression("identity,gzip2", "gzip"), false);
    assert.equal(takesCompression("", "gzip"), false);
  });
});

describe("plainBytes()", () => {
  test("makes Uint8Arrays of their own of what lies in a pool, and copies nothing else", () => {
    const pooled = Buffer.from(new ArrayBuffer(100), 10, 6).fill(2);
    const own = Buffer.from(new ArrayBuffer(6)).fill(1);
    const plain = Uint8Array.of(1, 2, 3);
    for (const bytes of [pooled, own, plain, plain.subarray(1)]) {
      const made = plainBytes(bytes);
      assert.equal(Object.getPrototypeOf(made), Uint8Array.prototype);
      assert.deepEqual([...made], [...bytes]);
      assert.equal(made.buffer.byteLength, made.byteLength);
    }
    assert.equal(plainBytes(own).buffer, own.buffer);
    assert.equal(plainBytes(plain), plain);
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
