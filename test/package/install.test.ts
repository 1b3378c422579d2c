// lictor in a stranger's project: what npm, Bun and Deno install, and that README's code runs there on Node 22 and 24, Bun and
// Deno. Run by `npm run package`; also by itself, on Node 24.

import assert from "node:assert/strict";
import { globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createHelloService, type Server, serve } from "../../src/index.ts";
import { type EmbeddedConsul, startEmbeddedConsul } from "../../src/testing/index.ts";
import { runProgram } from "../support/run-program.ts";
import { spawnCommand } from "../support/spawn-command.ts";
import { untilListed } from "../support/until-listed.ts";
import { findRuntime } from "../tools/runtimes.ts";
import { installedPackages, megabytesOf } from "./installed.ts";
import { type Registry, startRegistry } from "./registry.ts";
import { writeOwnService, writeSmallPrograms, writeSnippets } from "./strangers-code.ts";
import { writeTypeScriptConfig } from "./typescript-config.ts";
import { installWithNpm, openWorkbench, type Workbench } from "./workbench.ts";

const timeout = 120_000;
const peers = ["@bufbuild/protobuf", "@connectrpc/connect"];
const wholeTree = [
  "@bufbuild/protobuf",
  "@connectrpc/connect",
  "@connectrpc/connect-node",
  "@connectrpc/connect-web",
  "lictor",
];
const node24 = findRuntime("node").path;
const bun = findRuntime("bun").path;
const deno = findRuntime("deno").path;

