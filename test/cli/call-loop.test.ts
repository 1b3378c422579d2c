import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { type CallLoopOptions, callInLoop, type HelloCaller } from "../../src/cli/call-loop.ts";
import { createManualClock } from "../../src/testing/manual-clock.ts";

function loop(sayHello: HelloCaller["sayHello"], options: Partial<CallLoopOptions> = {}) {
  const clock = createManualClock();
  const lines: string[] = [];
  const stop = new AbortController();
  const done = callInLoop({
    client: { sayHello },
    name: "me",
    pauseMs: 2000,
    timeoutMs: 60_000,
    signal: stop.signal,
    write: (line) => lines.push(line),
    clock,
    ...options,
  });
  return { clock, lines, stop, done };
}

test("callInLoop() calls with the name, 1 and 2, and writes a line for each answer", async () => {
  const asked: unknown[] = [];
  const { clock, lines, done } = loop(
    async (request, { timeoutMs }) => {
      asked.push([request, timeoutMs]);
      return { message: "Hello! me!This is Server: 127.0.0.1:10000", result: 3 };
    },
    { calls: 2 },
  );
  await clock.advance(1999);
  assert.equal(lines.length, 1);
  await clock.advance(1);
  assert.deepEqual(await done, { calls: 2, failures: 0 });
  const line = "client get message: Hello! me!This is Server: 127.0.0.1:10000, result: 3";
  assert.deepEqual(lines, [line, line]);
  assert.deepEqual(asked[0], [{ name: "me", num1: 1, num2: 2 }, 60_000]);
  assert.equal(clock.pending, 0);
});

test("callInLoop() writes code and text of a failure, and goes on", async () => {
  let call = 0;
  const { clock, lines, done } = loop(
    async () => {
      call++;
      if (call === 1) throw new ConnectError("no instance\nat all", Code.Unavailable);
      if (call === 2) throw new ConnectError("", Code.DeadlineExceeded);
      return { message: "m\u001b[2J", result: 3 };
    },
    { calls: 3 },
  );
  await clock.advance(4000);
  assert.deepEqual(await done, { calls: 3, failures: 2 });
  assert.deepEqual(lines, [
    "client call SayHello failed: unavailable no instance\\nat all",
    "client call SayHello failed: deadline_exceeded",
    "client get message: m\\u001b[2J, result: 3",
  ]);
});

test("callInLoop() ends at once in a pause, and in the middle of a call, when the signal aborts", async () => {
  const inPause = loop(async () => ({ message: "m", result: 3 }));
  await inPause.clock.advance(100);
  inPause.stop.abort();
  assert.deepEqual(await inPause.done, { calls: 1, failures: 0 });
  assert.equal(inPause.clock.pending, 0);

  const inCall = loop((_request, { signal }) => {
    return new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  });
  inCall.stop.abort();
  assert.deepEqual(await inCall.done, { calls: 0, failures: 0 });
  assert.deepEqual(inCall.lines, []);
});
