// The system that lictor replaces, on its grpc-go of 2019: its client meets our servers, our client meets its servers, and
// both kinds serve one service side by side.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type ConsulProcess, realConsulSkip, startConsul } from "../support/consul-agent.ts";
import { runtimeNames } from "../tools/runtimes.ts";
import { readHelloLines } from "./hello-lines.ts";
import { goSkip, hostOf, startGo, startGoServer, startOurClient, startOurServer } from "./programs.ts";

describe("the original", { skip: realConsulSkip || goSkip }, () => {
  let consul: ConsulProcess;
  before(async () => {
    consul = await startConsul();
  });
  after(() => consul?.[Symbol.asyncDispose]());

  const startOriginalClient = (service: string, args: readonly string[]) =>
    startGo("client-original", ["-consul", hostOf(consul), "-service", service, ...args]);

  for (const runtime of runtimeNames) {
    test(`the original client goes round our servers on ${runtime}`, async () => {
      const service = `original-client-${runtime}`;
      await using server = await startOurServer(runtime, consul, service, 2);
      await using client = startOriginalClient(service, ["-every", "5ms", "-n", "100", "-num1", "2147483647"]);
      assert.equal(await client.exitCode, 0, client.stdout);
      const { servers, results, failures } = readHelloLines(client.lines, "GrassInWind2019");
      assert.deepEqual(failures, []);
      assert.deepEqual([...results], [-2_147_483_647]);
      assert.deepEqual([...servers.keys()].sort(), [...(await server.ready(2))].sort());
    });

    test(`the original client loses no call when a server of ours on ${runtime} stops`, async () => {
      const service = `original-stop-${runtime}`;
      await using leaving = await startOurServer(runtime, consul, service);
      await using staying = await startOurServer(runtime, consul, service);
      const [leavingAddress = ""] = await leaving.ready(1);
      const [stayingAddress = ""] = await staying.ready(1);
      await using client = startOriginalClient(service, ["-every", "5ms", "-n", "800", "Grace"]);
      await client.until(({ stdout }) => stdout.includes(leavingAddress) && stdout.includes(stayingAddress));
      leaving.signal("SIGTERM");
      assert.equal(await leaving.exitCode, 0, leaving.stderr);
      await client.exitCode;
      const { servers, failures } = readHelloLines(client.lines, "Grace");
      assert.deepEqual(failures, []);
      assert.ok((servers.get(stayingAddress) ?? 0) > (servers.get(leavingAddress) ?? 0), client.stdout);
    });

    test(`our client on ${runtime} is served by the original server`, async () => {
      const service = `original-server-${runtime}`;
      await using server = await startGoServer("server-original", consul, service);
      await using client = startOurClient(runtime, consul, service, ["--every", "5ms", "-n", "20"]);
      assert.equal(await client.exitCode, 0, client.stderr);
      const { servers, results, failures } = readHelloLines(client.lines, "GrassInWind2019");
      assert.deepEqual(failures, []);
      assert.deepEqual([...results], [3]);
      assert.deepEqual([...servers], [[(await server.ready(1))[0], 20]]);
    });
  }

  test("an original server and ours serve one service alike, to the original client and to ours", async () => {
    const service = "original-mixed";
    await using original = await startGoServer("server-original", consul, service);
    await using ours = await startOurServer("bun", consul, service);
    const addresses = [...(await original.ready(1)), ...(await ours.ready(1))].sort();

    await using originalClient = startOriginalClient(service, ["-every", "5ms", "-n", "100"]);
    await using ourClient = startOurClient("bun", consul, service, ["--every", "5ms", "-n", "100"]);
    for (const client of [originalClient, ourClient]) {
      assert.equal(await client.exitCode, 0, client.stdout + client.stderr);
      const { servers, failures } = readHelloLines(client.lines, "GrassInWind2019");
      assert.deepEqual(failures, []);
      assert.deepEqual([...servers.keys()].sort(), addresses);
    }
  });
});
