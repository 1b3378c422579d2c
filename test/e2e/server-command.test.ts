import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createConsulClient } from "../../src/consul/consul-client.ts";
import { createHelloClient } from "../../src/hello/create-hello-client.ts";
import { type EmbeddedConsul, startEmbeddedConsul } from "../../src/testing/embedded-consul.ts";
import { makeCertificates } from "../support/certificates.ts";
import { eventually } from "../support/eventually.ts";
import { spawnScript } from "../support/spawn-command.ts";

const timeout = 60_000;

describe("server.ts", () => {
  let consul: EmbeddedConsul;
  let folder: string;
  before(async () => {
    consul = await startEmbeddedConsul();
    folder = mkdtempSync(join(tmpdir(), "lictor-server-"));
  });
  after(async () => {
    await consul.close();
    rmSync(folder, { recursive: true });
  });

  const start = (...args: string[]) => spawnScript("server.ts", ["--consul", consul.address, "--port=0", ...args]);
  const services = async () => Object.values(await createConsulClient(consul.address).agent.services());

  const passing = (service: string) =>
    eventually(`${service} passes`, async () => {
      const { data } = await createConsulClient(consul.address).health.service(service, { passing: true });
      return data.length > 0;
    });

  test("server.ts serves, registers, logs each call, and leaves Consul when told to stop", { timeout }, async () => {
    await using server = start("--service=S1", "--tag=a", "--tag=b", "--meta=v=1", "--meta=w=2");
    const [address = ""] = await server.ready(1);
    assert.match(address, /^127\.0\.0\.1:[0-9]+$/);
    await passing("S1");
    await using client = createHelloClient({ consul: consul.address, service: "S1" });
    const { message, result } = await client.sayHello({ name: "me\n", num1: 1, num2: 2 });
    assert.equal(message, `Hello! me\n!This is Server: ${address}`);
    assert.equal(result, 3);
    const [service] = (await services()).filter(({ Service }) => Service === "S1");
    assert.deepEqual(service?.Tags, ["a", "b"]);
    assert.deepEqual(service?.Meta, { v: "1", w: "2", lictor: "1" });
    await server.until(({ stderr }) => stderr.includes(`client me\\n called SayHello from Server: ${address}\n`));
    server.signal("SIGTERM");
    assert.equal(await server.exitCode, 0);
    assert.deepEqual(server.lines, [`ready ${address}`]);
    assert.ok((await services()).every(({ Service }) => Service !== "S1"));
  });

  test("server.ts writes log lines as JSON, and none when silent", { timeout }, async () => {
    await using loud = start("--service=S2", "--log-format=json", "--log=debug");
    await using silent = start("--service=S3", "--log=silent");
    await Promise.all([loud.ready(1), silent.ready(1)]);
    loud.signal("SIGINT");
    silent.signal("SIGHUP");
    assert.deepEqual(await Promise.all([loud.exitCode, silent.exitCode]), [0, 0]);
    const lines = loud.stderr.trimEnd().split("\n");
    assert.ok(lines.length > 0);
    for (const line of lines) assert.match(JSON.parse(line).level, /^(debug|info|warn|error)$/);
    assert.equal(silent.stderr, "");
  });

  test("server.ts serves all the same when Consul is away", { timeout }, async () => {
    await using server = spawnScript("server.ts", ["--consul=127.0.0.1:1", "--port=0"]);
    const [address = ""] = await server.ready(1);
    await connects(address);
    server.signal("SIGINT");
    assert.equal(await server.exitCode, 0);
  });

  test("server.ts announces what --advertise says, and tells scripts where it really serves", { timeout }, async () => {
    await using server = start("--service=S4", "--host=0.0.0.0", "--advertise=localhost:4444");
    const [address = ""] = await server.ready(1);
    assert.match(address, /^127\.0\.0\.1:[0-9]+$/);
    assert.notEqual(address, "127.0.0.1:4444");
    await connects(address);
    const registered = async () => (await services()).find(({ Service }) => Service === "S4");
    await eventually("registered", async () => (await registered()) !== undefined);
    assert.equal((await registered())?.Address, "localhost");
    assert.equal((await registered())?.Port, 4444);
    server.signal("SIGTERM");
    assert.equal(await server.exitCode, 0);
  });

  test("server.ts ends with one line and 1 when the port is in use", { timeout }, async () => {
    const busy = createServer();
    await new Promise<void>((resolve) => busy.listen(0, "127.0.0.1", resolve));
    const address = busy.address();
    assert.ok(address !== null && typeof address === "object");
    try {
      await using server = start(`--port=${address.port}`);
      assert.equal(await server.exitCode, 1);
      assert.equal(server.stdout, "");
      assert.match(server.stderr, new RegExp(`^lictor serve: .*127\\.0\\.0\\.1:${address.port}.*in use\\n$`));
    } finally {
      await new Promise((resolve) => busy.close(resolve));
    }
  });

  test("server.ts exits with 128 + n at once when a second signal comes", { timeout }, async () => {
    await using server = start("--service=S5");
    const [address = ""] = await server.ready(1);
    // The margin after deregistration keeps it busy for a second.
    server.signal("SIGINT");
    await server.until(({ stderr }) => /SIGINT/.test(stderr));
    // Another one: the same so soon would be the first one's echo.
    server.signal("SIGTERM");
    assert.equal(await server.exitCode, 143);
    assert.ok(address !== "");
  });

  test("server.ts uses the token of --token-file and never prints it", { timeout }, async () => {
    await using guarded = await startEmbeddedConsul({ tokens: [{ secret: "s3cret-token", management: true }] });
    const file = join(folder, "token");
    writeFileSync(file, "s3cret-token\n");
    await using server = spawnScript("server.ts", [
      `--consul=${guarded.address}`,
      "--port=0",
      `--token-file=${file}`,
      "--log=debug",
    ]);
    await server.ready(1);
    const agent = createConsulClient({ address: guarded.address, token: "s3cret-token" }).agent;
    await eventually("registered", async () => Object.keys(await agent.services()).length > 0);
    server.signal("SIGTERM");
    assert.equal(await server.exitCode, 0);
    assert.deepEqual(await agent.services(), {});
    assert.ok(!server.stderr.includes("s3cret"));
  });

  test("server.ts serves TLS with --tls-cert and --tls-key", { timeout }, async () => {
    const { ca, server: pair } = makeCertificates();
    const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
    writeFileSync(cert, pair.cert);
    writeFileSync(key, pair.key);
    await using server = start("--service=S6", `--tls-cert=${cert}`, `--tls-key=${key}`);
    const [address] = await server.ready(1);
    await passing("S6");
    await using client = createHelloClient({ consul: consul.address, service: "S6", tls: { ca } });
    const { message } = await client.sayHello({ name: "me", num1: 1, num2: 2 });
    assert.ok(message.endsWith(`This is Server: ${address}`));
    server.signal("SIGTERM");
    assert.equal(await server.exitCode, 0);
  });

  for (const order of ["before", "after"]) {
    test(`server.ts simulates faults, leaving Consul ${order} the stop`, { timeout }, async () => {
      const service = `faults-${order}`;
      await using server = start(
        `--service=${service}`,
        "--instances=2",
        "--fault-interval=300ms",
        `--fault-order=${order}`,
        "--grace=1s",
      );
      // Two at first, then one more for each restart.
      const addresses = await server.ready(5);
      // Of free ports a later one may be one that was let go.
      assert.notEqual(addresses[0], addresses[1]);
      server.signal("SIGTERM");
      assert.equal(await server.exitCode, 0);
      assert.ok((await services()).every(({ Service }) => Service !== service));
    });
  }

  test("server.ts refuses what cannot be with one line and 2, before it serves", { timeout }, async () => {
    const missing = join(folder, "missing");
    const cases: [args: string[], message: RegExp, env?: Record<string, string>][] = [
      [["--ttl=15"], /--ttl must be a duration/],
      [["--ttl=10s", "--interval=5s"], /--interval must be less than half of --ttl/],
      [["--check=grpc", "--ttl=20s"], /--ttl needs --check ttl/],
      [["--fault-order=after"], /--fault-order needs --fault-interval/],
      [["--port=65535", "--instances=2"], /--port must leave room for 2 instances/],
      [["--advertise=a:1:2"], /--advertise must be HOST or HOST:PORT/],
      [["--advertise=a:1", "--instances=2"], /--advertise must be a HOST without a port/],
      [["--tls-cert=x"], /--tls-key is missing/],
      [["--tls-cert", missing, "--tls-key", missing], /--tls-cert must name a file that can be read/],
      [["--token-file", missing], /token file/],
      [["--consul=ftp://x"], /address/],
      [["--meta=a b=c"], /meta/],
      [
        ["no-such-package"],
        /there is no file .*no-such-package, and no package that .* can require by the name "no-such-package"/,
      ],
      [["one", "two"], /unexpected argument "two"/],
      [["--cors-origin=app.example"], /"cors/],
      [["--reflection=yes"], /--reflection must be one of on, off/],
      [[], /PORT must be a whole number/, { PORT: "ten" }],
      [[], /CONSUL_HTTP_ADDR/, { CONSUL_HTTP_ADDR: "ftp://x" }],
    ];
    // A few at a time: each is a process.
    for (let first = 0; first < cases.length; first += 4) {
      await Promise.all(
        cases.slice(first, first + 4).map(async ([args, message, env = {}]) => {
          await using server = spawnScript("server.ts", args, { env });
          const code = await server.exitCode;
          assert.equal(server.stdout, "", args.join(" "));
          assert.match(server.stderr, message);
          assert.match(server.stderr, /^lictor serve: [^\n]+\n$/);
          assert.equal(code, 2, args.join(" "));
        }),
      );
    }
  });

  test("server.ts --help and --version go to stdout", { timeout }, async () => {
    await using help = spawnScript("server.ts", ["--help"]);
    await using version = spawnScript("server.ts", ["--version"]);
    assert.deepEqual(await Promise.all([help.exitCode, version.exitCode]), [0, 0]);
    assert.match(help.stdout, /--fault-interval TIME/);
    assert.match(version.stdout, /^lictor [0-9]+\.[0-9]+\.[0-9]+\n$/);
    assert.equal(help.stderr + version.stderr, "");
  });
});

/** Connects and hangs up. */
function connects(address: string): Promise<void> {
  const [host, port] = address.split(":");
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), host, () => {
      socket.destroy();
      resolve();
    });
    socket.once("error", reject);
  });
}
