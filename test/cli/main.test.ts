import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { spawnScript } from "../support/spawn-command.ts";

const timeout = 60_000;
const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));

describe("lictor", () => {
  test("lictor --version tells the version of package.json", { timeout }, async () => {
    await using lictor = spawnScript("src/cli/main.ts", ["--version"]);
    assert.equal(await lictor.exitCode, 0);
    assert.equal(lictor.stdout, `lictor ${version}\n`);
  });

  test("lictor runs by the file that npm installs as the command", { timeout }, async () => {
    await using lictor = spawnScript("src/cli/bin.ts", ["--version"]);
    await using none = spawnScript("src/cli/bin.ts", []);
    assert.deepEqual(await Promise.all([lictor.exitCode, none.exitCode]), [0, 2]);
    assert.equal(lictor.stdout, `lictor ${version}\n`);
    const source = readFileSync(new URL("../../src/cli/bin.ts", import.meta.url), "utf8");
    assert.match(source, /^#!\/usr\/bin\/env node\n/);
  });

  test("lictor --help lists the commands on stdout", { timeout }, async () => {
    await using lictor = spawnScript("src/cli/main.ts", ["--help"]);
    assert.equal(await lictor.exitCode, 0);
    for (const command of ["demo", "serve", "call", "agent"])
      assert.match(lictor.stdout, new RegExp(`^  ${command} `, "m"));
    assert.equal(lictor.stderr, "");
  });

  test("lictor ends with one line and 2 when it is given no command, or an unknown one", { timeout }, async () => {
    await using none = spawnScript("src/cli/main.ts", []);
    await using unknown = spawnScript("src/cli/main.ts", ["bogus"]);
    await using target = spawnScript("src/cli/main.ts", ["consul://h/S?token=s3cret"]);
    assert.deepEqual(await Promise.all([none.exitCode, unknown.exitCode, target.exitCode]), [2, 2, 2]);
    assert.match(target.stderr, /^lictor: unknown command "consul:\/\/…"[^\n]*\n$/);
    assert.match(none.stderr, /^lictor: which command\?[^\n]*\n$/);
    assert.match(unknown.stderr, /^lictor: unknown command "bogus"[^\n]*\n$/);
    assert.equal(none.stdout + unknown.stdout, "");
  });

  test("lictor hands arguments to its commands", { timeout }, async () => {
    const names = ["demo", "serve", "call", "agent"];
    for (const name of names) {
      await using command = spawnScript("src/cli/main.ts", [name, "--help"]);
      assert.equal(await command.exitCode, 0, command.stderr);
      assert.match(command.stdout, new RegExp(`lictor ${name}`));
    }
  });
});
