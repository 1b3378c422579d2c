// Header blocks that other encoders made, decoded by ours: nghttp2, Go's golang.org/x/net and Python's hpack, each over connections whose
// tables fill, turn over and change their sizes. test/interop/hpack.test.ts has them decode what ours encodes.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { HeaderDecoder } from "../../src/http2/hpack/header-decoder.ts";
import { hpackStories } from "./vectors/stories.ts";

const vectors: Readonly<Record<string, readonly (readonly string[])[]>> = JSON.parse(
  readFileSync(new URL("vectors/vectors.json", import.meta.url), "utf8"),
);

describe("HeaderDecoder", () => {
  for (const [encoder, stories] of Object.entries(vectors)) {
    for (const [number, { name, lists }] of hpackStories().entries()) {
      test(`decode() reads what ${encoder} encodes: ${name}`, () => {
        const decoder = new HeaderDecoder({ maxTableBytes: 4096, maxListBytes: 64 * 1024 });
        const blocks = stories[number] ?? [];
        assert.equal(blocks.length, lists.length);
        for (const [index, block] of blocks.entries()) {
          const bytes = Uint8Array.from(block.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
          assert.deepEqual(decoder.decode(bytes, 0, bytes.length).fields, lists[index]);
        }
      });
    }
  }
});
