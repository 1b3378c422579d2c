// grpc-go of today: a client that resolves through Consul meets our servers, our client meets its servers, and both kinds
// serve one service side by side.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type ConsulProcess, realConsulSkip, startConsul } from "../support/consul-agent.ts";
import { runtimeNames } from "../tools/runtimes.ts";
import { readHelloLines } from "./hello-lines.ts";
import { goSkip, hostOf, startGo, startGoServer, startOurClient, startOurServer } from "./programs.ts";

interface GoSummary {
  readonly calls: number;
  readonly failures: number;
  /** Calls by the address of the connection that carried them. */
  readonly servers: Readonly<Record<string, number>>;
  /** Calls by the text of the answer. */
  readonly messages: Readonly<Record<string, number>>;
  readonly results: Readonly<Record<string, number>>;
}

describe("grpc-go", { skip: realConsulSkip || goSkip }, () => {
  let consul: ConsulProcess;
  before(async () => {
    consul = await startConsul();
  });
  after(() => consul?.[Symbol.asyncDispose]());

  const startGoClient = (service: string, args: readonly string[]) =>
    startGo("client-consul", ["-consul", hostOf(consul), "-service", service, "-servers", "2", ...args]);

  for (const runtime of runtimeNames) {
    test(`a grpc-go client goes round our two servers on ${runtime}`, async () => {
      const service = `go-client-${runtime}`;
      await using servers = await startOurServer(runtime, consul, service, 2);
      const [first = "", second = ""] = await servers.ready(2);
      await using client = startGoClient(service, ["-n", "1000", "-num1", "2147483647"]);
      assert.equal(await client.exitCode, 0, client.stderr);
      const summary: GoSummary = JSON.parse(client.stdout);
      assert.deepEqual(summary, {
        calls: 1000,
        failures: 0,
        servers: { [first]: 500, [second]: 500 },
        messages: {
          [`Hello! grpc-go!This is Server: ${first}`]: 500,
          [`Hello! grpc-go!This is Server: ${second}`]: 500,
        },
        results: { "-2147483647": 1000 },
      });
    });

    test(`a grpc-go client loses no call when a server of ours on ${runtime} stops`, async () => {
      const service = `go-stop-${runtime}`;
      await using leaving = await startOurServer(runtime, consul, service);
      await using staying = await startOurServer(runtime, consul, service);
      const [leavingAddress = ""] = await leaving.ready(1);
      const [stayingAddress = ""] = await staying.ready(1);
      await using client = startGoClient(service, ["-n", "1000", "-every", "5ms"]);
      await client.until(({ stderr }) => stderr.includes("counting"));
      leaving.signal("SIGTERM");
      assert.equal(await leaving.exitCode, 0, leaving.stderr);
      assert.equal(await client.exitCode, 0, client.stderr);
      const summary: GoSummary = JSON.parse(client.stdout);
      assert.equal(summary.failures, 0);
      assert.ok((summary.servers[stayingAddress] ?? 0) > (summary.servers[leavingAddress] ?? 0), client.stdout);
    });

    test(`our client on ${runtime} is served by grpc-go servers`, async () => {
      const service = `go-server-${runtime}`;
      await using first = await startGoServer("server-consul", consul, service);
      await using second = await startGoServer("server-consul", consul, service);
      await using client = startOurClient(runtime, consul, service, ["--every", "5ms", "-n", "60", "Ada"]);
      assert.equal(await client.exitCode, 0, client.stderr);
      const { servers, results, failures } = readHelloLines(client.lines, "Ada");
      assert.deepEqual(failures, []);
      assert.deepEqual([...results], [3]);
      const addresses = [...(await first.ready(1)), ...(await second.ready(1))];
      assert.deepEqual([...servers.keys()].sort(), addresses.sort());
      // One may be ready a moment before the other.
      for (const [address, calls] of servers) assert.ok(calls >= 25, `${address} had ${calls} of 60 calls`);
    });
  }

  test("a grpc-go server and ours on every runtime serve one service alike", async () => {
    const service = "go-mixed";
    await using go = await startGoServer("server-consul", consul, service);
    await using onBun = await startOurServer("bun", consul, service);
    await using onDeno = await startOurServer("deno", consul, service);
    await using onNode = await startOurServer("node", consul, service);
    const addresses = (await Promise.all([go, onBun, onDeno, onNode].map((server) => server.ready(1)))).flat();

    await using goClient = startGoClient(service, ["-servers", "4", "-n", "400", "-num1", "2147483647"]);
    assert.equal(await goClient.exitCode, 0, goClient.stderr);
    const summary: GoSummary = JSON.parse(goClient.stdout);
    assert.deepEqual(summary.servers, Object.fromEntries(addresses.map((address) => [address, 100])));
    assert.deepEqual(summary.results, { "-2147483647": 400 });

    await using ourClient = startOurClient("bun", consul, service, ["--every", "5ms", "-n", "100", "Ada"]);
    assert.equal(await ourClient.exitCode, 0, ourClient.stderr);
    const { servers, failures } = readHelloLines(ourClient.lines, "Ada");
    assert.deepEqual(failures, []);
    assert.deepEqual([...servers.keys()].sort(), addresses.sort());
  });
});
