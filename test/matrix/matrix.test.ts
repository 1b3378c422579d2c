// README's table of what works where, cell by cell. Each cell that says yes has its test here, over servers on Bun, Deno and Node
// and over both agents; the last tests see to it that none was left out and that README shows this table.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { createConsulClient } from "../../src/consul/consul-client.ts";
import { chromiumSkip } from "../browser/chromium.ts";
import type { PageSite } from "../browser/page-site.ts";
import { realConsulSkip } from "../support/consul-agent.ts";
import { eventually } from "../support/eventually.ts";
import { renderMatrix } from "../support/readme-matrix.ts";
import { spawnOn } from "../support/spawn-on.ts";
import { type RuntimeName, runtimeNames } from "../tools/runtimes.ts";
import { cellName, type MatrixRuntime, type MatrixTask, matrixRows, matrixRuntimes } from "./cells.ts";
import type { EdgeOrder } from "./edge-caller.ts";
import { runByEdge, startMatrixSite } from "./edge-programs.ts";
import { runByGrpc } from "./grpc-programs.ts";
import { proveBidi, proveJson, proveServing } from "./serving.ts";
import { type MatrixWorld, startEmbeddedAgent, startRealAgent, startWorld } from "./world.ts";

let site: PageSite;
/** The same servers over the embedded agent and, where there is one, over a real one. */
let worlds: readonly MatrixWorld[] = [];

/** How each row is proved on a runtime. */
const proofs: Readonly<Record<MatrixTask, (runtime: MatrixRuntime) => Promise<void>>> = {
  async "serve gRPC"(runtime) {
    await proveServing(serversOn(runtime), "gRPC", "2");
    await proveBidi(serversOn(runtime));
  },
  async "serve gRPC-Web"(runtime) {
    await proveServing(serversOn(runtime), "gRPC-Web", "2");
    await proveServing(serversOn(runtime), "gRPC-Web", "1.1");
  },
  async "serve Connect"(runtime) {
    await proveServing(serversOn(runtime), "Connect", "2");
    await proveServing(serversOn(runtime), "Connect", "1.1");
  },
  "serve JSON": (runtime) => proveJson(serversOn(runtime)),
  register: (runtime) => inEveryWorld((world) => proveRegistering(world, asRuntime(runtime))),
  "call gRPC": (runtime) => proveGrpcCalls(firstWorld(), runtime === "workerd" ? runtime : asRuntime(runtime)),
  "call gRPC-Web": (runtime) => proveEdgeCalls(runtime, firstWorld(), "grpc-web", "by URL"),
  "call Connect": (runtime) => proveEdgeCalls(runtime, firstWorld(), "connect", "by URL"),
  find: (runtime) =>
    inEveryWorld(async (world) => {
      await proveEdgeCalls(runtime, world, "connect", "by Consul");
      if (isRuntime(runtime)) await proveGrpcCalls(world, runtime);
    }),
};

describe("README's table of what works where", { timeout: 240_000 }, () => {
  const passed = new Set<string>();
  const skipped = new Set<string>();

  before(async () => {
    site = await startMatrixSite();
    const starting = [startEmbeddedAgent(site.origin)];
    if (realConsulSkip === false) starting.push(startRealAgent(site.origin));
    const agents = await Promise.all(starting);
    for (const agent of agents) worlds = [...worlds, await startWorld(agent, site.origin)];
  });
  after(async () => {
    await Promise.all(worlds.map((world) => world[Symbol.asyncDispose]()));
    await site[Symbol.asyncDispose]();
  });

  for (const { task, cells } of matrixRows) {
    for (const runtime of Object.keys(matrixRuntimes) as MatrixRuntime[]) {
      if (!cells[runtime].works) continue;
      const name = cellName(task, runtime);
      const skip = runtime === "chromium" && chromiumSkip;
      if (skip !== false) skipped.add(name);
      test(name, { skip }, async () => {
        await proofs[task](runtime);
        passed.add(name);
      });
    }
  }

  test("every cell that says yes has a test that passed", () => {
    const saysYes = matrixRows.flatMap(({ task, cells }) =>
      (Object.keys(matrixRuntimes) as MatrixRuntime[])
        .filter((runtime) => cells[runtime].works)
        .map((runtime) => cellName(task, runtime)),
    );
    assert.deepEqual([...passed, ...skipped].sort(), saysYes.sort());
  });

  test("README shows this table", () => {
    const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
    assert.ok(readme.includes(renderMatrix()), "run: npx bun test/tools/write-readme.ts");
  });
});

