// The code in docs/ compiles against the sources, and what is marked so runs. What is another library's is left alone, unless
// that library is at hand.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import process from "node:process";
import { after, before, describe, test } from "node:test";
import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import { ThermometerService } from "../../examples/own-service/gen/example/thermometer/v1/thermometer_pb.ts";
import { createHelloService, type Server, serve } from "../../src/index.ts";
import { type EmbeddedConsul, startEmbeddedConsul } from "../../src/testing/index.ts";
import { type CodeBlock, codeBlocks } from "../support/markdown.ts";
import { createSnippetFolder, type SnippetFolder, titleOf, withUsualPorts } from "../support/snippets.ts";

const timeout = 60_000;
const docs = new URL("../../docs/", import.meta.url);
const onlyOnce =
  "deno" in process.versions || "bun" in process.versions ? "the same on every runtime: run on Node" : false;

const pages = readdirSync(docs)
  .filter((name) => name.endsWith(".md"))
  .sort();

/** Code to compile, by the name of the file it is written to. */
const snippets = new Map<string, CodeBlock>();
for (const page of pages) {
  const blocks = codeBlocks(readFileSync(new URL(page, docs), "utf8")).filter(({ language }) => language === "ts");
  for (const [number, block] of blocks.entries()) {
    if (!block.mark?.startsWith("of: ")) snippets.set(`${page.replace(/\.md$/, "")}-${number}`, block);
  }
}

/** ThermometerService as docs/ speaks of it. */
function thermometer(router: ConnectRouter): void {
  router.service(ThermometerService, {
    read({ room }) {
      if (room !== "kitchen") throw new ConnectError(`no thermometer in room ${JSON.stringify(room)}`, Code.NotFound);
      return { celsius: 21.5 };
    },
    async *watch({ readings }) {
      for (let reading = 0; reading < readings; reading++) yield { celsius: 21.5 + reading / 10 };
    },
  });
}

describe("docs", () => {
  let folder: SnippetFolder;
  let consul: EmbeddedConsul;
  let servers: readonly Server[];

  before(async () => {
    folder = createSnippetFolder();
    consul = await startEmbeddedConsul();
    for (const [name, { text }] of snippets) folder.write(name, text, consul.address);
    const options = { consul: consul.address, drainMarginMs: 0 };
    servers = [
      serve({ ...options, routes: createHelloService() }),
      serve({ ...options, routes: createHelloService() }),
      serve({ ...options, routes: thermometer, service: "thermometer" }),
    ];
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

  for (const [name, { text, isRunnable, output }] of snippets) {
    if (!isRunnable) continue;
    test(`${name}: "${titleOf(text)}" runs and ends by itself`, { timeout }, async () => {
      await using script = folder.start(name);
      assert.equal(await script.exitCode, 0, script.stderr);
      if (output !== undefined) assert.equal(withUsualPorts(script.stdout), output);
    });
  }

  test("have code that has no type errors", { timeout, skip: onlyOnce }, () => folder.compile());

  test("index has every page, and one line for each", () => {
    const index = readFileSync(new URL("README.md", docs), "utf8");
    for (const page of pages) {
      if (page !== "README.md") assert.equal(index.split(`](${page})`).length, 2, page);
    }
  });
});
