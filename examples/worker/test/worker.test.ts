// The Worker in workerd, configured as wrangler.jsonc has it, with two servers and an agent in this process.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { build } from "esbuild";
import { createHelloService, type Server, serve } from "lictor";
import { type EmbeddedConsul, startEmbeddedConsul } from "lictor/testing";
import { Miniflare } from "miniflare";

interface Answer {
  readonly message: string;
  readonly ageMs: number;
  readonly stale: boolean;
}

let consul: EmbeddedConsul;
let servers: Server[];
let worker: Miniflare;

before(async () => {
  consul = await startEmbeddedConsul();
  servers = [await startServer(), await startServer()];
  worker = await startWorker();
});

after(async () => {
  await worker.dispose();
  await Promise.all(servers.map((server) => server.close()));
  await consul.close();
});

for (const path of ["/hello", "/live/hello"]) {
  test(`GET ${path} calls both servers in turn`, async () => {
    const answers: Answer[] = [];
    for (let i = 0; i < 4; i++) answers.push(await get(`${path}?name=edge`));
    const [first, second, third, fourth] = answers.map(({ message }) => message);
    assert.match(first ?? "", /^Hello! edge!This is Server: 127\.0\.0\.1:/);
    assert.notEqual(first, second);
    assert.deepEqual([third, fourth], [first, second]);
    assert.equal(answers[3]?.stale, false);
  });
}

test("GET /live/hello knows of a new server within seconds", { timeout: 20_000 }, async () => {
  const added = await startServer();
  servers.push(added);
  const address = `:${added.address?.announced.port}`;
  while (!(await get("/live/hello")).message.endsWith(address));
});

test("without Consul the last known servers are called on", async () => {
  await consul.stop();
  for (const path of ["/hello", "/live/hello"]) assert.match((await get(path)).message, /^Hello! world!/);
  await consul.restart();
});

async function startServer(): Promise<Server> {
  const server = serve({ routes: createHelloService(), consul: consul.address, drainMarginMs: 0 });
  await server.ready;
  await server.registration?.registered;
  return server;
}

/** What `wrangler dev` does, without wrangler. */
async function startWorker(): Promise<Miniflare> {
  const config = JSON.parse(read("../wrangler.jsonc").replaceAll(/^\s*\/\/.*$/gm, ""));
  const { outputFiles } = await build({
    entryPoints: [new URL(`../${config.main}`, import.meta.url).pathname],
    bundle: true,
    format: "esm",
    write: false,
  });
  const [{ name, class_name: className }] = config.durable_objects.bindings;
  return new Miniflare({
    modules: true,
    script: outputFiles[0]?.text ?? "",
    compatibilityDate: config.compatibility_date,
    bindings: { ...config.vars, CONSUL_ADDRESS: consul.address },
    durableObjects: { [name]: { className, useSQLite: true } },
  });
}

async function get(path: string): Promise<Answer> {
  const response = await worker.dispatchFetch(`http://worker.test${path}`);
  const text = await response.text();
  assert.equal(response.status, 200, text);
  return JSON.parse(text);
}

function read(path: string): string {
  return readFileSync(new URL(path, import.meta.url), "utf8");
}
