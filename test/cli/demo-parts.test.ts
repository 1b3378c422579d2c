import assert from "node:assert/strict";
import { createServer } from "node:net";
import { Writable } from "node:stream";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { runDemoCallers } from "../../src/cli/demo-callers.ts";
import { createDemoTally } from "../../src/cli/demo-tally.ts";
import { showDemo, summaryLines } from "../../src/cli/demo-view.ts";
import { findFreePorts } from "../../src/cli/free-ports.ts";
import { createTerminal } from "../../src/cli/terminal.ts";
import { createManualClock } from "../../src/testing/manual-clock.ts";

const answer = (address: string) => `Hello! me!This is Server: ${address}`;

/** A stream that keeps what it is given. */
function paper(isTTY: boolean) {
  let text = "";
  const stream = new Writable({
    write(chunk, _encoding, done) {
      text += chunk;
      done();
    },
  });
  return {
    stream: Object.assign(stream, { isTTY, columns: 60, rows: 16 }),
    take() {
      const taken = text;
      text = "";
      return taken;
    },
  };
}

test("createDemoTally() counts so that servers and failures sum up to the calls", () => {
  const tally = createDemoTally(createManualClock());
  assert.equal(tally.answered(answer("127.0.0.1:10000")), "127.0.0.1:10000");
  tally.answered(answer("[::1]:10001"));
  // The name is the caller's: only the end of the message counts.
  tally.answered(`Hello! This is Server: 1.2.3.4:5!${answer("127.0.0.1:10000")}`);
  assert.equal(tally.answered("something else"), undefined);
  tally.failed();
  assert.equal(tally.calls, 5);
  assert.equal(tally.failures, 2);
  assert.deepEqual(
    tally.servers.map(({ address, calls }) => [address, calls]),
    [
      ["127.0.0.1:10000", 2],
      ["[::1]:10001", 1],
    ],
  );
});

test("createDemoTally() keeps when servers came and went, once each", async () => {
  const clock = createManualClock(5);
  const tally = createDemoTally(clock);
  tally.listed(["a:1"]);
  tally.listed(["a:1"]);
  await clock.advance(10);
  tally.listed(["b:1"]);
  tally.listed(["b:1"]);
  assert.deepEqual(tally.events, [
    { atMs: 0, kind: "came", address: "a:1" },
    { atMs: 10, kind: "went", address: "a:1" },
    { atMs: 10, kind: "came", address: "b:1" },
  ]);
});

test("runDemoCallers() makes a call every 50 ms for each client, spread over the 50 ms, and lets the last ones finish", async () => {
  const clock = createManualClock();
  const tally = createDemoTally(clock);
  const stop = new AbortController();
  const startedAt: number[] = [];
  const client = {
    async sayHello() {
      startedAt.push(clock.now());
      await new Promise<void>((resolve) => clock.schedule(20, resolve));
      return { message: answer("a:1"), result: 3 };
    },
  };
  const done = runDemoCallers({
    clients: [client, client, client, client],
    name: "me",
    tally,
    everyMs: 50,
    timeoutMs: 1000,
    signal: stop.signal,
    onFailure: assert.fail,
    clock,
  });
  await clock.advance(990);
  assert.deepEqual(startedAt.slice(0, 5), [0, 12.5, 25, 37.5, 50]);
  assert.equal(startedAt.length, 80);
  stop.abort();
  await clock.advance(20);
  await done;
  assert.equal(tally.calls, 80);
  assert.equal(clock.pending, 0);
});

test("runDemoCallers() counts a failure, and cuts a call that outlives the end", async () => {
  const clock = createManualClock();
  const tally = createDemoTally(clock);
  const stop = new AbortController();
  const failures: string[] = [];
  let call = 0;
  const done = runDemoCallers({
    clients: [
      {
        sayHello: (_request, { signal }) => {
          call++;
          if (call === 1) return Promise.reject(new ConnectError("gone", Code.Unavailable));
          if (call === 2) return Promise.resolve({ message: "who knows", result: 3 });
          return new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
        },
      },
    ],
    name: "me",
    tally,
    everyMs: 50,
    timeoutMs: 1000,
    signal: stop.signal,
    lingerMs: 2000,
    onFailure: (text) => failures.push(text),
    clock,
  });
  await clock.advance(100);
  stop.abort();
  await clock.advance(2000);
  await done;
  assert.deepEqual(failures, ["unavailable gone", "an answer names no server: who knows"]);
  assert.equal(tally.calls, 2);
  assert.equal(tally.failures, 2);
  assert.equal(clock.pending, 0);
});

