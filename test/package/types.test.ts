// lictor's declarations in a stranger's project: strict, all libraries checked, under the TypeScripts and the module resolutions
// that people have. Run by `npm run package`; also by itself, on Node 24.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { runProgram } from "../support/run-program.ts";
import { findRuntime } from "../tools/runtimes.ts";
import { writeOwnService, writeSmallPrograms, writeSnippets } from "./strangers-code.ts";
import { writeTypeScriptConfig } from "./typescript-config.ts";
import { installWithNpm, openWorkbench, type Workbench } from "./workbench.ts";

const timeout = 120_000;
const node = findRuntime("node").path;
const peers = ["@bufbuild/protobuf", "@connectrpc/connect"];
const versions = ["5.9", "7"] as const;
const resolutions = { nodenext: { module: "nodenext" }, bundler: { module: "esnext", moduleResolution: "bundler" } };

/** Needs no Node: Workers and pages are compiled without its types. */
const edgeUser = `import { createEdgeTransport, createHelloClient } from "lictor/edge";
export const hello = createHelloClient({ consul: { address: "https://consul.example.com", token: "t" }, passingOnly: true });
export const transport = createEdgeTransport({ target: "consul://consul.example.com:443/HelloService" });
export const greet = async (name: string): Promise<string> => (await hello.sayHello({ name })).message;
export const known: number = hello.discovery().endpoints.length;
// @ts-expect-error A request has no such field.
export const wrong = hello.sayHello({ nam: "you" });
`;

/** Nor does this, nor Cloudflare's types. */
const edgeTcpUser = `import { createEdgeTcpTransport, createSessionObjectTransport, grpcSessionObject, gzip, type SessionObjectStub } from "lictor/edge/tcp";
export const Sessions = grpcSessionObject<{ readonly TOKEN: string }>((env, name) => ({
  service: name,
  consul: { address: "https://consul.example.com", token: env.TOKEN },
}));
export const throughObject = (stub: SessionObjectStub) => createSessionObjectTransport(stub);
export const transport = createEdgeTcpTransport({ endpoints: ["http://10.0.0.1:10000"], sendCompression: gzip });
// @ts-expect-error Keepalive is an object.
export const wrong = createEdgeTcpTransport({ endpoints: ["http://10.0.0.1:10000"], keepalive: 30_000 });
`;

describe("lictor's types", () => {
  let bench: Workbench;
  const folder = (name: string) => join(bench.folder, `types-${name}`);
  const compile = (version: (typeof versions)[number], name: string, config: string) =>
    runProgram(node, [bench.typescript[version], "--noEmit", "-p", config], folder(name));

  before(
    async () => {
      bench = await openWorkbench();
      await installWithNpm(folder("node"), [bench.tarball, ...peers, "@types/node@22"]);
      writeSnippets(folder("node"), "http://127.0.0.1:8500");
      writeOwnService(folder("node"));
      writeSmallPrograms(folder("node"));
      await installWithNpm(folder("edge"), [bench.tarball, ...peers]);
      writeFileSync(join(folder("edge"), "user.ts"), edgeUser);
      writeFileSync(join(folder("edge"), "tcp-user.ts"), edgeTcpUser);
      await installWithNpm(folder("common"), [bench.tarball, ...peers, "@types/node@22"], {
        manifest: { type: "commonjs" },
      });
      writeOwnService(folder("common"));
    },
    { timeout },
  );
  after(async () => {
    await bench[Symbol.asyncDispose]();
  });

  for (const version of versions) {
    for (const [name, options] of Object.entries(resolutions)) {
      test(`README's code compiles under TypeScript ${version} with ${name} resolution`, { timeout }, async () => {
        // Neither `lib` nor `types`: the first has "dom" then, which Connect's types need, and the second is asked for by ours.
        writeTypeScriptConfig(folder("node"), `${version}-${name}.json`, { target: "es2022", types: [], ...options });
        await compile(version, "node", `${version}-${name}.json`);
      });

      for (const lib of ["webworker", "dom"]) {
        test(`lictor/edge and lictor/edge/tcp need no Node under TypeScript ${version} with ${name} resolution and lib ${lib}`, {
          timeout,
        }, async () => {
          const config = `${version}-${name}-${lib}.json`;
          const edge = { target: "es2022", lib: ["es2022", lib], types: [], ...options };
          writeTypeScriptConfig(folder("edge"), config, edge, ["user.ts", "tcp-user.ts"]);
          await compile(version, "edge", config);
        });
      }
    }

    test(`a CommonJS project compiles under TypeScript ${version} with bundler resolution`, { timeout }, async () => {
      const options = { target: "es2022", ...resolutions.bundler };
      writeTypeScriptConfig(folder("common"), `${version}.json`, options, ["own-service/**/*.ts"]);
      await compile(version, "common", `${version}.json`);
    });
  }

  test("are looked at: a wrong argument is an error", { timeout }, async () => {
    const wrong = 'import { createHelloClient } from "lictor";\ncreateHelloClient({ consul: 8500 });\n';
    writeFileSync(join(folder("node"), "wrong.mts"), wrong);
    writeTypeScriptConfig(folder("node"), "wrong.json", { target: "es2022", module: "nodenext" }, ["wrong.mts"]);
    await assert.rejects(compile("7", "node", "wrong.json"), /wrong\.mts\(2,\d+\): error TS2322/);
  });
});
