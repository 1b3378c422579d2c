// README says what the code says, and its code runs.

import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { createHelloService, type Server, serve } from "../src/index.ts";
import { type EmbeddedConsul, startEmbeddedConsul } from "../src/testing/index.ts";
import { codeBlocks } from "./support/markdown.ts";
import { renderReadme } from "./support/readme-tables.ts";
import { createSnippetFolder, runTool, type SnippetFolder, titleOf, withUsualPorts } from "./support/snippets.ts";
import { spawnScript } from "./support/spawn-command.ts";

const timeout = 60_000;
const root = fileURLToPath(new URL("../", import.meta.url));
const readme = readFileSync(join(root, "README.md"), "utf8");
const onlyOnce =
  "deno" in process.versions || "bun" in process.versions ? "the same on every runtime: run on Node" : false;

describe("README", () => {
  test("tables of flags and options, and the code of examples, are those of the sources", { timeout }, async () => {
    const helpOf = async (command: string): Promise<string> => {
      await using help = spawnScript("src/cli/main.ts", [command, "--help"]);
      assert.equal(await help.exitCode, 0, help.stderr);
      return help.stdout;
    };
    assert.equal(await renderReadme(readme, helpOf), readme, "run: npx bun test/tools/write-readme.ts");
  });

  describe("snippets", () => {
    const snippets = codeBlocks(readme).filter(({ language, mark }) => language === "ts" && !mark?.startsWith("file:"));
    let folder: SnippetFolder;
    let consul: EmbeddedConsul;
    let servers: readonly Server[];

    before(async () => {
      folder = createSnippetFolder();
      consul = await startEmbeddedConsul();
      for (const [number, { text }] of snippets.entries()) folder.write(`snippet-${number}`, text, consul.address);
      const options = { routes: createHelloService(), consul: consul.address, drainMarginMs: 0 };
      servers = [serve(options), serve(options)];
      for (const server of servers) {
        await server.ready;
        await server.registration?.registered;
      }
    });
    after(async () => {
      await Promise.all(servers.map((server) => server.close()));
      await consul.close();
      folder[Symbol.dispose]();
    });

    test("there are some", () => {
      const runnable = snippets.filter(({ isRunnable }) => isRunnable);
      assert.ok(runnable.length >= 5);
      const lines = runnable[0]?.text.trim().split("\n") ?? [];
      assert.equal(lines.filter((line) => line !== "").length, 6, "the SDK in six lines");
    });

    for (const [number, { text, isRunnable, output }] of snippets.entries()) {
      if (!isRunnable) continue;
      test(`"${titleOf(text)}" runs and ends by itself`, { timeout }, async () => {
        await using script = folder.start(`snippet-${number}`);
        assert.equal(await script.exitCode, 0, script.stderr);
        if (output !== undefined) assert.equal(withUsualPorts(script.stdout), output);
      });
    }

    test("have no type errors", { timeout, skip: onlyOnce }, () => folder.compile());
  });

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
