import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { describe, test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { type BodySource, readBody } from "../../src/server/request-body.ts";

/** A request whose events a test sends by hand. */
class FakeRequest extends EventEmitter implements BodySource {
  paused = false;
  pause(): void {
    this.paused = true;
  }
  resume(): void {
    this.paused = false;
  }
}

const isCanceled = (error: unknown) => error instanceof ConnectError && error.code === Code.Canceled;

async function collect(body: AsyncIterable<Uint8Array>): Promise<number[]> {
  const bytes: number[] = [];
  for await (const chunk of body) bytes.push(...chunk);
  return bytes;
}

describe("readBody()", () => {
  test("gives every chunk though the stream closed before the first read", async () => {
    const request = new FakeRequest();
    const body = readBody(request);
    request.emit("data", new Uint8Array([1]));
    request.emit("data", new Uint8Array([2, 3]));
    request.emit("end");
    request.emit("close");
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(await collect(body), [1, 2, 3]);
    assert.deepEqual(await body.next(), { done: true, value: undefined });
  });

  test("waits for chunks that come later", async () => {
    const request = new FakeRequest();
    const all = collect(readBody(request));
    for (let byte = 1; byte <= 3; byte++) {
      await new Promise((resolve) => setImmediate(resolve));
      request.emit("data", new Uint8Array([byte]));
    }
    request.emit("end");
    assert.deepEqual(await all, [1, 2, 3]);
  });

  for (const event of ["close", "aborted", "error"]) {
    test(`fails with canceled when "${event}" comes before the end, after what had arrived`, async () => {
      const request = new FakeRequest();
      const body = readBody(request);
      request.emit("data", new Uint8Array([1]));
      request.emit(event, new Error("reset"));
      assert.deepEqual((await body.next()).value, new Uint8Array([1]));
      await assert.rejects(body.next(), isCanceled);
    });
  }

  test("fails a read that is already waiting when the client goes away", async () => {
    const request = new FakeRequest();
    const body = readBody(request);
    const read = assert.rejects(body.next(), isCanceled);
    request.emit("close");
    await read;
  });

  test("makes the sender wait beyond 64 KiB unread, and lets it go on once read", async () => {
    const request = new FakeRequest();
    const body = readBody(request);
    request.emit("data", new Uint8Array(64 * 1024));
    assert.equal(request.paused, false);
    request.emit("data", new Uint8Array(1));
    assert.equal(request.paused, true);
    await body.next();
    assert.equal(request.paused, false);
  });

  test("drops the rest after return(), and takes it from the wire", async () => {
    const request = new FakeRequest();
    const body = readBody(request);
    request.emit("data", new Uint8Array(100_000));
    assert.equal(request.paused, true);
    await body.return?.();
    assert.equal(request.paused, false);
    request.emit("data", new Uint8Array(100_000));
    assert.equal(request.paused, false);
    assert.deepEqual(await body.next(), { done: true, value: undefined });
  });
});
