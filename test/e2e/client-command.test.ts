import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createConsulClient } from "../../src/consul/consul-client.ts";
import { createHelloService } from "../../src/hello/hello-service.ts";
import { serve } from "../../src/server/serve.ts";
import type { Server } from "../../src/server/server.ts";
import { type EmbeddedConsul, startEmbeddedConsul } from "../../src/testing/embedded-consul.ts";
import { makeCertificates } from "../support/certificates.ts";
import { eventually } from "../support/eventually.ts";
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

  test("client.ts without -n waits while there is no server, and says on stderr for what", { timeout }, async () => {
    await using client = start("--service=Nobody", "--timeout=1400ms");
    await eventually("a failed call", () => client.lines.length > 0, timeout);
    assert.match(
      client.stdout,
      /^client call SayHello failed: deadline_exceeded .* waiting for an instance: .* lists none/,
    );
    assert.match(client.stderr, /warn +calls are waiting for an instance: service "Nobody" of Consul .* lists none/);
  });

  test("client.ts finds agent, service and tag by --target, which wins over variables", { timeout }, async () => {
    const at = new URL(consul.address).host;
    const env = { CONSUL_HTTP_ADDR: "127.0.0.1:1" };
    await using named = spawnScript("client.ts", ["-n1", "--target", `consul://${at}/HelloService?tag=HelloService`], {
      env,
    });
    await using unnamed = spawnScript("client.ts", ["-n1", `--target=consul://${at}`], { env });
    await using apart = spawnScript(
      "client.ts",
      ["-n1", `--target=consul://${at}`, "--service=Nobody", "--timeout=1s"],
      {
        env,
      },
    );
    await using away = start("-n1", "--target=consul:///HelloService?tag=v2", "--timeout=1s");
    const codes = await Promise.all([named, unnamed, apart, away].map(({ exitCode }) => exitCode));
    assert.deepEqual(codes, [0, 0, 1, 1]);
    assert.match(apart.stdout, /^client call SayHello failed: unavailable .*"Nobody"/);
    for (const client of [named, unnamed]) assert.match(client.stdout, /^client get message: Hello! /);
    assert.match(away.stdout, /^client call SayHello failed: unavailable .*tags "v2".* lists none\n$/);
  });

  test("client.ts calls over TLS with --tls-ca, with or without a target that says so", { timeout }, async () => {
    const { ca, server: pair } = makeCertificates();
    const folder = mkdtempSync(join(tmpdir(), "lictor-client-"));
    const file = join(folder, "ca.pem");
    writeFileSync(file, ca);
    const secure = serve({
      routes: createHelloService(),
      consul: consul.address,
      service: "Secure",
      tls: pair,
      drainMarginMs: 0,
    });
    try {
      await secure.ready;
      await eventually("Secure passes", async () => {
        return (await createConsulClient(consul.address).health.service("Secure", { passing: true })).data.length > 0;
      });
      await using plain = start("-n1", "--service=Secure", `--tls-ca=${file}`);
      await using target = start("-n1", "--target=consul:///Secure?scheme=https", `--tls-ca=${file}`);
      // An authority that nobody here trusts.
      await using untrusted = start("-n1", "--service=Secure", "--tls", "--timeout=5s");
      assert.deepEqual(await Promise.all([plain.exitCode, target.exitCode, untrusted.exitCode]), [0, 0, 1]);
      assert.match(untrusted.stdout, /^client call SayHello failed: unavailable cannot connect/);
    } finally {
      await secure.close();
      rmSync(folder, { recursive: true });
    }
  });

  test("client.ts takes a log level in any case", { timeout }, async () => {
    await using client = spawnScript("client.ts", ["-n1", `--consul=${consul.address}`], {
      env: { LOG_LEVEL: "INFO" },
    });
    assert.equal(await client.exitCode, 0);
    assert.match(client.stderr, / info /);
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

  test("client.ts refuses a target that cannot be, or that flags contradict, and shows no secret", {
    timeout,
  }, async () => {
    const cases: [args: string[], message: RegExp][] = [
      [["--target=consul://h/S?token=s3cret"], /must hold no secret: received "token"/],
      [["--target=consul://user:s3cret@h/S"], /must hold no credentials/],
      [["--target=consul:///S?colour=s3cret"], /"colour" \(known keys: consistency, dc, /],
      [["--target=consul:///S", "--service=S"], /--service and --target both name the service/],
      [["--target=consul://h/S"], /--consul and --target both name the agent/],
      [["--target=consul:///S?scheme=http", "--tls"], /--tls and --target disagree/],
      [["consul://h/S?token=s3cret"], /NAME is whom to greet, and looks like a target: write --target=consul:/],
      [[" Consul+HTTPS://h/s3cret", "-n1"], /NAME is whom to greet/],
      [["--tls-ca=/no/such/file"], /--tls-ca must name a file that can be read/],
    ];
    for (let first = 0; first < cases.length; first += 4) {
      await Promise.all(
        cases.slice(first, first + 4).map(async ([args, message]) => {
          await using client = start(...args);
          assert.equal(await client.exitCode, 2, args.join(" "));
          assert.match(client.stderr, message);
          assert.match(client.stderr, /^lictor call: [^\n]+\n$/);
          assert.ok(!client.stderr.includes("s3cret"));
        }),
      );
    }
  });
});
