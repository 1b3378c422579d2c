import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import process from "node:process";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { createConsulClient, watchService } from "../../src/index.ts";
import { startEmbeddedConsul } from "../../src/testing/index.ts";
import { spawnScript } from "../support/spawn-command.ts";

const timeout = 60_000;
const root = fileURLToPath(new URL("../../", import.meta.url));
const onlyOnce =
  "deno" in process.versions || "bun" in process.versions ? "the same on every runtime: run on Node" : false;

describe("examples/own-service", () => {
  test("registers, is found and called in turn, and leaves Consul when told to stop", { timeout }, async () => {
    await using consul = await startEmbeddedConsul();
    const { agent } = createConsulClient(consul.address);
    const env = { CONSUL_HTTP_ADDR: consul.address };
    await using first = spawnScript("examples/own-service/server.ts", [], { env });
    await using second = spawnScript("examples/own-service/server.ts", [], { env: { ...env, PORT: "0" } });
    const addresses = [...(await first.ready(1)), ...(await second.ready(1))];
    for await (const { endpoints } of watchService({ consul: consul.address, service: "thermometer" })) {
      if (endpoints.length === 2) break;
    }
    for (const { Tags, Meta } of Object.values(await agent.services())) {
      assert.deepEqual(Tags, ["v1"]);
      assert.deepEqual(Meta, { unit: "celsius" });
    }

    await using client = spawnScript("examples/own-service/client.ts", [], { env });
    assert.equal(await client.exitCode, 0, client.stderr);
    const answered = client.lines.flatMap((line) => /^kitchen: 21\.5 °C, says (.+)$/.exec(line)?.[1] ?? []);
    assert.deepEqual(answered.slice(0, 2).toSorted(), addresses.toSorted());
    assert.deepEqual(answered.slice(2), answered.slice(0, 2));
    assert.deepEqual(client.lines.slice(4), ["cellar: 12 °C", "cellar: 12.1 °C", "cellar: 12.2 °C"]);

    first.signal("SIGTERM");
    second.signal("SIGINT");
    assert.deepEqual([await first.exitCode, await second.exitCode], [0, 0]);
    assert.deepEqual(await agent.services(), {});
  });

  test("has the generated code of its proto", { timeout, skip: onlyOnce }, async () => {
    const folder = mkdtempSync(join(tmpdir(), "lictor-example-"));
    try {
      const example = join(root, "examples/own-service");
      for (const name of ["buf.yaml", "buf.gen.yaml", "proto"]) {
        cpSync(join(example, name), join(folder, name), { recursive: true });
      }
      const bin = join(root, "node_modules/.bin");
      const env = { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH ?? ""}` };
      for (const command of ["lint", "generate"]) await promisify(execFile)("buf", [command], { cwd: folder, env });
      const files = globSync("gen/**/*.ts", { cwd: folder });
      assert.deepEqual(files.toSorted(), globSync("gen/**/*.ts", { cwd: example }).toSorted());
      assert.ok(files.length > 0);
      for (const file of files) {
        assert.equal(readFileSync(join(folder, file), "utf8"), readFileSync(join(example, file), "utf8"), file);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
