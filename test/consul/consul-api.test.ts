// The client's methods against whole agents: what it sends is understood, and what it says of the answers is so.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { followQuery } from "../../src/consul/blocking-query.ts";
import { type ConsulClient, createConsulClient } from "../../src/consul/consul-client.ts";
import { ConsulError, isUnknownCheck } from "../../src/consul/consul-error.ts";
import { compareIndex } from "../../src/consul/consul-index.ts";
import { agentKinds, type TestAgent } from "../support/agent-kinds.ts";
import { realConsulSkip, startConsul } from "../support/consul-agent.ts";
import { until } from "../support/eventually.ts";

for (const kind of agentKinds) {
  describe(`with the ${kind.name}`, { skip: kind.skip }, () => {
    let agent: TestAgent | undefined;
    let consul: ConsulClient;

    before(async () => {
      agent = await kind.start();
      consul = createConsulClient(agent.address);
    });
    after(async () => {
      await agent?.[Symbol.asyncDispose]();
    });

    const statusOf = async (checkId: string) => (await consul.agent.checks())[checkId]?.Status;

    test("agent registers, reads and deregisters a service with its check", async () => {
      const { agent, health, catalog } = consul;
      const ID = "127.0.0.1:10000:life";
      await agent.registerService({
        ID,
        Name: "life",
        Tags: ["a", "b"],
        Address: "127.0.0.1",
        Port: 10_000,
        Meta: { version: "2" },
        Weights: { Passing: 3, Warning: 1 },
        Check: { CheckID: `service:${ID}`, TTL: "20s", DeregisterCriticalServiceAfter: "10m" },
      });
      const service = await agent.service(ID);
      assert.deepEqual(
        [service?.ID, service?.Service, service?.Tags, service?.Meta, service?.Port, service?.Address],
        [ID, "life", ["a", "b"], { version: "2" }, 10_000, "127.0.0.1"],
      );
      assert.deepEqual(service?.Weights, { Passing: 3, Warning: 1 });
      assert.equal((await agent.services())[ID]?.Service, "life");
      assert.deepEqual((await catalog.services()).life?.toSorted(), ["a", "b"]);

      assert.deepEqual((await health.service("life", { passing: true })).data, []);
      await agent.passCheck(`service:${ID}`, { note: "fine & well" });
      const { data, index, knownLeader } = await health.service("life", { passing: true, tags: ["a", "b"] });
      assert.equal(data.length, 1);
      assert.equal(data[0]?.Service.ID, ID);
      assert.ok(data[0]?.Node.Node);
      assert.equal(knownLeader, true);
      assert.ok(index !== undefined && compareIndex(index, "1") > 0);
      assert.deepEqual((await health.service("life", { tags: ["a", "c"] })).data, []);
      const check = (await health.checks("life")).data[0];
      assert.deepEqual([check?.CheckID, check?.Status, check?.Output], [`service:${ID}`, "passing", "fine & well"]);

      await agent.deregisterService(ID);
      assert.equal(await agent.service(ID), undefined);
      assert.deepEqual((await health.service("life")).data, []);
      await agent.deregisterService(ID);
    });

    test("agent moves a check through every status", async () => {
      const { agent } = consul;
      await agent.registerService({ Name: "moves", Check: { CheckID: "moves-check", TTL: "20s" } });
      assert.equal(await statusOf("moves-check"), "critical");
      await agent.passCheck("moves-check");
      assert.equal(await statusOf("moves-check"), "passing");
      await agent.warnCheck("moves-check", { note: "hot" });
      assert.equal(await statusOf("moves-check"), "warning");
      await agent.failCheck("moves-check");
      assert.equal(await statusOf("moves-check"), "critical");
      await agent.updateCheck("moves-check", { status: "warning", output: "ünïcode ☃" });
      const check = (await agent.checks())["moves-check"];
      assert.deepEqual([check?.Status, check?.Output], ["warning", "ünïcode ☃"]);
      await agent.deregisterService("moves");
    });

    test("agent registers a check of its own and replaces checks on request", async () => {
      const { agent } = consul;
      await agent.registerService({ Name: "checked" });
      await agent.registerCheck({ ID: "own", Name: "own", ServiceID: "checked", TTL: "20s", Status: "passing" });
      assert.equal(await statusOf("own"), "passing");
      await agent.registerService({ Name: "checked", Check: { CheckID: "new", TTL: "20s" } });
      assert.equal(await statusOf("own"), "passing");
      await agent.registerService(
        { Name: "checked", Check: { CheckID: "new", TTL: "20s" } },
        { replaceExistingChecks: true },
      );
      assert.equal(await statusOf("own"), undefined);
      assert.equal(await statusOf("new"), "critical");
      await agent.deregisterCheck("new");
      assert.equal(await statusOf("new"), undefined);
      await agent.deregisterCheck("new");
      await agent.deregisterService("checked");
    });

    test("agent puts a service in maintenance and out of it", async () => {
      const { agent, health } = consul;
      await agent.registerService({ Name: "upkeep" });
      await agent.serviceMaintenance("upkeep", true, { reason: "new disks & cables" });
      assert.deepEqual((await health.service("upkeep", { passing: true })).data, []);
      const check = (await agent.checks())["_service_maintenance:upkeep"];
      assert.deepEqual([check?.Status, check?.Notes], ["critical", "new disks & cables"]);
      await agent.serviceMaintenance("upkeep", false);
      assert.equal((await health.service("upkeep", { passing: true })).data.length, 1);
      await agent.deregisterService("upkeep");
    });

    test("agent takes names and ids that a path would read otherwise", async () => {
      const { agent, health } = consul;
      const ID = "a/b c?d#e%f:ü";
      await agent.registerService({ ID, Name: "odd name/x", Check: { CheckID: `check ${ID}`, TTL: "20s" } });
      await agent.passCheck(`check ${ID}`);
      assert.equal((await agent.service(ID))?.ID, ID);
      assert.equal((await health.service("odd name/x", { passing: true })).data[0]?.Service.ID, ID);
      await agent.deregisterService(ID);
      assert.deepEqual((await health.service("odd name/x")).data, []);
    });

    test("agent tells of itself, catalog and status of the cluster", async () => {
      const self = await consul.agent.self();
      assert.ok("Config" in self);
      assert.deepEqual(await consul.catalog.datacenters(), ["dc1"]);
      assert.match(await consul.status.leader(), /^127\.0\.0\.1:[0-9]+$/);
      assert.equal((await consul.status.peers()).length, 1);
    });

    test("errors carry Consul's own text", async () => {
      await assert.rejects(consul.agent.registerService({ Name: "" }), (error) => {
        assert.ok(error instanceof ConsulError);
        assert.deepEqual([error.code, error.status, error.text], ["http", 400, "Missing service name"]);
        return true;
      });
      await assert.rejects(consul.agent.passCheck("nobody"), (error) => isUnknownCheck(error));
      await assert.rejects(consul.health.service("x", { datacenter: "nowhere" }), /No path to datacenter/);
    });

    test("kv writes, reads, lists and deletes", async () => {
      const { kv } = consul;
      const bytes = Uint8Array.from({ length: 256 }, (_, byte) => byte);
      assert.equal((await kv.get("none")).data, undefined);
      assert.equal(await kv.put("t/bytes ü?", bytes, { flags: 42 }), true);
      assert.equal(await kv.put("t/text", "☃"), true);
      assert.equal(await kv.put("t/empty", ""), true);
      const { data, index } = await kv.get("t/bytes ü?");
      assert.deepEqual(data?.value, bytes);
      assert.deepEqual([data?.key, data?.flags, data?.session], ["t/bytes ü?", 42, undefined]);
      assert.equal(index, String(data?.modifyIndex));
      assert.equal(new TextDecoder().decode((await kv.get("t/text")).data?.value), "☃");
      assert.deepEqual((await kv.get("t/empty")).data?.value, new Uint8Array());
      const keys = async (prefix: string) => (await kv.list(prefix)).data.map(({ key }) => key);
      assert.deepEqual(await keys("t/"), ["t/bytes ü?", "t/empty", "t/text"]);
      assert.deepEqual(await keys("t/nothing"), []);
      assert.equal(await kv.delete("t/empty"), true);
      assert.equal(await kv.delete("t/empty"), true);
      assert.deepEqual(await keys("t/"), ["t/bytes ü?", "t/text"]);
      assert.equal(await kv.delete("t/", { recurse: true }), true);
      assert.deepEqual(await keys("t/"), []);
    });

    test("kv writes and deletes only what is unchanged when `cas` says so", async () => {
      const { kv } = consul;
      assert.equal(await kv.put("cas", "1", { cas: 0 }), true);
      assert.equal(await kv.put("cas", "2", { cas: 0 }), false);
      const cas = (await kv.get("cas")).data?.modifyIndex ?? 0;
      assert.equal(await kv.put("cas", "3", { cas: cas + 1000 }), false);
      assert.equal(await kv.put("cas", "3", { cas }), true);
      assert.equal(await kv.delete("cas", { cas }), false);
      const now = (await kv.get("cas")).data?.modifyIndex ?? 0;
      assert.equal(await kv.delete("cas", { cas: now }), true);
      assert.equal((await kv.get("cas")).data, undefined);
    });

    test("kv.watch() tells what a key holds, from the first value on", async () => {
      const { kv } = consul;
      const values: (string | undefined)[] = [];
      for await (const entry of kv.watch("watched")) {
        values.push(entry && new TextDecoder().decode(entry.value));
        if (values.length === 1) await kv.put("watched", "one");
        if (values.length === 2) await kv.put("watched", "two");
        if (values.length === 3) await kv.delete("watched");
        if (values.length === 4) break;
      }
      assert.deepEqual(values, [undefined, "one", "two", undefined]);
    });

    test("a blocking read ends at once when it is aborted", async () => {
      const { index = "" } = await consul.health.service("quiet");
      const controller = new AbortController();
      const reading = consul.health.service("quiet", { index, waitMs: 2000, signal: controller.signal });
      const reason = new Error("enough");
      setImmediate(() => controller.abort(reason));
      await assert.rejects(reading, (error) => error === reason);
    });

    test("followQuery() follows a service through changes and the loss of the agent", async () => {
      const reports: string[] = [];
      let errors = 0;
      const query = followQuery<string>({
        read: async (read) => {
          const { data, ...rest } = await consul.health.service("followed", { ...read, passing: true });
          return { ...rest, data: data.map(({ Service }) => Service.ID).join() };
        },
        same: Object.is,
        onResult: ({ data }, changed) => {
          if (changed) reports.push(data);
        },
        onError: () => {
          errors++;
        },
      });
      try {
        await until(() => reports.length === 1);
        await consul.agent.registerService({ ID: "f1", Name: "followed", Check: { CheckID: "f1", TTL: "20s" } });
        await consul.agent.passCheck("f1");
        await until(() => reports.at(-1) === "f1");
        await consul.agent.registerService({ ID: "f2", Name: "followed" });
        await until(() => reports.at(-1) === "f1,f2");
        await consul.agent.failCheck("f1");
        await until(() => reports.at(-1) === "f2");
        await agent?.kill();
        await until(() => errors > 0);
        await agent?.revive();
        await until(() => reports.at(-1) === "");
        await consul.agent.registerService({ ID: "f3", Name: "followed" });
        await until(() => reports.at(-1) === "f3");
        assert.deepEqual(reports, ["", "f1", "f1,f2", "f2", "", "f3"]);
      } finally {
        query.close();
      }
    });
  });
}

