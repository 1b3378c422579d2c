// A Worker's socket as a ByteSocket: what is told, in what order, and what waits.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { wrapWorkerSocket } from "../../src/edge/tcp/worker-byte-socket.ts";
import { until } from "../support/eventually.ts";
import { createFakeWorkerSocket } from "../support/tcp-sockets.ts";

/** A wrapped socket and what its listener was told. */
function open() {
  const socket = createFakeWorkerSocket();
  const wrapped = wrapWorkerSocket(socket);
  const told: string[] = [];
  let error: unknown;
  wrapped.start({
    onBytes: (bytes, length) => told.push(new TextDecoder().decode(bytes.subarray(0, length))),
    onWritable: () => told.push("writable"),
    onClosed: (reason) => {
      told.push("closed");
      error = reason;
    },
  });
  return {
    socket,
    wrapped,
    told,
    get error() {
      return error;
    },
  };
}

const bytes = (text: string) => new TextEncoder().encode(text);
const settled = () => new Promise((resolve) => setTimeout(resolve, 0));

describe("wrapWorkerSocket()", () => {
  test("tells what comes in order, more than one read takes too, then the end", async () => {
    const { socket, told } = open();
    socket.send("a");
    await until(() => told.join("") === "a");
    socket.send("b".repeat(50_000));
    socket.send("c");
    await until(() => told.join("").length === 50_002);
    assert.equal(told.join(""), `a${"b".repeat(50_000)}c`);
    socket.endSending();
    await until(() => told.at(-1) === "closed");
    assert.equal(socket.isClosed, true);
  });

  test("sends the chunks of a call in one write, and those that wait behind it in another", async () => {
    const { socket, wrapped } = open();
    socket.stall(true);
    assert.equal(wrapped.write([bytes("a"), bytes("b")]), true);
    wrapped.write([bytes("c")]);
    wrapped.write([bytes("d"), bytes("e")]);
    socket.stall(false);
    await until(() => socket.written.length === 2);
    assert.deepEqual(socket.written, ["ab", "cde"]);
    wrapped.destroy();
  });

  test("is drained when its stream took everything, and says so; not once it is gone", async () => {
    const { socket, wrapped, told } = open();
    assert.equal(wrapped.isDrained, true);
    socket.stall(true);
    wrapped.write([bytes("a")]);
    await settled();
    assert.equal(wrapped.isDrained, false);
    assert.deepEqual(told, []);
    socket.stall(false);
    await until(() => wrapped.isDrained);
    assert.deepEqual(told, ["writable"]);
    socket.stall(true);
    wrapped.write([bytes("b")]);
    wrapped.destroy();
    await settled();
    assert.equal(wrapped.isDrained, false);
  });

  test("says when enough waits, and when there is room again", async () => {
    const { socket, wrapped, told } = open();
    socket.stall(true);
    assert.equal(wrapped.write([new Uint8Array(128 * 1024)]), true);
    assert.equal(wrapped.write([new Uint8Array(1)]), false);
    assert.equal(wrapped.write([new Uint8Array(1)]), false, "it is sent all the same");
    await settled();
    assert.deepEqual(told, []);
    socket.stall(false);
    await until(() => wrapped.isDrained);
    assert.deepEqual(told, ["writable", "writable"], "room, and all is sent");
    assert.equal(socket.written.length, 2);
    wrapped.destroy();
  });

  test("end() sends what was handed over, then closes its side; the peer's end is the end", async () => {
    const { socket, wrapped, told } = open();
    socket.stall(true);
    wrapped.write([bytes("a")]);
    wrapped.write([bytes("b")]);
    wrapped.end();
    wrapped.write([bytes("too late")]);
    await settled();
    assert.equal(socket.sent, "open");
    socket.stall(false);
    await until(() => socket.sent === "ended");
    assert.deepEqual([socket.written, told], [["a", "b"], []]);
    socket.endSending();
    await until(() => told.length > 0);
    assert.deepEqual(told, ["closed"]);
  });

  test("destroy() tells the end once, later, and nothing after it", async () => {
    const { socket, wrapped, told } = open();
    wrapped.write([bytes("last words")]);
    wrapped.destroy();
    wrapped.destroy();
    assert.deepEqual(told, []);
    socket.send("unheard");
    await settled();
    assert.deepEqual([told, socket.isClosed, socket.sent], [["closed"], true, "open"]);
    await until(() => socket.written.length === 1);
    assert.equal(wrapped.write([bytes("x")]), true);
    wrapped.end();
    await settled();
    assert.deepEqual([socket.written, told], [["last words"], ["closed"]]);
  });

  test("destroy() cuts a peer that does not read", async () => {
    const { socket, wrapped, told } = open();
    socket.stall(true);
    wrapped.write([bytes("a")]);
    wrapped.end();
    wrapped.destroy();
    await until(() => socket.sent === "cut");
    assert.deepEqual(told, ["closed"]);
  });

  test("tells why it broke", async () => {
    const one = open();
    one.socket.fail(new Error("lost"));
    await until(() => one.told.length > 0);
    assert.deepEqual(one.told, ["closed"]);
    assert.match(String(one.error), /lost/);
  });

  test("tells its end where it was destroyed before it was started", async () => {
    const socket = createFakeWorkerSocket();
    const wrapped = wrapWorkerSocket(socket);
    wrapped.destroy();
    let ends = 0;
    wrapped.start({ onBytes() {}, onWritable() {}, onClosed: () => ends++ });
    await settled();
    assert.equal(ends, 1);
  });
});
