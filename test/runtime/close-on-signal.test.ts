import assert from "node:assert/strict";
import process from "node:process";
import { describe, test } from "node:test";
import { closeOnSignal } from "../../src/runtime/close-on-signal.ts";
import { pause } from "../support/eventually.ts";
import { spawnScript } from "../support/spawn-command.ts";

const script = "test/runtime/close-on-signal-child.ts";
const timeout = 20_000;

/** Starts the child in one of its modes, sends the signals one after the other as it reacts, and resolves to how it ended. */
async function run(mode: string, ...signals: NodeJS.Signals[]): Promise<{ code: number; lines: readonly string[] }> {
  await using child = spawnScript(script, [mode]);
  await child.until(({ lines }) => lines.includes("ready"));
  for (const [index, signal] of signals.entries()) {
    child.signal(signal);
    // The last one ends it.
    if (index < signals.length - 1) await child.until(({ lines }) => lines.includes("closing"));
  }
  return { code: await child.exitCode, lines: child.lines };
}

describe("closeOnSignal()", () => {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const) {
    test(`closes on ${signal} and exits with 0`, { timeout }, async () => {
      const { code, lines } = await run("clean", signal);
      assert.deepEqual(lines, ["ready", "closing", "closed"]);
      assert.equal(code, 0);
    });
  }

  test("exits with 1 where close fails", { timeout }, async () => {
    const { code, lines } = await run("fail", "SIGTERM");
    assert.deepEqual(lines, ["ready", "closing", "log: Cannot close cleanly"]);
    assert.equal(code, 1);
  });

  test("exits at once with 128 + n on a second signal, whichever it is", { timeout }, async () => {
    assert.equal((await run("hang", "SIGINT", "SIGTERM")).code, 143);
    assert.equal((await run("hang", "SIGTERM", "SIGINT")).code, 130);
  });

  test("takes the same signal again within half a second for an echo", { timeout }, async () => {
    await using child = spawnScript(script, ["hang"]);
    await child.until(({ lines }) => lines.includes("ready"));
    child.signal("SIGINT");
    await child.until(({ lines }) => lines.includes("closing"));
    child.signal("SIGINT");
    await pause(700);
    assert.deepEqual(child.lines, ["ready", "closing"]);
    child.signal("SIGINT");
    assert.equal(await child.exitCode, 130);
  });

  test("leaves the process as it is with exit false", { timeout }, async () => {
    const { code, lines } = await run("stay", "SIGTERM");
    assert.deepEqual(lines, ["ready", "closing", "closed", "stayed"]);
    assert.equal(code, 7);
  });

  test("leaves signals alone after stop()", { timeout }, async () => {
    const { code, lines } = await run("stopped", "SIGTERM");
    assert.deepEqual(lines, ["ready"]);
    assert.equal(code, 143);
  });

  test("listens to the signals that it was told, and removes its listeners", () => {
    const count = () => process.listenerCount("SIGHUP") + process.listenerCount("SIGINT");
    const before = count();
    {
      using handle = closeOnSignal({ close: async () => {} }, { signals: ["SIGHUP"] });
      assert.equal(count(), before + 1);
      handle.stop();
      handle.stop();
      assert.equal(count(), before);
    }
    assert.equal(count(), before);
  });
});
