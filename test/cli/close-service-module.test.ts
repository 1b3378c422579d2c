import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { closeServiceModule } from "../../src/cli/close-service-module.ts";
import type { ServiceModule } from "../../src/server/service-module.ts";
import { createManualClock } from "../../src/testing/manual-clock.ts";
import { createRecordingLogger } from "../support/recording-logger.ts";

describe("closeServiceModule()", () => {
  function setUp(close?: ServiceModule["close"]) {
    const clock = createManualClock();
    const logger = createRecordingLogger();
    const closing = closeServiceModule(close === undefined ? {} : { close }, { limitMs: 10_000, logger, clock });
    return { clock, logger, closing };
  }

  test("closeServiceModule() has nothing to do where the module has nothing to close", async () => {
    assert.equal(await setUp().closing, true);
  });

  test("closeServiceModule() calls close() once, as a method, and waits until it has finished", async () => {
    const finish = Promise.withResolvers<void>();
    const calls: unknown[] = [];
    const module: Pick<ServiceModule, "close"> = {
      close() {
        calls.push(this);
        return finish.promise;
      },
    };
    const clock = createManualClock();
    const logger = createRecordingLogger();
    const closing = closeServiceModule(module, { limitMs: 10_000, logger, clock });
    await clock.advance(9_999);
    finish.resolve();
    assert.equal(await closing, true);
    assert.deepEqual(calls, [module]);
    assert.equal(clock.pending, 0);
    assert.deepEqual(logger.lines, []);
    assert.equal(await setUp(() => {}).closing, true);
  });

  test("closeServiceModule() holds the process, and gives up with a warning after limitMs", async () => {
    const { clock, logger, closing } = setUp(() => new Promise(() => {}));
    assert.equal(clock.pending, 1);
    await clock.advance(10_000);
    assert.equal(await closing, false);
    assert.deepEqual(
      logger.lines.map(({ level, fields }) => [level, fields]),
      [["warn", { limitMs: 10_000 }]],
    );
  });

  test("closeServiceModule() rejects with what close() throws, and no later", async () => {
    for (const close of [
      () => {
        throw new Error("no");
      },
      async () => {
        throw new Error("no");
      },
    ]) {
      const { clock, closing } = setUp(close);
      await assert.rejects(closing, /^Error: no$/);
      assert.equal(clock.pending, 0);
    }
  });
});
