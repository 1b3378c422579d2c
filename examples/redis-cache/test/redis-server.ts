// Starts, freezes and stops a real Redis for tests, on a free loopback port. Never downloads one and never stands in for it:
// without a binary tests are skipped, loudly, and where CI=true they fail.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";

const binary = process.env.REDIS_SERVER_BIN ?? "redis-server";

/** For the `skip` option of tests that need Redis: why they cannot run, or false. False too where CI=true. */
export const redisSkip: string | false = (() => {
  if (spawnSync(binary, ["--version"]).status === 0 || process.env.CI === "true") return false;
  const reason = "no Redis: put redis-server on PATH, or name it by REDIS_SERVER_BIN";
  process.stderr.write(`SKIPPED: ${reason}\n`);
  return reason;
})();

/** A Redis that may be stopped and started again on the same port, always empty. */
export interface RedisServer {
  readonly url: string;
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Freezes it: its sockets stay open and silent. */
  pause(): void;
  resume(): void;
  /** Stops it, and leaves nothing behind. */
  close(): Promise<void>;
}

export async function startRedis(): Promise<RedisServer> {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), "redis-cache-"));
  let child: ChildProcess | undefined;
  let gone: Promise<void> = Promise.resolve();

  const redis: RedisServer = {
    url: `redis://127.0.0.1:${port}`,
    async start() {
      const args = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder];
      const started = spawn(binary, args, { stdio: ["ignore", "pipe", "inherit"] });
      child = started;
      gone = new Promise((resolve) => {
        started.once("close", () => resolve());
        started.once("error", () => resolve());
      });
      await new Promise<void>((resolve, reject) => {
        started.once("error", reject);
        createInterface(started.stdout)
          .on("line", (line) => {
            if (line.includes("Ready to accept connections")) resolve();
          })
          .once("close", () => reject(new Error(`${binary} ended`)));
      });
    },
    async stop() {
      signal("SIGCONT");
      signal("SIGTERM");
      await gone;
      child = undefined;
    },
    pause: () => signal("SIGSTOP"),
    resume: () => signal("SIGCONT"),
    async close() {
      await redis.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  const signal = (name: NodeJS.Signals) => {
    if (child?.pid !== undefined && child.exitCode === null) process.kill(child.pid, name);
  };
  await redis.start();
  return redis;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}
