// Services, health and catalog over raw HTTP: what the embedded agent must answer as a real Consul 1.8.7 does.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { EntryShape, ServiceShape } from "../support/consul-shapes.ts";
import { type ContractAgent, contractKinds } from "../support/contract-agent.ts";

for (const kind of contractKinds) {
  describe(`the ${kind.name}`, { skip: kind.skip }, () => {
    let agent: ContractAgent;
    before(async () => {
      agent = await kind.start();
    });
    after(() => agent?.[Symbol.asyncDispose]());

    const register = async (body: object) => {
      const answer = await agent.put("/v1/agent/service/register", body);
      assert.deepEqual([answer.status, answer.text], [200, ""]);
    };
    const entries = async (path: string) => (await agent.get(`/v1/health/service/${path}`)).json<EntryShape[]>();
    const ids = async (path: string) => (await entries(path)).map((entry) => entry.Service.ID).sort();
    const filtered = (name: string, filter: string) => ids(`${name}?filter=${encodeURIComponent(filter)}`);

    test("fills in what a registration leaves out", async () => {
      await register({ Name: "bare" });
      const [entry] = await entries("bare");
      assert.ok(entry);
      const { Service, Checks, Node } = entry;
      assert.deepEqual(
        [Service.ID, Service.Service, Service.Tags, Service.Address, Service.Port, Service.Meta, Service.Weights],
        ["bare", "bare", [], "", 0, null, { Passing: 1, Warning: 1 }],
      );
      assert.equal(Service.TaggedAddresses, undefined);
      assert.equal(Node.Address, "127.0.0.1");
      assert.equal(Node.Datacenter, "dc1");
      assert.deepEqual(
        Checks.map((check) => [check.CheckID, check.Status, check.ServiceID]),
        [["serfHealth", "passing", ""]],
      );
    });

    test("keeps what a registration says", async () => {
      await register({
        ID: "full-1",
        Name: "full",
        Tags: ["b", "a"],
        Address: "10.1.2.3",
        Port: 8080,
        Meta: { version: "2" },
        Weights: { Passing: 3 },
        TaggedAddresses: { wan: { Address: "9.9.9.9", Port: 5 }, lan_ipv4: { Address: "8.8.8.8", Port: 6 } },
      });
      const [entry] = await entries("full");
      assert.deepEqual(entry?.Service.Tags, ["b", "a"]);
      assert.deepEqual(entry?.Service.Meta, { version: "2" });
      assert.deepEqual(entry?.Service.Weights, { Passing: 3, Warning: 0 });
      assert.deepEqual(entry?.Service.TaggedAddresses, {
        lan_ipv4: { Address: "8.8.8.8", Port: 6 },
        wan: { Address: "9.9.9.9", Port: 5 },
        wan_ipv4: { Address: "10.1.2.3", Port: 8080 },
      });
    });

    test("adds tagged addresses only to a literal IP without brackets", async () => {
      await register({ Name: "v6", Address: "fe80::1", Port: 7 });
      await register({ Name: "v6-brackets", Address: "[fe80::1]", Port: 7 });
      await register({ Name: "hostname", Address: "example.test", Port: 7 });
      const own = { Address: "fe80::1", Port: 7 };
      const services = (await agent.get("/v1/agent/services")).json<Record<string, ServiceShape>>();
      assert.deepEqual(services.v6?.TaggedAddresses, { lan_ipv6: own, wan_ipv6: own });
      assert.equal(services["v6-brackets"]?.TaggedAddresses, undefined);
      assert.equal(services.hostname?.TaggedAddresses, undefined);
    });

    test("lists its own services, and one of them with a hash", async () => {
      await register({ ID: "own-1", Name: "own", Port: 9 });
      const services = (await agent.get("/v1/agent/services")).json<Record<string, ServiceShape>>();
      assert.deepEqual([services["own-1"]?.Service, services["own-1"]?.Port, services["own-1"]?.Meta], ["own", 9, {}]);
      assert.equal(services.consul, undefined);
      const one = await agent.get("/v1/agent/service/own-1");
      const { ContentHash, Service } = one.json<{ ContentHash: string; Service: string }>();
      assert.equal(Service, "own");
      assert.equal(one.headers["x-consul-contenthash"], ContentHash);
      const none = await agent.get("/v1/agent/service/own-2");
      assert.deepEqual([none.status, none.text], [404, "unknown service ID: own-2"]);
      assert.deepEqual(Object.keys((await agent.get("/v1/agent/services?filter=Service%20%3D%3D%20own")).json()), [
        "own-1",
      ]);
    });

    test("deregisters a service with its checks, and an unknown one as well", async () => {
      await register({ Name: "leaving", Check: { CheckID: "leaving-check", TTL: "60s" } });
      for (let times = 0; times < 2; times++) {
        const answer = await agent.put("/v1/agent/service/deregister/leaving");
        assert.deepEqual([answer.status, answer.text], [200, ""]);
      }
      assert.deepEqual(await entries("leaving"), []);
      assert.equal((await agent.get("/v1/agent/checks")).text.includes("leaving-check"), false);
      assert.deepEqual((await agent.get("/v1/health/checks/leaving")).json(), []);
      const nameless = await agent.put("/v1/agent/service/deregister/");
      assert.deepEqual([nameless.status, nameless.text], [500, "ServiceID missing"]);
    });

    test("takes names of services without regard to case, and in the catalog their ids too", async () => {
      await register({ ID: "case-a", Name: "CaseName" });
      await register({ ID: "Case-A", Name: "casename" });
      await register({ ID: "case-b", Name: "CASENAME" });
      // One entry for both, in the spelling that the agent brought to the catalog last; a full sync may change it.
      assert.deepEqual((await ids("CASEname")).map((id) => id.toLowerCase()).sort(), ["case-a", "case-b"]);
      const own = (await agent.get("/v1/agent/services")).json<Record<string, ServiceShape>>();
      assert.deepEqual([own["case-a"]?.Service, own["Case-A"]?.Service], ["CaseName", "casename"]);
    });

    test("moves an id from one name to another", async () => {
      await register({ ID: "mover", Name: "from" });
      await register({ ID: "mover", Name: "to" });
      assert.deepEqual(await ids("from"), []);
      assert.deepEqual(await ids("to"), ["mover"]);
    });

    test("filters by tags, all of which must be there in any case", async () => {
      await register({ ID: "tag-1", Name: "tagged", Tags: ["One", "two"] });
      await register({ ID: "tag-2", Name: "tagged", Tags: ["one"] });
      assert.deepEqual(await ids("tagged?tag=one"), ["tag-1", "tag-2"]);
      assert.deepEqual(await ids("tagged?tag=ONE&tag=Two"), ["tag-1"]);
      assert.deepEqual(await ids("tagged?tag=three"), []);
      assert.deepEqual(await ids("tagged?tag="), []);
      const catalog = await agent.get("/v1/catalog/service/tagged?tag=two");
      assert.deepEqual(
        catalog.json<{ ServiceID: string }[]>().map((entry) => entry.ServiceID),
        ["tag-1"],
      );
    });

    test("shows only passing instances when asked to, where no check counts as passing", async () => {
      await register({ ID: "p-none", Name: "passing" });
      await register({ ID: "p-ttl", Name: "passing", Check: { TTL: "600s" } });
      await register({ ID: "p-warn", Name: "passing", Check: { TTL: "600s", Status: "warning" } });
      await register({ ID: "p-both", Name: "passing", Checks: [{ TTL: "600s", Status: "passing" }, { TTL: "600s" }] });
      await register({ ID: "p-pass", Name: "passing", Check: { TTL: "600s", Status: "passing" } });
      for (const value of ["passing", "passing=", "passing=true", "passing=1"]) {
        assert.deepEqual(await ids(`passing?${value}`), ["p-none", "p-pass"]);
      }
      assert.equal((await ids("passing?passing=false")).length, 5);
      const bad = await agent.get("/v1/health/service/passing?passing=bogus");
      assert.deepEqual([bad.status, bad.text], [400, "Invalid value for ?passing"]);
    });

    test("answers passing instances in another order than all of them", async () => {
      for (const id of ["o1", "o2", "o3", "o4"]) {
        const Status = id === "o1" ? "critical" : "passing";
        await register({ ID: id, Name: "order", Check: { TTL: "600s", Status } });
      }
      const order = async (query: string) => (await entries(`order${query}`)).map((entry) => entry.Service.ID);
      assert.deepEqual(await order(""), ["o1", "o2", "o3", "o4"]);
      assert.deepEqual(await order("?passing"), ["o4", "o2", "o3"]);
    });

    test("evaluates filters", async () => {
      await register({ ID: "f1", Name: "filtered", Tags: ["a", "b"], Port: 1, Meta: { version: "2" } });
      await register({ ID: "f2", Name: "filtered", Tags: ["B"], Port: 2, Check: { TTL: "600s" } });
      const both = ["f1", "f2"];
      const cases: readonly (readonly [filter: string, expected: readonly string[]])[] = [
        ["", both],
        ['Service.Meta.version == "2"', ["f1"]],
        ["Service.Meta.version == 2", ["f1"]],
        ["Service.Meta.version != 2", ["f2"]],
        ['Service.Meta["version"] == `2`', ["f1"]],
        ['"version" in Service.Meta', ["f1"]],
        ["Service.Meta is empty", ["f2"]],
        ['"a" in Service.Tags', ["f1"]],
        ['"a" not in Service.Tags', ["f2"]],
        ["Service.Tags contains B", ["f2"]],
        ["Service.Tags not contains B", ["f1"]],
        ['not "a" in Service.Tags', ["f2"]],
        ["Service.Port == 1", ["f1"]],
        ["Service.ID == f1 or Service.ID == f2 and Service.Port == 9", ["f1"]],
        ["(Service.ID == f1 or Service.ID == f2) and Service.Port != 1", ["f2"]],
        ["not (Service.ID == f1)", ["f2"]],
        ['Checks.Status == "critical"', ["f2"]],
        ['Checks.Status == "passing"', both],
        ["Checks is not empty", both],
        ["Service.Weights.Passing == 1 and Service.EnableTagOverride == false", both],
        ['"f" in Service.ID', both],
        ["Node.Datacenter == dc1", both],
      ];
      for (const [filter, expected] of cases) assert.deepEqual(await filtered("filtered", filter), expected, filter);
    });

    test("refuses filters that it cannot evaluate, with the index 1", async () => {
      await register({ ID: "f1", Name: "filtered" });
      const evaluator = "Failed to create boolean expression evaluator: ";
      const cases: readonly (readonly [filter: string, text: string])[] = [
        ["bogus", "1:6 (5): no match found"],
        ["Service.ID == f1 and", ""],
        ["  ", ""],
        ['Service.Bogus == "1"', 'Selector "Service.Bogus" is not valid'],
        ["service.id == f1", 'Selector "service" is not valid'],
        ["ID == f1", 'Selector "ID" is not valid'],
        [
          "Service.Port == x",
          'Failed to coerce value "x" for selector "Service.Port": strconv.ParseInt: parsing "x": invalid syntax',
        ],
        ["Service.Port is empty", 'Invalid match operator "Is Empty" for selector "Service.Port"'],
        ['Service.Tags == "a"', 'Invalid match operator "Equal" for selector "Service.Tags"'],
        ["Service.Address is not empty", 'Invalid match operator "Is Not Empty" for selector "Service.Address"'],
        ["NOT Service.ID == f1", ""],
        ['"v2 in Service.Tags', ""],
      ];
      for (const [filter, text] of cases) {
        const answer = await agent.get(`/v1/health/service/filtered?filter=${encodeURIComponent(filter)}`);
        assert.equal(answer.status, 500, filter);
        assert.ok(answer.text.startsWith(evaluator + text), `${filter}: ${answer.text}`);
        assert.equal(answer.index, 1, filter);
      }
    });

    test("lists catalog services with the tags of all instances", async () => {
      await register({ ID: "c1", Name: "cataloged", Tags: ["x", "y"] });
      await register({ ID: "c2", Name: "cataloged", Tags: ["y", "z"], Address: "10.0.0.1", Port: 5 });
      const services = (await agent.get("/v1/catalog/services")).json<Record<string, string[]>>();
      assert.deepEqual(services.cataloged?.toSorted(), ["x", "y", "z"]);
      assert.deepEqual(services.consul, []);
      const found = (await agent.get("/v1/catalog/service/cataloged")).json<Record<string, unknown>[]>();
      const shown = found.map(({ ServiceID, ServicePort, ServiceAddress, ServiceMeta }) => [
        ServiceID,
        ServicePort,
        ServiceAddress,
        ServiceMeta,
      ]);
      assert.deepEqual(shown, [
        ["c1", 0, "", {}],
        ["c2", 5, "10.0.0.1", {}],
      ]);
      assert.deepEqual((await agent.get("/v1/catalog/service/nope")).json(), []);
      assert.deepEqual((await agent.get("/v1/catalog/datacenters")).json(), ["dc1"]);
      assert.equal((await agent.get("/v1/catalog/nodes")).json<unknown[]>().length, 1);
    });

    test("knows its leader, its peers and itself", async () => {
      const leader = (await agent.get("/v1/status/leader")).json<string>();
      assert.match(leader, /^127\.0\.0\.1:[0-9]+$/);
      assert.deepEqual((await agent.get("/v1/status/peers")).json(), [leader]);
      const self = (await agent.get("/v1/agent/self")).json<{
        Config: Record<string, unknown>;
        Member: { Name: string };
      }>();
      assert.equal(self.Config.Datacenter, "dc1");
      assert.equal(self.Config.Version, "1.8.7");
      assert.equal(self.Member.Name, self.Config.NodeName);
    });

    test("answers reads with headers that say how good they are", async () => {
      const answer = await agent.get("/v1/health/service/consul");
      assert.equal(answer.headers["content-type"], "application/json");
      assert.equal(answer.headers["x-consul-knownleader"], "true");
      assert.equal(answer.headers["x-consul-lastcontact"], "0");
      assert.ok(answer.index > 1);
      assert.equal((await agent.get("/v1/health/service/consul?stale")).status, 200);
      assert.equal((await agent.get("/v1/health/service/consul?consistent")).status, 200);
      assert.equal((await agent.get("/v1/health/service/consul?near=_agent")).status, 200);
      assert.ok((await agent.get("/v1/health/service/consul?cached")).headers["x-cache"]);
    });

    test("answers 405 and what it allows when the method is wrong", async () => {
      const cases = [
        ["GET", "/v1/agent/service/register", "OPTIONS,PUT"],
        ["POST", "/v1/agent/service/register", "OPTIONS,PUT"],
        ["PUT", "/v1/health/service/x", "OPTIONS,GET"],
        ["GET", "/v1/agent/check/pass/x", "OPTIONS,PUT"],
        ["POST", "/v1/kv/x", "OPTIONS,GET,PUT,DELETE"],
      ] as const;
      for (const [method, path, allow] of cases) {
        const answer = await agent.ask(method, path);
        assert.deepEqual(
          [answer.status, answer.headers.allow, answer.text],
          [405, allow, `method ${method} not allowed`],
        );
      }
      const options = await agent.ask("OPTIONS", "/v1/kv/x");
      assert.deepEqual([options.status, options.headers.allow, options.text], [200, "OPTIONS,GET,PUT,DELETE", ""]);
    });

    test("answers 404 with an empty body when there is no such path, and 301 when it is nearly one", async () => {
      for (const path of ["/nope", "/v1/", "/v1/nope"]) {
        const answer = await agent.get(path);
        assert.deepEqual([answer.status, answer.text], [404, ""]);
      }
      for (const [path, location] of [
        ["/v1/kv", "/v1/kv/"],
        ["//v1/health/service/x", "/v1/health/service/x"],
      ] as const) {
        const answer = await agent.get(path);
        assert.deepEqual([answer.status, answer.headers.location], [301, location]);
      }
    });

    const badReads: readonly (readonly [path: string, status: number, text: string, index: number])[] = [
      ["/v1/health/service/x?index=abc", 400, "Invalid index", Number.NaN],
      ["/v1/health/service/x?index=-1", 400, "Invalid index", Number.NaN],
      ["/v1/health/service/x?index=99999999999999999999", 400, "Invalid index", Number.NaN],
      ["/v1/health/service/x?wait=5", 400, "Invalid wait time", Number.NaN],
      ["/v1/health/service/x?wait=abc", 400, "Invalid wait time", Number.NaN],
      [
        "/v1/health/service/x?stale&consistent",
        400,
        "Cannot specify ?stale with ?consistent, conflicting semantics.",
        Number.NaN,
      ],
      ["/v1/health/service/x?dc=nope", 500, "No path to datacenter", 1],
      ["/v1/catalog/services?dc=nope", 500, "No path to datacenter", 1],
      ["/v1/kv/x?dc=nope", 500, "No path to datacenter", Number.NaN],
      ["/v1/status/leader?dc=nope", 500, "No path to datacenter", Number.NaN],
      ["/v1/health/service/", 400, "Missing service name", Number.NaN],
      ["/v1/health/checks/", 400, "Missing service name", Number.NaN],
      ["/v1/health/node/", 400, "Missing node name", Number.NaN],
      ["/v1/health/state/", 400, "Missing check state", Number.NaN],
      ["/v1/catalog/service/", 400, "Missing service name", Number.NaN],
      [
        "/v1/health/service/x?ns=default",
        400,
        'Bad request: Invalid query parameter: "ns" - Namespaces are a Consul Enterprise feature',
        Number.NaN,
      ],
    ];
    for (const [path, status, text, index] of badReads) {
      test(`answers ${status} when asked for ${path}`, async () => {
        const answer = await agent.get(path);
        assert.deepEqual([answer.status, answer.text, answer.index], [status, text, index]);
      });
    }
  });
}
