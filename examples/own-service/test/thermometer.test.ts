// The service in this process, and the programs as they are run. Against an agent that the test starts: no Consul is needed.

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { createInterface } from "node:readline";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConsulClient, createConsulTransport, serve, watchService } from "lictor";
import { startEmbeddedConsul } from "lictor/testing";
import { ThermometerService } from "../gen/example/thermometer/v1/thermometer_pb.ts";
import { thermometer } from "../thermometer.ts";
import { closeAfterEach } from "./closing.ts";

const timeout = 60_000;

describe("thermometer", () => {
  const onEnd = closeAfterEach();

  test("reads the rooms that it knows", { timeout }, async () => {
    const consul = await startEmbeddedConsul();
    onEnd(() => consul.close());
    const server = serve({ routes: thermometer, consul: consul.address, drainMarginMs: 0 });
    onEnd(() => server.close());
    const transport = createConsulTransport({ consul: consul.address, service: "ThermometerService" });
    onEnd(() => transport.close());
    const { host, port } = await server.ready; // it serves, registered or not
    await server.registration?.registered; // and now Consul has it
    const client = createClient(ThermometerService, transport);

    const { celsius, instance } = await client.read({ room: "kitchen" });
    assert.deepEqual([celsius, instance], [21.5, `${host}:${port}`]);
    const watched: number[] = [];
    for await (const reading of client.watch({ room: "cellar", readings: 2 })) watched.push(reading.celsius);
    assert.deepEqual(watched, [12, 12.1]);
    await assert.rejects(
      client.read({ room: "attic" }),
      (error) => ConnectError.from(error).code === Code.NotFound && /"attic"/.test(ConnectError.from(error).message),
    );
  });
});

describe("server.ts and client.ts", () => {
  const onEnd = closeAfterEach();

  test("servers are found and called in turn, and leave Consul when told to stop", { timeout }, async () => {
    const consul = await startEmbeddedConsul();
    onEnd(() => consul.close());
    const { agent } = createConsulClient(consul.address);
    const env = { CONSUL_HTTP_ADDR: consul.address };

    const servers = [run("server.ts", env), run("server.ts", { ...env, PORT: "0" })];
    for (const server of servers) onEnd(() => server.kill("SIGKILL"));
    const addresses = await Promise.all(
      servers.map(async (server) => (await readyLine(server)).slice("ready ".length)),
    );
    for await (const { endpoints } of watchService({ consul: consul.address, service: "thermometer" })) {
      if (endpoints.length === servers.length) break;
    }

    const client = run("client.ts", env);
    onEnd(() => client.kill("SIGKILL"));
    const lines = await allLines(client);
    const answered = lines.flatMap((line) => /^kitchen: 21\.5 °C, says (.+)$/.exec(line)?.[1] ?? []);
    assert.deepEqual(answered.slice(0, 2).toSorted(), addresses.toSorted());
    assert.deepEqual(answered.slice(2), answered.slice(0, 2));
    assert.deepEqual(lines.slice(4), ["cellar: 12 °C", "cellar: 12.1 °C", "cellar: 12.2 °C"]);

    const ended = servers.map((server) => once(server, "exit"));
    for (const { pid } of servers) process.kill(Number(pid), "SIGTERM");
    assert.deepEqual(
      (await Promise.all(ended)).map(([code]) => code),
      [0, 0],
    );
    assert.deepEqual(await agent.services(), {});
  });
});

/** Starts a script of this example on the runtime that runs the test. */
function run(script: string, env: Record<string, string>): ChildProcess {
  const runArguments = "deno" in process.versions ? ["run", "-A", "--no-check"] : [];
  const path = fileURLToPath(new URL(`../${script}`, import.meta.url));
  return spawn(process.execPath, [...runArguments, path], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
}

/** What it says when it serves, among the lines of its log. */
async function readyLine({ stdout }: ChildProcess): Promise<string> {
  assert.ok(stdout);
  for await (const line of createInterface(stdout)) if (line.startsWith("ready ")) return line;
  throw new Error("it ended before it was ready");
}

async function allLines({ stdout }: ChildProcess): Promise<string[]> {
  assert.ok(stdout);
  return Array.fromAsync(createInterface(stdout));
}