describe("with ACLs that deny", { skip: realConsulSkip }, () => {
  test("a client is refused without a token and served with one", async () => {
    await using agent = await startConsul({ acl: true });
    const { managementToken: token = "" } = agent;
    const stranger = createConsulClient(agent.address);
    const owner = createConsulClient({ address: agent.address, token: () => token });
    await assert.rejects(stranger.agent.registerService({ Name: "web" }), (error) => {
      assert.ok(error instanceof ConsulError);
      assert.equal(error.status, 403);
      assert.match(error.text ?? "", /^Permission denied/);
      return true;
    });
    const wrong = createConsulClient({ address: agent.address, token: "00000000-0000-4000-8000-000000000000" });
    await assert.rejects(wrong.health.service("web"), /answered 403: ACL not found$/);
    await owner.agent.registerService({ Name: "web", Check: { CheckID: "web", TTL: "20s" } });
    await owner.agent.passCheck("web");
    assert.equal((await owner.health.service("web", { passing: true })).data.length, 1);
    // Too weak to read is no error: the list is empty.
    assert.deepEqual((await stranger.health.service("web")).data, []);
    await assert.rejects(owner.agent.passCheck("nobody"), (error) => isUnknownCheck(error));
    await owner.agent.deregisterService("nobody");
    await owner.agent.deregisterCheck("nobody");
  });
});
