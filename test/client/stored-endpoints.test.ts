// A process that starts while Consul is down finds its servers by what another one left in a store; Consul's answer, once it comes, wins.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { createConsulTransport } from "../../src/client/create-consul-transport.ts";
import { createConsulClient } from "../../src/consul/consul-client.ts";
import { fileStore } from "../../src/runtime/file-store.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { agentKinds, type TestAgent } from "../support/agent-kinds.ts";
import { registerInstance, startEchoServer } from "../support/echo-server.ts";
import { eventually } from "../support/eventually.ts";
import { startTcpPeer } from "../support/h2-peer.ts";
import { spawnScript } from "../support/spawn-command.ts";

test("a store that says http cannot talk createConsulTransport({ tls }) out of TLS", async () => {
  const said: number[] = [];
  const peer = await startTcpPeer((socket) => {
    socket.on("error", () => {});
    socket.once("data", (bytes: Uint8Array) => said.push(bytes[0] ?? -1));
  });
  const endpoints = [{ id: "a", url: peer.url, weight: 1, health: "passing", zone: "", tags: [], meta: {} }];
  const store = { load: async () => ({ version: 1, confirmedAtMs: Date.now(), endpoints }), save: async () => {} };
  await using transport = createConsulTransport({ consul: "http://127.0.0.1:1", service: "kept", store, tls: true });
  await assert.rejects(createClient(EchoService, transport).unary({}, { timeoutMs: 300 }));
  assert.deepEqual(said, []);
  assert.equal(transport.status().list, undefined);
  await peer.close();
});

for (const kind of agentKinds) {
  describe(`A store of endpoints, beside the ${kind.name}`, { skip: kind.skip, timeout: 60_000 }, () => {
    let agent: TestAgent;
    let folder: string;
    before(async () => {
      agent = await kind.start();
      folder = await mkdtemp(join(tmpdir(), "stored-endpoints-"));
    });
    after(async () => {
      await agent[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    });

    const run = async () => {
      await using command = spawnScript("test/support/call-stored.ts", [agent.address, "kept", folder]);
      assert.equal(await command.exitCode, 0, command.stderr);
      const [server, source, tookMs] = command.lines.join().split(" ");
      return { server, source, tookMs: Number(tookMs) };
    };

    test("lets a process start while Consul is down, and believes Consul when it is back", async () => {
      await using old = await startEchoServer("old");
      await using young = await startEchoServer("young");
      const consul = createConsulClient(agent.address);
      await registerInstance(consul, { service: "kept", id: "old", port: old.address.port });
      const first = await run();
      assert.deepEqual([first.server, first.source], ["old", "resolver"]);

      await agent.kill();
      const second = await run();
      assert.deepEqual([second.server, second.source], ["old", "store"]);
      assert.ok(second.tookMs < 5000, `${second.tookMs} ms`);

      await using transport = createConsulTransport({ consul, service: "kept", store: fileStore(folder) });
      const client = createClient(EchoService, transport);
      assert.equal((await client.unary({})).server, "old");
      const { list } = transport.status();
      assert.deepEqual([list?.source, list?.isStale, list?.listed], ["store", true, 1]);
      assert.ok(list !== undefined && list.ageMs > 0);

      await agent.revive();
      await registerInstance(consul, { service: "kept", id: "young", port: young.address.port });
      await eventually("the young one answers", async () => (await client.unary({})).server === "young", 30_000);
      // The answer that named the young one alone has ended what was stored.
      await eventually("the old one is out", () => transport.status().endpoints.length === 1, 30_000);
      for (let i = 0; i < 4; i++) assert.equal((await client.unary({})).server, "young");
      assert.equal(transport.status().list?.source, "resolver");
    });

    test("is kept apart by what is asked, and costs nothing where it cannot be written to", async () => {
      await using a = await startEchoServer("a");
      await using b = await startEchoServer("b");
      const consul = createConsulClient(agent.address);
      await registerInstance(consul, { service: "apart-a", id: "a", port: a.address.port });
      await registerInstance(consul, { service: "apart-b", id: "b", port: b.address.port });
      const store = fileStore(folder);
      for (const name of ["a", "b"]) {
        await using transport = createConsulTransport({ consul, service: `apart-${name}`, store });
        assert.equal((await createClient(EchoService, transport).unary({})).server, name);
      }
      await using nowhere = createConsulTransport({ consul, service: "apart-a", store: fileStore("/dev/null/x") });
      assert.equal((await createClient(EchoService, nowhere).unary({})).server, "a");
      await nowhere.close();
      await agent.kill();
      for (const name of ["a", "b"]) {
        await using transport = createConsulTransport({ consul, service: `apart-${name}`, store });
        assert.equal((await createClient(EchoService, transport).unary({})).server, name);
      }
      await agent.revive();
    });
  });
}

describe("createConsulTransport()", () => {
  test("refuses times of stored endpoints where there is no store", () => {
    assert.throws(() => createConsulTransport({ service: "x", storedAfterMs: 5 }), TypeError);
    assert.throws(() => createConsulTransport({ service: "x", store: fileStore("x"), storedMaxAgeMs: -5 }), RangeError);
  });
});
