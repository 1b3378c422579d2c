// Builds the server into one file and runs it where nothing else is. On Bun only, as Bun is what builds it.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { createConsulClient } from "../../src/consul/consul-client.ts";
import { createHelloClient } from "../../src/hello/create-hello-client.ts";
import { startEmbeddedConsul } from "../../src/testing/embedded-consul.ts";
import { eventually } from "../support/eventually.ts";
import { spawnCommand } from "../support/spawn-command.ts";

const skip = "bun" in process.versions ? false : "Bun builds the binary: tested on Bun only";

test("the server binary serves, registers and leaves Consul from an empty directory, and serves modules", {
  skip,
  timeout: 120_000,
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), "lictor-binary-"));
  const consul = await startEmbeddedConsul();
  try {
    const binary = join(folder, "lictor-server");
    const { scripts, version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
    // The script as it stands, but for where the result goes.
    const args = scripts["build:binary"]
      .replace(/^bun /, "")
      .replace(/--outfile \S+$/, "--outfile")
      .split(" ");
    await using build = spawnCommand(process.execPath, [...args, binary]);
    assert.equal(await build.exitCode, 0, build.stderr);

    const empty = mkdtempSync(join(folder, "empty-"));
    await using about = spawnCommand(binary, ["--version"], { cwd: empty });
    assert.equal(await about.exitCode, 0);
    assert.equal(about.stdout, `lictor ${version}\n`);

    await using server = spawnCommand(binary, ["--port=0", `--consul=${consul.address}`], { cwd: empty });
    const [address] = await server.ready(1);
    await eventually("the server passes", async () => {
      const { data } = await createConsulClient(consul.address).health.service("HelloService", { passing: true });
      return data.length > 0;
    });
    await using client = createHelloClient({ consul: consul.address });
    const { message, result } = await client.sayHello({ name: "binary", num1: 2_147_483_647, num2: 1 });
    assert.equal(message, `Hello! binary!This is Server: ${address}`);
    assert.equal(result, -2_147_483_648);
    server.signal("SIGTERM");
    assert.equal(await server.exitCode, 0, server.stderr);
    assert.deepEqual(await createConsulClient(consul.address).agent.services(), {});

    // A module of the user's, in TypeScript, with a package of the user's.
    const project = join(folder, "project");
    mkdirSync(join(project, "node_modules/greeting"), { recursive: true });
    writeFileSync(
      join(project, "node_modules/greeting/package.json"),
      '{ "type": "module", "exports": "./greeting.js" }',
    );
    writeFileSync(join(project, "node_modules/greeting/greeting.js"), 'export const greeting = "good day";');
    writeFileSync(
      join(project, "module.ts"),
      `import { greeting } from "greeting";
       const fallback = (): Response => new Response(greeting);
       export default { routes() {}, fallback, service: "Module", drainMarginMs: 0 };`,
    );
    await using own = spawnCommand(binary, ["./module.ts", "--port=0", `--consul=${consul.address}`], { cwd: project });
    const [ownAddress] = await own.ready(1);
    assert.equal(await (await fetch(`http://${ownAddress}/`)).text(), "good day");
    own.signal("SIGTERM");
    assert.equal(await own.exitCode, 0, own.stderr);
  } finally {
    await consul.close();
    rmSync(folder, { recursive: true });
  }
});
