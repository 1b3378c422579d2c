// The lowest versions that lictor's ranges allow are enough for it. Run by `npm run package`; also by itself, on Node 24.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { startEmbeddedConsul } from "../../src/testing/index.ts";
import { runProgram } from "../support/run-program.ts";
import { spawnCommand } from "../support/spawn-command.ts";
import { untilListed } from "../support/until-listed.ts";
import { findRuntime, projectFolder } from "../tools/runtimes.ts";
import { installedPackages } from "./installed.ts";
import { writeOwnService } from "./strangers-code.ts";
import { writeTypeScriptConfig } from "./typescript-config.ts";
import { installWithNpm, openWorkbench, type Workbench } from "./workbench.ts";

const timeout = 120_000;
const node = findRuntime("node").path;

describe("lictor with the lowest versions that it allows", () => {
  const manifest = JSON.parse(readFileSync(join(projectFolder, "package.json"), "utf8"));
  const lowest = Object.entries<string>({ ...manifest.dependencies, ...manifest.peerDependencies }).map(
    ([name, range]) => `${name}@${range.replace("^", "")}`,
  );
  let bench: Workbench;
  let folder: string;

  before(
    async () => {
      bench = await openWorkbench();
      folder = join(bench.folder, "lowest");
      await installWithNpm(folder, [bench.tarball, ...lowest, "@types/node@22"]);
      writeOwnService(folder);
    },
    { timeout },
  );
  after(async () => {
    await bench[Symbol.asyncDispose]();
  });

  test("installs these, once each", { timeout }, () => {
    const installed = installedPackages(folder);
    for (const wanted of lowest) {
      const [, name = "", version] = /^(.+)@(.+)$/.exec(wanted) ?? [];
      assert.equal(installed.filter((other) => other === name).length, 1, name);
      const found = JSON.parse(readFileSync(join(folder, "node_modules", name, "package.json"), "utf8")).version;
      assert.equal(found, version, name);
    }
  });

  test("serves and calls", { timeout }, async () => {
    await using consul = await startEmbeddedConsul();
    const options = { cwd: folder, env: { CONSUL_HTTP_ADDR: consul.address } };
    await using server = spawnCommand(node, ["own-service/server.ts"], options);
    await server.ready(1);
    await untilListed(consul.address, "thermometer");
    const { stdout } = await runProgram(node, ["own-service/client.ts"], folder, { env: options.env });
    assert.equal(stdout.match(/^cellar: 12/gm)?.length, 3);
    server.signal("SIGTERM");
    assert.equal(await server.exitCode, 0, server.stderr);
  });

  test("compiles", { timeout }, async () => {
    writeTypeScriptConfig(folder, "tsconfig.json", { target: "es2022", module: "nodenext" }, ["own-service/**/*.ts"]);
    await runProgram(node, [bench.typescript["5.9"], "--noEmit", "-p", "."], folder);
  });
});
