import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import process from "node:process";
import { describe, test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { messageHead, putMessageHead, wholeMessage } from "../../src/grpc/message.ts";
import { MessageReader, type MessageSink } from "../../src/grpc/message-reader.ts";
import { seededRandom } from "../support/seeded-random.ts";

/** A sink that keeps what it is told. */
function createSink(): MessageSink & { readonly messages: (readonly [text: string, compressed: boolean])[] } {
  const messages: (readonly [string, boolean])[] = [];
  return {
    messages,
    onMessage: (message, compressed) => messages.push([Buffer.from(message).toString(), compressed]),
  };
}

function framed(text: string, compressed = false): Uint8Array {
  const body = Buffer.from(text);
  return Buffer.concat([messageHead(body.length, compressed).slice(), body]);
}

function isCode(code: Code): (error: unknown) => boolean {
  return (error) => error instanceof ConnectError && error.code === code;
}

describe("MessageReader", () => {
  const all = Buffer.concat([framed("one"), framed(""), framed("x".repeat(3000), true), framed("four")]);
  const expected = [
    ["one", false],
    ["", false],
    ["x".repeat(3000), true],
    ["four", false],
  ];

  test("gives the same messages however the bytes are cut", () => {
    for (const size of [1, 2, 3, 4, 5, 6, 7, 8, 9, 100, 1000, all.length]) {
      const reader = new MessageReader(5000);
      const sink = createSink();
      for (let at = 0; at < all.length; at += size) reader.read(all, at, Math.min(at + size, all.length), sink);
      assert.deepEqual(sink.messages, expected, `pieces of ${size}`);
      assert.equal(reader.isEmpty, true);
    }
  });

  test("gives the same messages in random pieces", () => {
    const { random, seed } = seededRandom();
    for (let round = 0; round < 50; round++) {
      const reader = new MessageReader(5000);
      const sink = createSink();
      for (let at = 0; at < all.length; ) {
        const to = Math.min(at + Math.floor(random() * 40), all.length);
        reader.read(all, at, to, sink);
        at = to;
      }
      assert.deepEqual(sink.messages, expected, `SEED=${seed}`);
    }
  });

  test("is not empty within a head, and within a message", () => {
    const bytes = framed("text");
    for (let cut = 1; cut < bytes.length; cut++) {
      const reader = new MessageReader(100);
      reader.read(bytes, 0, cut, createSink());
      assert.equal(reader.isEmpty, false, `after ${cut} bytes`);
    }
  });

  test("hands out copies, whether a message came whole or in pieces", () => {
    for (const cut of [0, 7]) {
      const bytes = Buffer.from(framed("payload"));
      const kept: Uint8Array[] = [];
      const reader = new MessageReader(100);
      const sink: MessageSink = { onMessage: (message) => kept.push(message) };
      reader.read(bytes, 0, cut, sink);
      reader.read(bytes, cut, bytes.length, sink);
      bytes.fill(0);
      assert.equal(Buffer.from(kept[0]!).toString(), "payload");
      assert.equal(Object.getPrototypeOf(kept[0]), Uint8Array.prototype);
    }
  });

  test("readSome() stops after each message", () => {
    const reader = new MessageReader(5000);
    const sink = createSink();
    let at = 0;
    for (let told = 1; told <= 4; told++) {
      while (sink.messages.length < told) at = reader.readSome(all, at, all.length, sink);
      assert.equal(sink.messages.length, told);
    }
    assert.equal(at, all.length);
  });

  test("takes a message of the limit, and refuses one above with resource_exhausted before it comes", () => {
    const sink = createSink();
    new MessageReader(4).read(framed("four"), 0, 9, sink);
    assert.equal(sink.messages.length, 1);
    const head = new Uint8Array(5);
    putMessageHead(head, 0, 0xffff_ffff, false);
    for (const cut of [0, 3]) {
      const reader = new MessageReader(4);
      reader.read(head, 0, cut, sink);
      assert.throws(() => reader.read(head, cut, 5, sink), isCode(Code.ResourceExhausted));
    }
  });

  test("refuses flags that gRPC does not know with internal", () => {
    for (const flags of [2, 0x80, 0xff]) {
      const bytes = framed("x");
      bytes[0] = flags;
      assert.throws(() => new MessageReader(4).read(bytes, 0, bytes.length, createSink()), isCode(Code.Internal));
    }
  });

  test("counts what several hold together, refuses what is too much, and gives back what it lets go of", () => {
    const shared = { bytes: 0, maxBytes: 100 };
    const bytes = framed("x".repeat(60));
    const [first, second] = [new MessageReader(100, shared), new MessageReader(100, shared)];
    const sink = createSink();
    first.read(bytes, 0, 55, sink);
    assert.equal(shared.bytes, 60);
    assert.throws(() => second.read(bytes, 0, 60, sink), isCode(Code.ResourceExhausted));
    second.release();
    assert.equal(shared.bytes, 60);
    first.read(bytes, 55, bytes.length, sink);
    assert.equal(shared.bytes, 0);
    // One that comes whole is held by nobody.
    new MessageReader(1000, shared).read(framed("y".repeat(500)), 0, 505, sink);
    assert.equal(sink.messages.length, 2);
    const third = new MessageReader(100, shared);
    third.read(bytes, 0, 20, sink);
    third.release();
    assert.equal(shared.bytes, 0);
  });

  test("makes room for a message of a few MiB once, and for many that are only claimed as they come", () => {
    const mib = 1024 * 1024;
    const piece = new Uint8Array(16_384);
    for (const length of [mib, 4 * mib]) {
      const shared = { bytes: 0, maxBytes: 256 * mib };
      const messages: Uint8Array[] = [];
      const reader = new MessageReader(4 * mib, shared);
      putMessageHead(piece, 0, length, false);
      reader.read(piece, 0, piece.length, createSink());
      assert.equal(shared.bytes, length);
      const rest = new Uint8Array(length - piece.length + 5);
      reader.read(rest, 0, rest.length, { onMessage: (message) => messages.push(message) });
      assert.deepEqual([messages[0]?.length, shared.bytes], [length, 0]);
    }
    for (const [count, most] of [
      [32, 18],
      [1000, 80],
    ] as const) {
      const shared = { bytes: 0, maxBytes: 256 * mib };
      putMessageHead(piece, 0, 4 * mib, false);
      const readers = Array.from({ length: count }, () => new MessageReader(4 * mib, shared));
      for (const reader of readers) reader.read(piece, 0, piece.length, createSink());
      assert.ok(shared.bytes <= most * mib, `${count} hold ${shared.bytes} bytes`);
      for (const reader of readers) reader.release();
      assert.equal(shared.bytes, 0);
    }
  });

  test("takes what comes as long as it fits, though more would be kept free for it otherwise", () => {
    const shared = { bytes: 0, maxBytes: 100 };
    const sink = createSink();
    const first = new MessageReader(100, shared);
    const bytes = framed("x".repeat(60));
    first.read(bytes, 0, 6, sink);
    const second = new MessageReader(100, shared);
    const long = framed("y".repeat(90));
    second.read(long, 0, 5 + 30, sink);
    assert.equal(shared.bytes, 100);
    second.read(long, 35, 5 + 40, sink);
    assert.throws(() => second.read(long, 45, 46, sink), isCode(Code.ResourceExhausted));
    first.read(bytes, 6, bytes.length, sink);
    assert.equal(shared.bytes, 40);
    second.read(long, 45, long.length, sink);
    assert.deepEqual(sink.messages, [
      ["x".repeat(60), false],
      ["y".repeat(90), false],
    ]);
    assert.equal(shared.bytes, 0);
  });

  test("holds memory for what came, not for what is claimed", () => {
    const readers: MessageReader[] = [];
    const head = new Uint8Array(6);
    putMessageHead(head, 0, 1024 * 1024 * 1024, false);
    const before = process.memoryUsage().arrayBuffers;
    for (let count = 0; count < 100; count++) {
      const reader = new MessageReader(0xffff_ffff);
      reader.read(head, 0, head.length, createSink());
      readers.push(reader);
    }
    assert.ok(process.memoryUsage().arrayBuffers - before < 4 * 1024 * 1024);
    assert.equal(
      readers.every((reader) => !reader.isEmpty),
      true,
    );
  });
});

describe("wholeMessage()", () => {
  test("copies the message where the piece is exactly one", () => {
    const bytes = Buffer.concat([Buffer.from("##"), framed("text"), Buffer.from("##")]);
    const message = wholeMessage(bytes, 2, bytes.length - 2, 4);
    bytes.fill(0);
    assert.equal(Buffer.from(message!).toString(), "text");
    assert.equal(Object.getPrototypeOf(message), Uint8Array.prototype);
    assert.equal(wholeMessage(framed(""), 0, 5, 4)?.length, 0);
    const long = "y".repeat(1000);
    assert.equal(Buffer.from(wholeMessage(framed(long), 0, 1005, 1000)!).toString(), long);
  });

  test("is undefined for anything else", () => {
    const bytes = framed("text");
    assert.equal(wholeMessage(bytes, 0, 9, 3), undefined);
    assert.equal(wholeMessage(bytes, 0, 8, 4), undefined);
    assert.equal(wholeMessage(Buffer.concat([bytes, bytes]), 0, 18, 100), undefined);
    assert.equal(wholeMessage(framed("text", true), 0, 9, 4), undefined);
    assert.equal(wholeMessage(bytes, 0, 4, 4), undefined);
    assert.equal(wholeMessage(bytes, 0, 0, 4), undefined);
  });
});
