// `lictor serve MODULE`: a user's module as a process of its own, with what the command line says of it.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { createConsulTransport } from "../../src/client/create-consul-transport.ts";
import { createConsulClient } from "../../src/consul/consul-client.ts";
import { type EmbeddedConsul, startEmbeddedConsul } from "../../src/testing/embedded-consul.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { eventually } from "../support/eventually.ts";
import { call, openSession } from "../support/http2-call.ts";
import { type SpawnedCommand, spawnScript } from "../support/spawn-command.ts";

const timeout = 60_000;
const echoModule = new URL("../support/echo-service.ts", import.meta.url).href;

describe("lictor serve MODULE", () => {
  let consul: EmbeddedConsul;
  let folder: string;
  before(async () => {
    consul = await startEmbeddedConsul();
    folder = mkdtempSync(join(tmpdir(), "lictor-serve-"));
    writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  });
  after(async () => {
    await consul.close();
    rmSync(folder, { recursive: true });
  });

  function start(module: string, source: string, args: readonly string[] = []): SpawnedCommand {
    writeFileSync(join(folder, module), `import { createEchoService } from ${JSON.stringify(echoModule)};\n${source}`);
    const where = [`--consul=${consul.address}`, "--port=0"];
    // Found from the working directory, which is not the project's.
    return spawnScript("src/cli/bin.ts", ["serve", `./${module}`, ...where, ...args], { cwd: folder });
  }
  const instances = async (service: string) =>
    (await createConsulClient(consul.address).health.service(service, { passing: true })).data;
  const passing = (service: string) =>
    eventually(`${service} passes`, async () => (await instances(service)).length > 0);

  async function serverOf(service: string): Promise<string> {
    await using transport = createConsulTransport({ service, consul: consul.address });
    return (await createClient(EchoService, transport).unary({}, { timeoutMs: 20_000 })).server;
  }

  test("serves routes in TypeScript under the name of the one service, and ends when told to", {
    timeout,
  }, async () => {
    await using server = start(
      "routes.ts",
      'type Routes = ReturnType<typeof createEchoService>;\nexport default createEchoService({ server: "routes" }) satisfies Routes;',
    );
    const [address = ""] = await server.ready(1);
    await passing("EchoService");
    assert.equal(await serverOf("EchoService"), "routes");
    assert.deepEqual(
      (await instances("EchoService")).map(({ Service }) => Service.Tags),
      [["EchoService"]],
    );
    server.signal("SIGTERM");
    assert.equal(await server.exitCode, 0, server.stderr);
    assert.deepEqual(server.lines, [`ready ${address}`]);
    assert.deepEqual(await instances("EchoService"), []);
    assert.doesNotMatch(server.stderr, /SayHello|HelloService/);
  });

  test("serves an object with its settings, lets flags win, and closes it at the end", { timeout }, async () => {
    await using server = start(
      "object.js",
      `// Left open on purpose: it must not keep a server that has stopped.
      setInterval(() => {}, 1000);
      export default {
        routes: createEchoService({ server: "object" }),
        service: { name: "module", tags: ["module"], meta: { a: "module", b: "module" }, check: { type: "ttl", ttlMs: 60_000 } },
        cors: ["https://module.example"],
        drainMarginMs: 0,
        async close() {
          await new Promise((resolve) => setTimeout(resolve, 10));
          console.log("closed");
        },
      };`,
      ["--service=flag", "--meta=b=flag", "--instances=2"],
    );
    const addresses = await server.ready(2);
    await eventually("both pass", async () => (await instances("flag")).length === 2);
    for (const { Service } of await instances("flag")) {
      assert.deepEqual(Service.Tags, ["module"]);
      assert.deepEqual(Service.Meta, { a: "module", b: "flag", lictor: "1" });
    }
    assert.equal(await allowedOrigin(addresses[0], "https://module.example"), "https://module.example");
    server.signal("SIGINT");
    assert.equal(await server.exitCode, 0, server.stderr);
    assert.deepEqual(server.lines, [...addresses.map((address) => `ready ${address}`), "closed"]);
    assert.deepEqual(await instances("flag"), []);
  });

  test("serves a module that leaves Consul after it stops, under fault simulation", { timeout }, async () => {
    await using server = start(
      "faults.js",
      'export default { routes: createEchoService({ server: "f" }), drainMarginMs: 0 };',
      ["--instances=2", "--fault-interval=300ms", "--fault-order=after", "--grace=1s", "--log=warn"],
    );
    const addresses = await server.ready(4);
    // Of free ports a later one may be one that was let go.
    assert.notEqual(addresses[0], addresses[1]);
    await passing("EchoService");
    server.signal("SIGTERM");
    assert.equal(await server.exitCode, 0, server.stderr);
    assert.deepEqual(await instances("EchoService"), []);
  });

  test("answers reflection unless told not to, and CORS only where origins are named", { timeout }, async () => {
    const source = 'export default { routes: createEchoService(), service: { name: "open" }, drainMarginMs: 0 };';
    await using open = start("open.js", source);
    await using closed = start("closed.js", source, [
      "--reflection=off",
      "--cors-origin=https://a.example",
      "--cors-origin=https://b.example",
      "--log=WARN",
    ]);
    const [[openAddress = ""], [closedAddress = ""]] = await Promise.all([open.ready(1), closed.ready(1)]);
    assert.equal(await hasReflection(openAddress), true);
    assert.equal(await hasReflection(closedAddress), false);
    assert.equal(await allowedOrigin(openAddress, "https://a.example"), null);
    assert.equal(await allowedOrigin(closedAddress, "https://b.example"), "https://b.example");
    assert.equal(await allowedOrigin(closedAddress, "https://c.example"), null);
    for (const server of [open, closed]) server.signal("SIGTERM");
    assert.deepEqual(await Promise.all([open.exitCode, closed.exitCode]), [0, 0]);
    assert.equal(closed.stderr, "");
  });

  test("ends with 1 and the stack where the module fails, having closed it", { timeout }, async () => {
    await using loading = start("loading.js", 'function connect() { throw new TypeError("no database"); }\nconnect();');
    await using routing = start(
      "routing.js",
      'export default { routes() { throw new TypeError("no routes"); }, close() { console.log("closed"); } };',
    );
    await using late = start("late.js", "export default async (router) => void router;");
    assert.deepEqual(await Promise.all([loading.exitCode, routing.exitCode, late.exitCode]), [1, 1, 1]);
    assert.match(loading.stderr, /TypeError: no database\n[\s\S]*loading\.js:2/);
    assert.match(loading.stderr, /^lictor serve: Cannot load \.\/loading\.js: no database\n$/m);
    assert.match(routing.stderr, /^lictor serve: Cannot add the module's routes: no routes\n$/m);
    assert.match(late.stderr, /^lictor serve: Cannot add the module's routes as they come by a promise: await at the/m);
    assert.equal(routing.stdout, "closed\n");
    assert.equal(loading.stdout + late.stdout, "");
  });

  test("does not wait for a close() that never finishes longer than the grace: a warning, and 1", {
    timeout,
  }, async () => {
    await using server = start(
      "never-closed.js",
      `export default { routes: createEchoService(), service: "never-closed", drainMarginMs: 0, close: () => new Promise(() => {}) };`,
      ["--grace=0s", "--log=warn"],
    );
    await server.ready(1);
    await passing("never-closed");
    server.signal("SIGTERM");
    assert.equal(await server.exitCode, 1, server.stderr);
    assert.match(
      server.stderr,
      /^\S+ warn {2}the module's close\(\) has not finished, and is not waited for any longer limitMs=1000\n$/,
    );
  });

  test("names a module that never finishes loading, and ends with 1 where the runtime can tell", {
    timeout,
  }, async () => {
    await using server = start("never-loaded.js", "await new Promise(() => {});\nexport default () => {};");
    await server.until(({ stderr }) => stderr.includes("\n"));
    assert.match(
      server.stderr,
      /^\S+ warn {2}the module has not finished loading: its top level awaits something module=\.\/never-loaded\.js\n/,
    );
    // Bun goes on for ever.
    if ("bun" in process.versions) return;
    assert.equal(await server.exitCode, 1);
    if ("deno" in process.versions) return;
    assert.match(
      server.stderr,
      /^lictor serve: Cannot load \.\/never-loaded\.js as its top level awaits what cannot come any more\n$/m,
    );
  });

  test("refuses with one line and 2 what cannot be served", { timeout }, async () => {
    const none = "export default () => {};";
    const cases: [module: string, source: string, args: string[], message: RegExp][] = [
      ["none.js", none, [], /--service must name the service in Consul where not exactly one is routed: received none/],
      [
        "options.js",
        "export default { routes: createEchoService(), maxReceiveBytes: 0 };",
        [],
        /"maxReceiveBytes" must be/,
      ],
      [
        "export.js",
        "export const routes = createEchoService();",
        [],
        /export\.js has no default export \(beside routes\): write/,
      ],
      [
        "id.js",
        'export default { routes: createEchoService(), service: { id: "one" } };',
        ["--instances=2"],
        /--instances must be 1 where the module gives the instance an id/,
      ],
      // The flag first: the module would throw.
      ["flags.js", 'throw new Error("loaded");', ["--ttl=1s", "--interval=1s"], /--interval must be less than half/],
    ];
    await Promise.all(
      cases.map(async ([module, source, args, message]) => {
        await using server = start(module, source, args);
        assert.equal(await server.exitCode, 2, server.stderr);
        assert.match(server.stderr, message);
        assert.match(server.stderr, /^lictor serve: [^\n]+\n$/);
        assert.equal(server.stdout, "");
      }),
    );
  });
});

/** The origin that a preflight for a call of `origin` is told; null where none is. */
async function allowedOrigin(address: string | undefined, origin: string): Promise<string | null> {
  const headers = {
    Origin: origin,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "content-type",
  };
  const url = `http://${address}/lictor.test.v1.EchoService/Unary`;
  const response = await fetch(url, { method: "OPTIONS", headers });
  await response.arrayBuffer();
  return response.headers.get("access-control-allow-origin");
}

/** Whether reflection answers: a call without a question ends well, and an unknown method is unimplemented. */
async function hasReflection(address: string): Promise<boolean> {
  const session = await openSession(`http://${address}`);
  try {
    const { headers, trailers } = await call(session, {
      ":method": "POST",
      ":path": "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
      "content-type": "application/grpc",
      te: "trailers",
    });
    const status = trailers["grpc-status"] ?? headers["grpc-status"];
    assert.ok(status === "0" || status === "12", `grpc-status ${status}`);
    return status === "0";
  } finally {
    session.destroy();
  }
}
