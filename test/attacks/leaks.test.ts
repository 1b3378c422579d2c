// 10,000 calls of all kinds and endings in one process, or as many as ATTACK_CALLS says: the heap stays, nothing goes unhandled, and the
// process ends by itself once client and server are closed.

import assert from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { spawnCommand } from "../support/spawn-command.ts";
import { findRuntime, type RuntimeName, runtimeNames } from "../tools/runtimes.ts";

const calls = Number(process.env.ATTACK_CALLS ?? 10_000);
const wanted = (process.env.ATTACK_RUNTIMES ?? runtimeNames.join()).split(",");
/** Code that the runtime compiled meanwhile. */
const slackBytes = 1024 * 1024;

const runArguments: Readonly<Record<RuntimeName, readonly string[]>> = {
  bun: ["run"],
  deno: ["run", "-A", "--no-check", "--v8-flags=--expose-gc"],
  node: ["--expose-gc"],
};

for (const runtime of runtimeNames.filter((name) => wanted.includes(name))) {
  test(`${calls} calls on ${runtime} leave nothing behind`, async (context) => {
    const args = [...runArguments[runtime], "test/attacks/mixed-calls.ts", String(calls)];
    await using command = spawnCommand(findRuntime(runtime).path, args);
    assert.equal(await command.exitCode, 0, command.stderr);
    assert.equal(command.stderr, "");
    context.diagnostic(command.stdout.trim());
    const told = JSON.parse(command.stdout) as { calls: number; heapBefore: number; heapAfter: number };
    assert.ok(told.calls >= calls);
    assert.ok(told.heapAfter <= 1.1 * told.heapBefore + slackBytes, command.stdout);
  });
}
