// Servers and clients crossed over the three runtimes, all registered in one agent: server.ts on each, called by client.ts and by a
// script with the SDK on each, and a server of our own with all four kinds of calls. Nine pairs each time, told by what the answers say.

import assert from "node:assert/strict";
import process from "node:process";
import { after, before, describe, test } from "node:test";
import { createConsulClient } from "../../src/consul/consul-client.ts";
import { agentKinds, type TestAgent } from "../support/agent-kinds.ts";
import { eventually } from "../support/eventually.ts";
import type { SpawnedCommand } from "../support/spawn-command.ts";
import { spawnOn } from "../support/spawn-on.ts";
import { runtimeNames } from "../tools/runtimes.ts";

const isNode = !("bun" in process.versions) && !("deno" in process.versions);

// A skipped test and not a skipped suite: Bun's report leaves those out.
if (!isNode) {
  test("servers and clients are crossed", {
    skip: "runs once, on Node: it starts Bun, Deno and Node by itself",
  }, () => {});
}

for (const kind of isNode ? agentKinds : []) {
  describe(`Servers and clients on Bun, Deno and Node, over the ${kind.name}`, {
    skip: kind.skip,
    timeout: 120_000,
  }, () => {
    let agent: TestAgent;
    let servers: SpawnedCommand[] = [];
    let echoServers: SpawnedCommand[] = [];
    let addresses: string[];
    before(async () => {
      agent = await kind.start();
      servers = runtimeNames.map((runtime) =>
        spawnOn(runtime, "server.ts", ["--consul", agent.address, "--port=0", "--log=warn"]),
      );
      echoServers = runtimeNames.map((runtime) =>
        spawnOn(runtime, "test/support/serve-echo.ts", [agent.address, "Echo", runtime]),
      );
      await Promise.all(echoServers.map((server) => server.ready(1)));
      addresses = (await Promise.all(servers.map((server) => server.ready(1)))).map(([address = ""]) => address);
      const { health } = createConsulClient(agent.address);
      await eventually("all three pass", async () => {
        return (await health.service("HelloService", { passing: true })).data.length === 3;
      });
    });
    after(async () => {
      await Promise.all([...servers, ...echoServers].map((server) => server[Symbol.asyncDispose]()));
      await agent[Symbol.asyncDispose]();
    });

    // Once so many, as it took some hundred calls on a connection for its client's leave to end a server on Deno
    // (denoland/deno#36788).
    const rounds = kind.name === "embedded agent" ? 200 : 20;

    for (const runtime of runtimeNames) {
      test(`client.ts on ${runtime} calls a server on each runtime in turn`, async () => {
        const args = ["--consul", agent.address, "--every=0", "-n", String(3 * rounds), "crossing"];
        await using client = spawnOn(runtime, "client.ts", args);
        assert.equal(await client.exitCode, 0, client.stderr);
        const line = (address: string) => `client get message: Hello! crossing!This is Server: ${address}, result: 3`;
        // On a busy machine a connection may take longer than the first call waits for it: then the round is not whole at once.
        const start = client.lines.findIndex((_, at) => new Set(client.lines.slice(at, at + 3)).size === 3);
        assert.ok(start >= 0 && start <= 30, client.stdout);
        // The first whole round, and the same one again and again.
        const round = client.lines.slice(start, start + 3);
        assert.deepEqual(round.toSorted(), addresses.map(line).sort());
        assert.equal(client.lines.length, 3 * rounds);
        assert.deepEqual(
          client.lines.slice(start),
          Array.from({ length: 3 * rounds - start }, (_, at) => round[at % 3]),
        );
      });

      test(`createHelloClient() on ${runtime} calls a server on each runtime, and the script ends by itself`, async () => {
        await using script = spawnOn(runtime, "test/support/call-hello.ts", [agent.address, "HelloService", "3"]);
        assert.equal(await script.exitCode, 0, script.stderr);
        const greeted = script.lines.map((line) => line.replace(/^\d+ Hello! script!This is Server: /, ""));
        assert.deepEqual(greeted.sort(), addresses.toSorted());
      });

      test(`createConsulTransport() on ${runtime} makes all four kinds of calls to each runtime`, async () => {
        await using script = spawnOn(runtime, "test/support/call-echo.ts", [agent.address, "Echo", "3"]);
        assert.equal(await script.exitCode, 0, script.stderr);
        const answers = { unary: "1000000", serverStream: "s0,s1", clientStream: "x,y", bidi: "x0,y1" };
        const expected = Object.entries(answers).flatMap(([method, answer]) =>
          runtimeNames.map((server) => `${method} ${server} ${answer}`),
        );
        assert.deepEqual(script.lines.toSorted(), expected.sort());
      });
    }

    test("servers leave Consul on every runtime when they are told to stop", async () => {
      const all = [...servers, ...echoServers];
      for (const server of all) server.signal("SIGTERM");
      const codes = await Promise.all(all.map((server) => server.exitCode));
      assert.deepEqual(codes, [0, 0, 0, 0, 0, 0], all.map(({ stderr }) => stderr).join("\n"));
      assert.deepEqual(await createConsulClient(agent.address).agent.services(), {});
    });
  });
}