/** A server on this runtime comes into Consul, passes, and goes when it is told to stop. */
async function proveRegistering({ agent }: MatrixWorld, runtime: RuntimeName): Promise<void> {
  const service = `matrix-${runtime}`;
  await using server = spawnOn(runtime, "server.ts", ["--consul", agent.address, "--port=0", "--service", service]);
  const [address] = await server.ready(1);
  const { health } = createConsulClient(agent.address);
  const listed = async () => {
    const { data } = await health.service(service, { passing: true });
    return data.map(({ Service }) => `${Service.Address}:${Service.Port}`);
  };
  await eventually("the server passes", async () => (await listed()).length === 1);
  assert.deepEqual(await listed(), [address]);
  server.signal("SIGTERM");
  assert.equal(await server.exitCode, 0, server.stderr);
  assert.deepEqual(await listed(), []);
}

/** lictor's own transport on this runtime finds the servers in Consul and calls them in turn, in all four ways. */
async function proveGrpcCalls({ agent, servers }: MatrixWorld, runtime: RuntimeName | "workerd"): Promise<void> {
  const { hello, echo } = await runByGrpc(runtime, { consul: agent.address, rounds: runtimeNames.length });
  assert.deepEqual(hello.toSorted(), runtimeNames.map((name) => servers[name].hello).sort());
  const answers = { bidi: "x0,y1", clientStream: "x,y", serverStream: "s0,s1", unary: "1000000" };
  const expected = Object.entries(answers).flatMap(([kind, answer]) =>
    runtimeNames.map((name) => `${kind} ${name} ${answer}`),
  );
  assert.deepEqual(echo.toSorted(), expected.sort());
}

/** lictor/edge on this runtime calls the servers in turn, in binary and in JSON: a unary call and a server's stream. */
async function proveEdgeCalls(
  runtime: MatrixRuntime,
  { agent, servers }: MatrixWorld,
  protocol: EdgeOrder["protocol"],
  how: "by URL" | "by Consul",
): Promise<void> {
  const pairs = runtimeNames.map((name) => servers[name]);
  const given: EdgeOrder["servers"] =
    how === "by URL"
      ? { hello: pairs.map(({ hello }) => `http://${hello}`), echo: pairs.map(({ echo }) => `http://${echo}`) }
      : { consul: runtime === "chromium" ? agent.forPages : agent.address };
  const { hello, echo, contentTypes } = await runByEdge(
    runtime,
    { protocol, servers: given, rounds: pairs.length },
    site.origin,
  );
  assert.deepEqual(contentTypes, contentTypesOf[protocol]);
  // Each format goes round once.
  for (const answers of [hello.slice(0, 3), hello.slice(3)]) {
    const expected = pairs.map((pair) => `Hello! ${protocol}!This is Server: ${pair.hello} 3`);
    assert.deepEqual(answers.toSorted(), expected.sort());
  }
  for (const answers of [echo.slice(0, 3), echo.slice(3)]) {
    assert.deepEqual(answers.toSorted(), pairs.map(({ name }) => `${name} s0,s1,s2`).sort());
  }
}

/** Connect has other types for streams. */
const contentTypesOf: Readonly<Record<EdgeOrder["protocol"], readonly string[]>> = {
  connect: ["application/connect+json", "application/connect+proto", "application/json", "application/proto"],
  "grpc-web": ["application/grpc-web+json", "application/grpc-web+proto"],
};

function serversOn(runtime: MatrixRuntime) {
  return firstWorld().servers[asRuntime(runtime)];
}

function firstWorld(): MatrixWorld {
  const [world] = worlds;
  assert.ok(world);
  return world;
}

async function inEveryWorld(prove: (world: MatrixWorld) => Promise<void>): Promise<void> {
  for (const world of worlds) await prove(world);
}

function isRuntime(runtime: MatrixRuntime): runtime is RuntimeName {
  return runtimeNames.some((name) => name === runtime);
}

function asRuntime(runtime: MatrixRuntime): RuntimeName {
  assert.ok(isRuntime(runtime), `${runtime} starts no process`);
  return runtime;
}
