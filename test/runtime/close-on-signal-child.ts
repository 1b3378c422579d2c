// The process that close-on-signal.test.ts sends signals to. Not a test.

import process from "node:process";
import { silentLogger } from "../../src/core/logger.ts";
import { closeOnSignal } from "../../src/runtime/close-on-signal.ts";

const mode = process.argv[2];
const print = (line: string): Promise<void> =>
  new Promise((resolve) => {
    process.stdout.write(`${line}\n`, () => resolve());
  });

const logger = { ...silentLogger, error: (message: string) => void print(`log: ${message}`) };
const handle = closeOnSignal(
  {
    async close() {
      await print("closing");
      if (mode === "fail") throw new Error("asked to fail");
      if (mode === "hang") await new Promise(() => {});
      await print("closed");
      if (mode === "stay") {
        setTimeout(async () => {
          await print("stayed");
          process.exit(7);
        }, 50);
      }
    },
  },
  { logger, exit: mode !== "stay" },
);
if (mode === "stopped") handle.stop();
// Keeps the process alive, but not for ever should the test fail.
setTimeout(() => process.exit(99), 15_000);
await print("ready");
