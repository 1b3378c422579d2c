import assert from "node:assert/strict";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import process from "node:process";
import { after, before, describe, test } from "node:test";
import { createConsulClient } from "../../src/consul/consul-client.ts";
import { type EmbeddedConsul, startEmbeddedConsul } from "../../src/testing/embedded-consul.ts";
import { eventually } from "../support/eventually.ts";
import { type SpawnedCommand, spawnScript } from "../support/spawn-command.ts";

const timeout = 90_000;
const skip = process.platform === "linux" ? false : "finds the servers' process through /proc";

interface DemoResult {
  consul: string;
  calls: number;
  failures: number;
  servers: Record<string, number>;
}

/** The one line of `--json`, with its sum checked. */
function result(demo: SpawnedCommand): DemoResult {
  assert.equal(demo.lines.length, 1, demo.stdout);
  assert.ok(demo.stdout.endsWith("}\n"));
  const parsed: DemoResult = JSON.parse(demo.stdout);
  assert.deepEqual(Object.keys(parsed), ["consul", "calls", "failures", "servers"]);
  const answered = Object.values(parsed.servers).reduce((sum, calls) => sum + calls, 0);
  assert.equal(answered + parsed.failures, parsed.calls);
  return parsed;
}

describe("lictor demo", () => {
  // Stands for the agent that a user has: what matters here is that the demo did not start it.
  let consul: EmbeddedConsul;
  before(async () => {
    consul = await startEmbeddedConsul();
  });
  after(() => consul.close());
  const registered = async () => Object.values(await createConsulClient(consul.address).agent.services());

  test("lictor demo --json counts calls of servers that come and go, and leaves Consul clean", {
    timeout,
  }, async () => {
    await using demo = spawnScript("src/cli/main.ts", ["demo", "me", "--for=3s", "--json", "--fault-interval=1s"], {
      env: { CONSUL_HTTP_ADDR: consul.address },
    });
    assert.equal(await demo.exitCode, 0, demo.stderr);
    const { consul: kind, calls, failures, servers } = result(demo);
    assert.equal(kind, "real");
    // Four callers, each every 50 ms, make 240 in 3 s; a busy machine makes fewer.
    assert.ok(calls > 60 && calls <= 248, `${calls} calls`);
    assert.ok(failures < calls / 2, `${failures} failures`);
    assert.ok(Object.keys(servers).length >= 3, JSON.stringify(servers));
    for (const address of Object.keys(servers)) assert.match(address, /^127\.0\.0\.1:[0-9]+$/);
    assert.match(demo.stderr, /Consul is the agent at http:\/\/127\.0\.0\.1:[0-9]+/);
    assert.match(demo.stderr, /\+ 127\.0\.0\.1:[0-9]+ came/);
    assert.match(demo.stderr, /- 127\.0\.0\.1:[0-9]+ went/);
    assert.deepEqual(await registered(), []);
  });

  test("lictor demo-servers ends by itself where its port is taken, while its parent holds its stdin", {
    timeout,
  }, async () => {
    await using taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as AddressInfo;
    await using servers = spawnScript(
      "src/cli/main.ts",
      ["demo-servers", `--port=${port}`, "--service=Taken", `--consul=${consul.address}`],
      { stdin: "pipe" },
    );
    assert.equal(await servers.exitCode, 1, servers.stderr);
    assert.match(servers.stderr, /Cannot listen on 127\.0\.0\.1:\d+ as the port is in use/);
  });

  test("lictor demo answers calls on an agent of its own, and ends with a summary on Ctrl-C", { timeout }, async () => {
    const startMs = performance.now();
    await using demo = spawnScript("src/cli/main.ts", ["demo"]);
    await demo.until(({ stdout }) => /calls [1-9][0-9]* {2}failures/.test(stdout), 15_000);
    const startedMs = performance.now() - startMs;
    assert.ok(startedMs < 10_000, `${startedMs} ms`);
    demo.signal("SIGINT");
    assert.equal(await demo.exitCode, 0, demo.stderr);
    assert.match(demo.stdout, /^lictor demo: Consul is (embedded|the agent) at http:\/\/127\.0\.0\.1:[0-9]+\n/);
    assert.match(demo.stdout, /[0-9.]+ s: [1-9][0-9]* calls, [0-9]+ failed, [1-9] servers? answered\n/);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: none may be there.
    assert.doesNotMatch(demo.stdout, /\u001b/);
  });

  test("lictor demo stops its servers gracefully when Ctrl-C reaches them too", { timeout, skip }, async () => {
    await using demo = spawnScript("src/cli/main.ts", ["demo", `--consul=${consul.address}`]);
    await demo.until(({ stdout }) => /calls [1-9][0-9]* {2}failures/.test(stdout));
    // As a terminal does it: every process gets the signal, and none may take the other's care for a second one.
    process.kill(onlyChild(demo.process.pid), "SIGINT");
    demo.signal("SIGINT");
    assert.equal(await demo.exitCode, 0, demo.stderr);
    assert.doesNotMatch(demo.stdout, /did not stop cleanly|ended by itself/);
    assert.match(demo.stdout, /[0-9.]+ s: [1-9][0-9]* calls/);
    assert.deepEqual(await registered(), []);
  });

  test("lictor demo takes its servers out of Consul even when it is killed", { timeout }, async () => {
    await using demo = spawnScript("src/cli/main.ts", ["demo", `--consul=${consul.address}`]);
    await demo.until(({ stdout }) => /calls [1-9][0-9]* {2}failures/.test(stdout));
    assert.ok((await registered()).length >= 1);
    demo.signal("SIGKILL");
    await eventually("out of Consul", async () => (await registered()).length === 0, 20_000);
  });

  test("lictor demo ends quietly and cleanly when its reader goes away", { timeout }, async () => {
    await using demo = spawnScript("src/cli/main.ts", ["demo", `--consul=${consul.address}`]);
    await demo.until(({ stdout }) => /calls [1-9][0-9]* {2}failures/.test(stdout));
    demo.process.stdout?.destroy();
    assert.equal(await demo.exitCode, 0, demo.stderr);
    assert.deepEqual(await registered(), []);
  });

  test("lictor demo ends with one line and 1 when the agent that was named does not answer", { timeout }, async () => {
    await using named = spawnScript("src/cli/main.ts", ["demo"], { env: { CONSUL_HTTP_ADDR: "127.0.0.1:1" } });
    assert.equal(await named.exitCode, 1);
    assert.equal(named.stdout, "");
    assert.match(named.stderr, /^lictor demo: no Consul agent answers at http:\/\/127\.0\.0\.1:1: [^\n]+\n$/);
  });

  test("lictor demo ends by itself when its servers' process dies", {
    timeout,
    skip: process.platform !== "linux",
  }, async () => {
    await using demo = spawnScript("src/cli/main.ts", ["demo", "--json", `--consul=${consul.address}`]);
    await demo.until(({ stderr }) => /calls [1-9][0-9]* {2}failures/.test(stderr));
    process.kill(onlyChild(demo.process.pid), "SIGKILL");
    assert.equal(await demo.exitCode, 0);
    assert.ok(result(demo).calls > 0);
    assert.match(demo.stderr, /the servers' process ended by itself: killed by SIGKILL/);
    // Killed servers cannot deregister: only the agent's reaper can.
    const { agent } = createConsulClient(consul.address);
    for (const { ID } of await registered()) await agent.deregisterService(ID);
  });

  test("lictor demo refuses wrong flags with one line and 2", { timeout }, async () => {
    await using demo = spawnScript("src/cli/main.ts", ["demo", "--for=40"]);
    assert.equal(await demo.exitCode, 2);
    assert.match(demo.stderr, /^lictor demo: --for must be a duration[^\n]*\n$/);
  });
});

/** The process that this one has started. */
function onlyChild(pid: number | undefined): number {
  for (const entry of readdirSync("/proc").filter((name) => /^[0-9]+$/.test(name))) {
    try {
      const [, parent] = /^\d+ \(.*\) \S (\d+)/s.exec(readFileSync(`/proc/${entry}/stat`, "utf8")) ?? [];
      if (Number(parent) === pid) return Number(entry);
    } catch {
      // Ended while we looked.
    }
  }
  throw new Error(`process ${pid} has no child`);
}
