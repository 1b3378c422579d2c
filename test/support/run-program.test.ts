import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { runProgram } from "./run-program.ts";

describe("runProgram()", () => {
  const run = (script: string, options = {}) => runProgram("sh", ["-c", script], "/", options);

  test("resolves with what the program printed", async () => {
    assert.deepEqual(await run("echo out; echo err >&2"), { stdout: "out\n", stderr: "err\n" });
  });

  test("rejects with what the program printed when it fails", async () => {
    await assert.rejects(run("echo out; echo err >&2; exit 3"), /exited with 3 in \/\nout\n\nerr\n/);
  });

  // What is left would hold the pipes open for a minute.
  const leaves = "sleep 60 & wait";

  test("kills a group when it is late", { timeout: 10_000 }, async () => {
    await assert.rejects(run(leaves, { isGroup: true, timeoutMs: 100 }), /did not end within 0.1 s/);
  });

  test("kills a group when the signal aborts", { timeout: 10_000 }, async () => {
    await assert.rejects(run(leaves, { isGroup: true, signal: AbortSignal.timeout(100) }), /exited with 137/);
  });
});
