// `lictor agent` as a process of its own.

import assert from "node:assert/strict";
import { test } from "node:test";
import { asking } from "../support/contract-agent.ts";
import { spawnScript } from "../support/spawn-command.ts";

const agent = (...args: readonly string[]) => spawnScript("src/cli/main.ts", ["agent", ...args]);

test("agentCommand() prints where it listens, serves, and ends with 0 on SIGTERM and SIGINT", {
  timeout: 60_000,
}, async () => {
  for (const [signal, compat, version] of [
    ["SIGTERM", "1.8", "1.8.7"],
    ["SIGINT", "1.22", "1.22.7"],
  ] as const) {
    await using command = agent("--port", "0", "--compat", compat);
    await command.until(({ lines }) => lines.length > 0);
    const address = /^ready (http:\/\/127\.0\.0\.1:[0-9]+)$/.exec(command.lines[0] ?? "")?.[1];
    assert.ok(address);
    const self = (await asking(address).get("/v1/agent/self")).json<{ Config: { Version: string } }>();
    assert.equal(self.Config.Version, version);
    command.signal(signal);
    assert.equal(await command.exitCode, 0);
    assert.equal(command.stdout, `ready ${address}\n`);
    assert.match(command.stderr, /for demos and tests/);
  }
});

test("agentCommand() ends with 1 and one line when its port is taken", { timeout: 60_000 }, async () => {
  await using first = agent("--port", "0");
  await first.until(({ lines }) => lines.length > 0);
  const port = /:([0-9]+)$/.exec(first.lines[0] ?? "")?.[1] ?? "";
  await using second = agent("--port", port);
  assert.equal(await second.exitCode, 1);
  assert.equal(second.stdout, "");
  assert.equal(second.stderr, `lictor agent: Cannot listen on 127.0.0.1:${port} as the port is in use\n`);
});

test("agentCommand() ends with 2 and one line when a flag is wrong", { timeout: 60_000 }, async () => {
  for (const args of [["--port", "x"], ["--port", "65536"], ["--compat", "1.9"], ["--bogus"], ["extra"]]) {
    await using command = agent(...args);
    assert.equal(await command.exitCode, 2, args.join(" "));
    assert.equal(command.stdout, "");
    assert.match(command.stderr, /^lictor agent: [^\n]+\n$/);
  }
});

test("agentCommand() shows its flags when asked for help", { timeout: 60_000 }, async () => {
  await using command = agent("--help");
  assert.equal(await command.exitCode, 0);
  for (const flag of ["--host", "--port", "--compat", "8500", "127.0.0.1"])
    assert.ok(command.stdout.includes(flag), flag);
});
