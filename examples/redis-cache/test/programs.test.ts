// server.ts and client.ts as they are run, on the runtime that runs the test.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { text } from "node:stream/consumers";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { createConsulClient, watchService } from "lictor";
import { startEmbeddedConsul } from "lictor/testing";
import { closeAfterEach } from "./closing.ts";
import { redisSkip, startRedis } from "./redis-server.ts";

const options = { timeout: 60_000, skip: redisSkip };

describe("server.ts and client.ts", () => {
  const onEnd = closeAfterEach();

  test("keep a value, and the server leaves Consul when told to stop", options, async () => {
    const redis = await startRedis();
    onEnd(() => redis.close());
    const consul = await startEmbeddedConsul();
    onEnd(() => consul.close());
    const env = { CONSUL_HTTP_ADDR: consul.address, REDIS_URL: redis.url, PORT: "0" };
    const server = run("server.ts", [], env);
    onEnd(() => server.kill("SIGKILL"));
    for await (const { endpoints } of watchService({ consul: consul.address, service: "Cache" })) {
      if (endpoints.length === 1) break;
    }

    const ask = async (...args: string[]) => {
      const client = run("client.ts", args, env);
      onEnd(() => client.kill("SIGKILL"));
      const ended = once(client, "exit");
      const [stdout, stderr] = await Promise.all([text(client.stdout), text(client.stderr)]);
      return { stdout, stderr, code: (await ended)[0] };
    };
    assert.deepEqual(await ask("set", "greeting", "hello", "60"), { stdout: "", stderr: "", code: 0 });
    const { stdout, stderr } = await ask("get", "greeting");
    assert.equal(stdout, "hello\n");
    assert.match(stderr, /^for (60|[1-5]\d) s\n$/);
    assert.deepEqual(await ask("delete", "greeting"), { stdout: "deleted\n", stderr: "", code: 0 });
    const missing = '[not_found] no value for key "greeting"\n';
    assert.deepEqual(await ask("get", "greeting"), { stdout: "", stderr: missing, code: 1 });

    const ended = once(server, "exit");
    // Not child.kill(): Deno would count a process that catches the signal and ends well as killed by it.
    process.kill(Number(server.pid), "SIGTERM");
    assert.equal((await ended)[0], 0);
    assert.deepEqual(await createConsulClient(consul.address).agent.services(), {});
  });
});

function run(script: string, args: string[], env: Record<string, string>) {
  const runArguments = "deno" in process.versions ? ["run", "-A", "--no-check"] : [];
  const path = fileURLToPath(new URL(`../${script}`, import.meta.url));
  return spawn(process.execPath, [...runArguments, path, ...args], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
}