describe("lictor in an empty project", () => {
  let bench: Workbench;
  let consul: EmbeddedConsul;
  let servers: readonly Server[];
  let snippets: readonly string[];
  const folders = { npm: "", bun: "", deno: "" };
  let registry: Registry;
  // Of its own, as packages are cached under their registry's address.
  const denoEnv = () => ({ DENO_DIR: join(folders.deno, "cache"), NPM_CONFIG_REGISTRY: registry.address });

  before(
    async () => {
      bench = await openWorkbench();
      for (const name of ["npm", "bun", "deno"] as const) folders[name] = join(bench.folder, `by-${name}`);
      registry = await startRegistry(bench.tarball);
      consul = await startEmbeddedConsul();
      const options = { routes: createHelloService(), consul: consul.address, drainMarginMs: 0 };
      servers = [serve(options), serve(options)];
      await Promise.all(servers.map(({ ready }) => ready));
      await Promise.all(servers.map(({ registration }) => registration?.registered));
    },
    { timeout },
  );
  after(async () => {
    await Promise.all(servers.map((server) => server.close()));
    await consul.close();
    await registry[Symbol.asyncDispose]();
    await bench[Symbol.asyncDispose]();
  });

  test("npm on Node 22 installs lictor, its dependencies and its peers, once each and nothing else", {
    timeout,
  }, async () => {
    await installWithNpm(folders.npm, [bench.tarball, ...peers], { node: bench.node22 });
    assert.deepEqual(installedPackages(folders.npm), wholeTree);
    await runProgram("npm", ["ls", "--all"], folders.npm);
    assert.ok(megabytesOf(join(folders.npm, "node_modules")) < 10, "MB installed");
  });

  test("npm brings the peers along when only lictor is asked for", { timeout }, async () => {
    const folder = join(bench.folder, "by-npm-alone");
    await installWithNpm(folder, [bench.tarball]);
    assert.deepEqual(installedPackages(folder), wholeTree);
  });

  test("Bun installs the same", { timeout }, async () => {
    mkdirSync(folders.bun);
    writeFileSync(
      join(folders.bun, "package.json"),
      JSON.stringify({ name: "stranger", private: true, type: "module" }),
    );
    await runProgram(bun, ["add", bench.tarball, ...peers], folders.bun);
    assert.deepEqual(installedPackages(folders.bun), wholeTree);
  });

  test("Deno installs the same from a registry, and finds its types right", { timeout }, async () => {
    mkdirSync(folders.deno);
    const env = denoEnv();
    await runProgram(deno, ["add", ...["lictor", ...peers].map((name) => `npm:${name}`)], folders.deno, { env });
    const { npm } = JSON.parse(readFileSync(join(folders.deno, "deno.lock"), "utf8"));
    const names = Object.keys(npm).map((id) => id.replace(/(?<=.)@.*/, ""));
    assert.deepEqual([...new Set(names)].sort(), wholeTree);
    assert.equal(names.length, wholeTree.length, "no package twice");
    writeFiles(folders.deno);
    await runProgram(deno, ["check", "*.ts", "own-service/*.ts"], folders.deno, { env });
  });

  test("TypeScript compiles README's code for Node 22", { timeout }, async () => {
    for (const folder of [folders.npm, folders.bun]) writeFiles(folder);
    await runProgram("npm", ["install", "--no-audit", "--no-fund", "--save-dev", "@types/node@22"], folders.npm);
    writeTypeScriptConfig(folders.npm, "tsconfig.json", { target: "es2022", module: "nodenext", outDir: "out" });
    await runProgram(bench.node22, [bench.typescript["5.9"], "-p", "."], folders.npm);
    assert.equal(globSync("out/readme-*.js", { cwd: folders.npm }).length, snippets.length);
  });

  const denoRun = [deno, "run", "-A"];
  const ways: readonly {
    readonly name: string;
    readonly by: keyof typeof folders;
    readonly command: () => readonly string[];
    /** Runs what TypeScript compiled. */
    readonly isCompiled?: true;
    /** Knows no `await using`, which README's snippets hold. */
    readonly isOld?: true;
    /** How its users start the command `lictor`; where it is not started by itself, that is another way's. */
    readonly lictor?: () => readonly string[];
  }[] = [
    { name: "Node 22, compiled", by: "npm", command: () => [bench.node22, "--enable-source-maps"], isCompiled: true },
    {
      name: "Node 22, types stripped",
      by: "npm",
      command: () => [bench.node22],
      isOld: true,
      lictor: () => [bench.node22, "node_modules/.bin/lictor"],
    },
    { name: "Node 24", by: "npm", command: () => [node24], lictor: () => [node24, "node_modules/.bin/lictor"] },
    { name: "Bun, from npm's node_modules", by: "npm", command: () => [bun] },
    { name: "Bun", by: "bun", command: () => [bun], lictor: () => [bun, "x", "--bun", "lictor"] },
    { name: "Deno, from npm's node_modules", by: "npm", command: () => denoRun },
    { name: "Deno", by: "deno", command: () => denoRun, lictor: () => [...denoRun, "npm:lictor"] },
  ];
  for (const { name, by, command, isCompiled, isOld, lictor } of ways) {
    describe(`on ${name}`, () => {
      const script = (path: string): readonly string[] => [
        ...command(),
        join(folders[by], isCompiled ? `out/${path.replace(/ts$/, "js")}` : path),
      ];
      const runScript = async (path: string, ...args: readonly string[]) => {
        const [program = "", ...rest] = script(path);
        return await runProgram(program, [...rest, ...args], folders[by], { env: by === "deno" ? denoEnv() : {} });
      };

      if (!isOld) {
        test("README's snippets run", { timeout }, async () => {
          assert.ok(snippets.length >= 5);
          for (const name of snippets) await runScript(`${name}.ts`);
        });
      }

      /** Starts a server of ThermometerService, lets the example's client call it, and ends it. */
      const callThermometer = async ([program = "", ...args]: readonly string[]) => {
        const env = { CONSUL_HTTP_ADDR: consul.address, ...(by === "deno" ? denoEnv() : {}) };
        await using server = spawnCommand(program, args, { cwd: folders[by], env });
        await server.ready(1);
        await untilListed(consul.address, "thermometer");
        const [clientProgram = "", ...clientArgs] = script("own-service/client.ts");
        const { stdout } = await runProgram(clientProgram, clientArgs, folders[by], { env });
        assert.deepEqual(
          [/^kitchen: 21.5 °C, says 127/gm, /^cellar: 12/gm].map((line) => stdout.match(line)?.length),
          [4, 3],
        );
        server.signal("SIGTERM");
        assert.equal(await server.exitCode, 0, server.stderr);
      };

      test("the example's server and client run", { timeout }, async () => {
        await callThermometer(script("own-service/server.ts"));
      });

      if (lictor !== undefined) {
        test("the command `lictor` serves a module", { timeout }, async () => {
          await callThermometer([...lictor(), "serve", "./service.ts", "--service", "thermometer", "--port", "0"]);
        });
      }

      test("lictor/edge calls HelloService", { timeout }, async () => {
        const { stdout } = await runScript("edge.ts", consul.address);
        assert.match(stdout, /^(Hello! edge!.*\n){2}object\n$/);
      });
    });
  }

  for (const [name, node] of [
    ["22", () => bench.node22],
    ["24", () => node24],
  ] as const) {
    test(`require() loads every entry on Node ${name}, and errors are those of the peer`, { timeout }, async () => {
      const { stdout, stderr } = await runProgram(node(), ["common.cjs"], folders.npm);
      assert.match(stdout, /^([1-9]\d* ){3}[1-9]\d*\ntrue\n$/);
      assert.equal(stderr, "");
    });
  }

  function writeFiles(folder: string): void {
    snippets = writeSnippets(folder, consul.address);
    writeOwnService(folder);
    writeSmallPrograms(folder);
  }
});
