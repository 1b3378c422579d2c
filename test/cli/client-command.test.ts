import assert from "node:assert/strict";
import { createServer } from "node:net";
import { after, before, describe, test } from "node:test";
import { createConsulClient } from "../../src/consul/consul-client.ts";
import { createHelloService } from "../../src/hello/hello-service.ts";
import { serve } from "../../src/server/serve.ts";
import type { Server } from "../../src/server/server.ts";
import { type EmbeddedConsul, startEmbeddedConsul } from "../../src/testing/embedded-consul.ts";
import { spawnScript } from "../support/spawn-command.ts";

const timeout = 60_000;

describe("client.ts", () => {
  let consul: EmbeddedConsul;
  let server: Server;
  let address: string;
  before(async () => {
    consul = await startEmbeddedConsul();
    server = serve({
      routes: createHelloService({ address: () => ({ host: "127.0.0.1", port: 4242 }) }),
      consul: consul.address,
      service: "HelloService",
      drainMarginMs: 0,
    });
    await server.ready;
    await server.registration?.registered;
    address = "127.0.0.1:4242";
  });
  after(async () => {
    await server.close();
    await consul.close();
  });

  const start = (...args: string[]) => spawnScript("client.ts", ["--consul", consul.address, ...args]);

  test("client.ts calls -n times with the original's name and ends with 0", { timeout }, async () => {
    await using client = start("-n3", "--every=10ms");
    assert.equal(await client.exitCode, 0);
    const line = `client get message: Hello! GrassInWind2019!This is Server: ${address}, result: 3`;
    assert.deepEqual(client.lines, [line, line, line]);
    assert.equal(client.stderr, "");
  });

  test("client.ts greets with the name given", { timeout }, async () => {
    await using client = start("somebody", "-n", "1");
    assert.equal(await client.exitCode, 0);
    assert.match(client.stdout, /^client get message: Hello! somebody!/);
  });

  test("client.ts writes code and text of a failed call, and ends with 1", { timeout }, async () => {
    await using client = start("--service=Nobody", "-n1", "--timeout=1s");
    assert.equal(await client.exitCode, 1);
    assert.match(client.stdout, /^client call SayHello failed: unavailable [^\n]*Nobody[^\n]*\n$/);
  });

  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    test(`client.ts ends with 0 at once in its pause when ${signal} comes`, { timeout }, async () => {
      await using client = start("--every=10m");
      await client.until(({ lines }) => lines.length === 1);
      client.signal(signal);
      assert.equal(await client.exitCode, 0);
      assert.equal(client.lines.length, 1);
    });
  }

  test("client.ts ends with 0 in the middle of a call when SIGINT comes", { timeout }, async () => {
    // Accepts and never says a word.
    const reached = Promise.withResolvers<void>();
    const mute = createServer((socket) => {
      socket.on("error", () => {}).resume();
      reached.resolve();
    });
    await new Promise<void>((resolve) => mute.listen(0, "127.0.0.1", resolve));
    const bound = mute.address();
    assert.ok(bound !== null && typeof bound === "object");
    await createConsulClient(consul.address).agent.registerService({
      Name: "Mute",
      Address: "127.0.0.1",
      Port: bound.port,
    });
    try {
      await using client = start("--service=Mute");
      await reached.promise;
      client.signal("SIGINT");
      assert.equal(await client.exitCode, 0);
      assert.equal(client.stdout, "");
    } finally {
      await new Promise((resolve) => mute.close(resolve));
    }
  });

  test("client.ts ends quietly with 0 when its reader goes away", { timeout }, async () => {
    await using client = start("--every=10ms");
    await client.until(({ lines }) => lines.length > 0);
    client.process.stdout?.destroy();
    assert.equal(await client.exitCode, 0);
    assert.equal(client.stderr, "");
  });

  test("client.ts refuses wrong flags with one line and 2", { timeout }, async () => {
    await using every = start("--every=2");
    await using calls = start("-n", "many");
    await using names = start("a", "b");
    assert.deepEqual(await Promise.all([every.exitCode, calls.exitCode, names.exitCode]), [2, 2, 2]);
    assert.match(every.stderr, /^lictor call: --every must be a duration[^\n]*\n$/);
    assert.match(calls.stderr, /^lictor call: --calls must be a whole number[^\n]*\n$/);
    assert.match(names.stderr, /^lictor call: unexpected argument "b"[^\n]*\n$/);
  });
});