test("showDemo() prints a line a second and a line per change on a pipe, in plain text", async () => {
  const clock = createManualClock();
  const { stream, take } = paper(false);
  const tally = createDemoTally(clock);
  const view = showDemo({ terminal: createTerminal(stream, {}), tally, title: "demo", clock });
  tally.listed(["a:1"]);
  tally.answered(answer("a:1"));
  await clock.advance(1000);
  view.note("remark\nof two lines");
  tally.listed([]);
  view.finish();
  view.finish();
  assert.deepEqual(take().split("\n"), [
    "demo",
    "   0.0 s  calls 0  failures 0",
    "   0.0 s  + a:1 came",
    "   1.0 s  calls 1  failures 0  a:1 1",
    "remark\\nof two lines",
    "   1.0 s  - a:1 went",
    "   1.0 s  calls 1  failures 0",
    "",
  ]);
  assert.equal(clock.pending, 0);
});

test("showDemo() paints a table over itself on a terminal, no wider and no higher than it", async () => {
  const clock = createManualClock();
  const { stream, take } = paper(true);
  const tally = createDemoTally(clock);
  const view = showDemo({ terminal: createTerminal(stream, {}), tally, title: "demo ".repeat(30), clock });
  for (let server = 0; server < 30; server++) {
    tally.listed([`127.0.0.1:${10_000 + server}`, ...(server === 29 ? ["127.0.0.1:10028"] : [])]);
    tally.answered(answer(`127.0.0.1:${10_000 + server}`));
  }
  take();
  await clock.advance(250);
  const painted = take();
  assert.ok(painted.startsWith("\u001b["), "moves up over what was painted before");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: terminal commands are what it is for.
  const lines = painted.replace(/\u001b\[[0-9;]*[A-Za-z]/g, "").split("\n");
  assert.ok(lines.length <= 16, `${lines.length} lines`);
  for (const line of lines) assert.ok(line.length < 60, line);
  assert.ok(lines.some((line) => line.includes("127.0.0.1:10028  serving")));
  assert.ok(lines.some((line) => line.includes("127.0.0.1:10029 came")));
  view.finish();
  assert.equal(clock.pending, 0);
});

test("createTerminal() writes plain text to a pipe, with NO_COLOR, and to a dumb terminal", () => {
  for (const [isTTY, env] of [
    [false, {}],
    [true, { NO_COLOR: "1" }],
    [true, { TERM: "dumb" }],
  ] as const) {
    const terminal = createTerminal(paper(isTTY).stream, env);
    assert.equal(terminal.interactive, false);
    assert.equal(terminal.style("red", "x"), "x");
  }
  const terminal = createTerminal(paper(true).stream, { NO_COLOR: "" });
  assert.equal(terminal.interactive, true);
  assert.equal(terminal.style("red", "x"), "\u001b[31mx\u001b[39m");
});

test("createTerminal() writes a line above what is painted", () => {
  const { stream, take } = paper(true);
  const terminal = createTerminal(stream, {});
  terminal.repaint(["one", "two"]);
  assert.equal(take(), "one\ntwo\n");
  terminal.line("remark");
  assert.equal(take(), "\u001b[2A\u001b[1G\u001b[0Jremark\none\ntwo\n");
  terminal.settle();
  terminal.line("below");
  assert.equal(take(), "below\n");
});

test("summaryLines() tells totals and each server that answered", () => {
  const tally = createDemoTally(createManualClock());
  tally.listed(["never:1"]);
  for (let call = 0; call < 3; call++) tally.answered(answer("a:1"));
  tally.failed();
  assert.deepEqual(summaryLines(tally), ["0.0 s: 4 calls, 1 failed, 1 server answered", "  a:1  3  75.0 %"]);
});

test("findFreePorts() skips rows that hold a busy port, and gives 0 when there is none", async () => {
  const busy = createServer();
  const port = await new Promise<number>((resolve, reject) => {
    busy.listen(0, "127.0.0.1", () => {
      const address = busy.address();
      if (address === null || typeof address === "string") reject(new Error("no port"));
      else resolve(address.port);
    });
  });
  try {
    assert.equal(await findFreePorts("127.0.0.1", port, 1, { tries: 1 }), 0);
    assert.equal(await findFreePorts("127.0.0.1", port - 1, 2, { tries: 1 }), 0);
    const found = await findFreePorts("127.0.0.1", port, 1, { stride: 1 });
    assert.ok(found > port || found === 0, String(found));
  } finally {
    await new Promise((resolve) => busy.close(resolve));
  }
});
