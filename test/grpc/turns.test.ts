// Compressions whose messages are unpacked in turn: whatever kind of object they are. Turns themselves: server-crowded.test.ts.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Compression } from "@connectrpc/connect/protocol";
import { Turns, unpackingInTurn } from "../../src/grpc/server/turns.ts";

/** Adds a byte, and takes it off. */
class Padded implements Compression {
  readonly name = "padded";
  readonly #byte = 7;

  async compress(bytes: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
    return Uint8Array.from([...bytes, this.#byte]);
  }

  async decompress(bytes: Uint8Array, readMaxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
    assert.deepEqual([bytes.at(-1), readMaxBytes], [this.#byte, 100]);
    return bytes.slice(0, -1);
  }
}

describe("unpackingInTurn()", () => {
  test("keeps a compression whole whose functions are methods of its class", async () => {
    const compression = unpackingInTurn(new Padded(), new Turns(1, queueMicrotask));
    assert.equal(compression.name, "padded");
    const packed = await compression.compress(Uint8Array.of(1, 2));
    assert.deepEqual(packed, Uint8Array.of(1, 2, 7));
    assert.deepEqual(await compression.decompress(packed, 100), Uint8Array.of(1, 2));
  });
});
