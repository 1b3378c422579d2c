// README says what the code says, and its code runs.

import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { createHelloService } from "../../src/index.ts";
import { describeSnippets } from "../support/describe-snippets.ts";
import { renderReadme } from "../support/readme-tables.ts";
import { onlyOnce, readSnippets, runTool } from "../support/snippets.ts";
import { spawnScript } from "../support/spawn-command.ts";

const timeout = 60_000;
const root = fileURLToPath(new URL("../../", import.meta.url));
const readme = readFileSync(join(root, "README.md"), "utf8");

describe("README", () => {
  test("tables of flags and options, and the code of examples, are those of the sources", { timeout }, async () => {
    const helpOf = async (command: string): Promise<string> => {
      await using help = spawnScript("src/cli/main.ts", [command, "--help"]);
      assert.equal(await help.exitCode, 0, help.stderr);
      return help.stdout;
    };
    assert.equal(await renderReadme(readme, helpOf), readme, "run: npx bun test/tools/write-readme.ts");
  });

  const snippets = readSnippets("README.md");

  test("begins with the SDK in six lines", () => {
    const runnable = snippets.filter(({ isRunnable }) => isRunnable);
    assert.ok(runnable.length >= 5);
    const lines = runnable[0]?.text.trim().split("\n") ?? [];
    assert.equal(lines.filter((line) => line !== "").length, 6);
  });

  const hello = { routes: createHelloService() };
  describeSnippets("snippets", snippets, [hello, hello]);

  test("tells what buf breaking says", { timeout, skip: onlyOnce }, async () => {
    const folder = mkdtempSync(join(tmpdir(), "lictor-proto-"));
    try {
      for (const name of ["buf.yaml", "proto"]) cpSync(join(root, name), join(folder, name), { recursive: true });
      const path = join(folder, "proto/HelloService_proto/hello_service.proto");
      const proto = readFileSync(path, "utf8");
      const check = () => runTool("buf", ["breaking", "--against", root], folder);
      writeFileSync(path, proto.replace(/( *)int32 num2 = 3;/, "$&\n$1int32 num3 = 4;"));
      assert.equal(await check(), "");
      writeFileSync(path, proto.replace(/.*int32 num1 = 2;\n/, ""));
      await assert.rejects(check(), (error: { code: number; stdout: string }) => {
        assert.equal(error.code, 100);
        assert.ok(readme.includes(`\`\`\`text\n${error.stdout}\`\`\``), error.stdout);
        return true;
      });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
