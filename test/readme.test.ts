// README says what the code says, and its code runs.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import process from "node:process";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { createHelloService, type Server, serve } from "../src/index.ts";
import { type EmbeddedConsul, startEmbeddedConsul } from "../src/testing/index.ts";
import { codeBlocks } from "./support/markdown.ts";
import { renderReadme } from "./support/readme-tables.ts";
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
    const snippets = codeBlocks(readme).filter(({ isRunnable }) => isRunnable);
    let folder: string;
    let consul: EmbeddedConsul;
    let servers: readonly Server[];

    before(async () => {
      // Inside the project, where packages are found, and in a folder that git ignores.
      mkdirSync(join(root, "dist"), { recursive: true });
      folder = mkdtempSync(join(root, "dist", "readme-"));
      consul = await startEmbeddedConsul();
      for (const [number, { text }] of snippets.entries()) {
        writeFileSync(join(folder, `snippet-${number}.ts`), toRun(text, consul.address));
      }
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
      rmSync(folder, { recursive: true });
    });

    test("there are some", () => {
      assert.ok(snippets.length >= 5);
      assert.equal(
        snippets[0]?.text
          .trim()
          .split("\n")
          .filter((line) => line !== "").length,
        6,
        "the SDK in six lines",
      );
    });

    for (const [number, { text, output }] of snippets.entries()) {
      const title = text.split("\n").find((line) => line !== "" && !line.startsWith("import ")) ?? "";
      test(`"${title}" runs and ends by itself`, { timeout }, async () => {
        await using script = spawnScript(`dist/${basename(folder)}/snippet-${number}.ts`, []);
        assert.equal(await script.exitCode, 0, script.stderr);
        if (output !== undefined) assert.equal(withUsualPorts(script.stdout), output);
      });
    }

    test("have no type errors", { timeout, skip: onlyOnce }, async () => {
      writeFileSync(
        join(folder, "tsconfig.json"),
        JSON.stringify({
          extends: "../../tsconfig.json",
          include: ["*.ts"],
          compilerOptions: { isolatedDeclarations: false },
        }),
      );
      await run("tsc", ["-p", folder]);
    });
  });

  test("tells what buf breaking says", { timeout, skip: onlyOnce }, async () => {
    const folder = mkdtempSync(join(tmpdir(), "lictor-proto-"));
    try {
      for (const name of ["buf.yaml", "proto"]) cpSync(join(root, name), join(folder, name), { recursive: true });
      const path = join(folder, "proto/HelloService_proto/hello_service.proto");
      const proto = readFileSync(path, "utf8");
      const check = () => run("buf", ["breaking", "--against", root], folder);
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

const consulAddress = "http://127.0.0.1:8500";

/** A snippet as this checkout runs it: unbuilt, and against the agent at hand. */
function toRun(snippet: string, address: string): string {
  return snippet
    .replaceAll('"lictor"', '"../../src/index.ts"')
    .replaceAll('"lictor/testing"', '"../../src/testing/index.ts"')
    .replaceAll(consulAddress, address);
}

/** The output with the ports of README: 10000 for the first server that answered, and so on. */
function withUsualPorts(output: string): string {
  const ports = [...new Set([...output.matchAll(/127\.0\.0\.1:(\d+)/g)].map(([, port]) => port))];
  return output.replaceAll(/127\.0\.0\.1:(\d+)/g, (_, port) => `127.0.0.1:${10_000 + ports.indexOf(port)}`);
}

/** Runs a script of the project's tools on this runtime; resolves with what it prints. */
async function run(tool: string, args: readonly string[], cwd: string = root): Promise<string> {
  const script = realpathSync(join(root, "node_modules/.bin", tool));
  const { stdout } = await promisify(execFile)(process.execPath, [script, ...args], { cwd });
  return stdout;
}
