// Memory that is written again: never before what lies in it is sent, whoever else writes to it.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { systemClock } from "../../src/core/clock.ts";
import type { ByteSocket, ByteSocketListener } from "../../src/http2/byte-socket.ts";
import { Output } from "../../src/http2/output.ts";
import { Http2Session } from "../../src/http2/session.ts";

/** Everything that an output hands out. */
function takeAll(output: Output): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  output.take((chunk) => chunks.push(chunk));
  return chunks;
}

function write(output: Output, value: number, bytes: number): Uint8Array[] {
  output.append(new Uint8Array(bytes).fill(value), 0, bytes);
  return takeAll(output);
}

function assertAll(chunks: readonly Uint8Array[], value: number, bytes: number): void {
  assert.equal(
    chunks.reduce((sum, chunk) => sum + chunk.length, 0),
    bytes,
  );
  assert.ok(chunks.every((chunk) => chunk.every((byte) => byte === value)));
}

describe("Output", () => {
  test("does not write to what it handed out before it is told that all is sent", () => {
    const output = new Output();
    const sent: Uint8Array[][] = [];
    for (let value = 0; value < 100; value++) sent.push(write(output, value, 50_000));
    for (const [value, chunks] of sent.entries()) assertAll(chunks, value, 50_000);
    output.reclaim();
  });

  test("does not write to what another handed out, though they share memory and its own is sent", () => {
    const first = new Output();
    const second = new Output();
    const waiting: Uint8Array[][] = [];
    const shared = new Set<ArrayBufferLike>();
    for (let round = 0; round < 50; round++) {
      for (const { buffer } of write(first, 1, 20_000)) shared.add(buffer);
      waiting.push(write(second, 2, 20_000));
      first.reclaim();
      // Neither what has been written and not been handed out.
      second.append(new Uint8Array(100).fill(2), 0, 100);
      write(first, 3, 200_000);
      first.reclaim();
      waiting.push(takeAll(second));
    }
    assert.ok(waiting.flat().some(({ buffer }) => shared.has(buffer)));
    for (const [index, chunks] of waiting.entries()) assertAll(chunks, 2, index % 2 === 0 ? 20_000 : 100);
    second.reclaim();
  });

  test("writes to the same memory again and again once all is sent", () => {
    const output = new Output();
    const buffers = new Set<ArrayBufferLike>();
    for (let round = 0; round < 200; round++) {
      for (const { buffer } of write(output, round, 200_000)) buffers.add(buffer);
      output.reclaim();
    }
    assert.ok(buffers.size <= 4, `${buffers.size} buffers`);
  });

  test("gives up for lost what a socket never sends", () => {
    const output = new Output();
    const stuck: Uint8Array[][] = [];
    for (let round = 0; round < 150; round++) stuck.push(write(output, round, 200_000));
    output.reclaim();
    // Those beyond what it remembers stay as they are for good.
    const buffers = new Set<ArrayBufferLike>();
    for (let round = 0; round < 50; round++) for (const { buffer } of write(output, 255, 200_000)) buffers.add(buffer);
    assertAll(stuck[0] ?? [], 0, 200_000);
    const given = new Set(stuck.flat().map(({ buffer }) => buffer));
    const remembered = [...given].filter((buffer) => buffers.has(buffer));
    assert.ok(remembered.length > 0 && remembered.length <= 10, `${remembered.length} slabs`);
    output.reclaim();
  });

  test("keeps little memory for a socket that sends little at a time, however much others write between", () => {
    const slow = new Output();
    const busy = new Output();
    const waiting: Uint8Array[][] = [];
    const busyBuffers = new Set<ArrayBufferLike>();
    for (let round = 0; round < 1000; round++) {
      waiting.push(write(slow, round % 251, 17));
      for (const { buffer } of write(busy, 255, 200_000)) busyBuffers.add(buffer);
      busy.reclaim();
    }
    const kept = new Set(waiting.flat().map(({ buffer }) => buffer));
    const bytes = [...kept].reduce((sum, buffer) => sum + buffer.byteLength, 0);
    assert.ok(bytes < 1024 * 1024, `${bytes} bytes in ${kept.size} buffers`);
    assert.ok(busyBuffers.size <= 4, `${busyBuffers.size} buffers`);
    for (const [round, chunks] of waiting.entries()) assertAll(chunks, round % 251, 17);
    slow.reclaim();
  });

  test("copies what lies in two slabs in its order", () => {
    const output = new Output();
    write(output, 1, 256 * 1024 - 5000);
    const bytes = Uint8Array.from({ length: 10_000 }, (_, index) => index % 251);
    output.append(bytes, 0, bytes.length);
    const chunks = takeAll(output);
    assert.deepEqual(chunks, [bytes]);
    write(output, 2, 200_000);
    assert.deepEqual(chunks, [bytes]);
    output.reclaim();
  });
});

/** Has sent what it was given a turn later, as sockets of TLS have. */
class LateSocket implements ByteSocket {
  readonly buffers: Set<ArrayBufferLike> = new Set();
  isDrained = true;
  #listener: ByteSocketListener | undefined;

  start(listener: ByteSocketListener): void {
    this.#listener = listener;
  }

  write(chunks: readonly Uint8Array[]): boolean {
    for (const { buffer } of chunks) this.buffers.add(buffer);
    this.isDrained = false;
    setImmediate(() => {
      this.isDrained = true;
      this.#listener?.onWritable();
    });
    return true;
  }

  end(): void {}

  destroy(): void {
    this.#listener?.onClosed(undefined);
  }
}

const silentHost = {
  onStream: () => assert.fail("a client has no streams of the peer's"),
  onSettings() {},
  onGoaway() {},
  onIdle() {},
  onSlot() {},
  onClosed() {},
};

describe("Http2Session", () => {
  test("keeps no memory of connections that are idle, though others write to it too", async () => {
    const busy = new Output();
    const buffers = new Set<ArrayBufferLike>();
    const sessions: Http2Session[] = [];
    for (let count = 0; count < 40; count++) {
      const socket = new LateSocket();
      const session = new Http2Session({
        role: "client",
        socket,
        host: silentHost,
        clock: systemClock,
        defer: queueMicrotask,
      });
      sessions.push(session);
      session.start();
      await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
      assert.equal(socket.buffers.size, 1);
      for (const buffer of socket.buffers) buffers.add(buffer);
      for (let round = 0; round < 3; round++) {
        write(busy, 1, 100_000);
        busy.reclaim();
      }
    }
    assert.ok(buffers.size <= 4, `${sessions.length} idle sessions wrote to ${buffers.size} buffers`);
    for (const session of sessions) session.destroy(undefined);
  });
});
