// Checks over raw HTTP: TTLs, reports, maintenance, and what a second registration does to them. Embedded agent and real 1.8.7.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import type { CheckShape, EntryShape } from "../support/consul-shapes.ts";
import { type ContractAgent, contractKinds } from "../support/contract-agent.ts";
import { until } from "../support/eventually.ts";

for (const kind of contractKinds) {
  describe(`the ${kind.name}`, { skip: kind.skip }, () => {
    let agent: ContractAgent;
    before(async () => {
      agent = await kind.start();
    });
    after(() => agent?.[Symbol.asyncDispose]());

    const ok = async (path: string, body?: unknown) => {
      const answer = await agent.put(path, body);
      assert.deepEqual([answer.status, answer.text], [200, ""], path);
    };
    const register = (body: object, query = "") => ok(`/v1/agent/service/register${query}`, body);
    const ownChecks = async () => (await agent.get("/v1/agent/checks")).json<Record<string, CheckShape>>();
    const checks = async (name: string) => (await agent.get(`/v1/health/checks/${name}`)).json<CheckShape[]>();
    const statuses = async (name: string) => (await checks(name)).map((check) => [check.CheckID, check.Status]);
    const refused = async (path: string, body: unknown, status: number, text: string) => {
      const answer = await agent.put(path, body);
      assert.deepEqual([answer.status, answer.text], [status, text], path);
    };

    test("names checks of a service when the registration does not", async () => {
      await register({ ID: "n1", Name: "named", Tags: ["t"], Check: { TTL: "600s" } });
      await register({
        ID: "n2",
        Name: "named",
        Checks: [
          { TTL: "600s", Name: "first", Notes: "n" },
          { TTL: "600s", CheckID: "own", Status: "passing" },
        ],
      });
      const found = (await checks("named")).map((check) => [
        check.CheckID,
        check.Name,
        check.Status,
        check.ServiceID,
        check.ServiceTags,
        check.Type,
      ]);
      assert.deepEqual(found, [
        ["own", "Service 'named' check", "passing", "n2", [], "ttl"],
        ["service:n1", "Service 'named' check", "critical", "n1", ["t"], "ttl"],
        ["service:n2:1", "first", "critical", "n2", [], "ttl"],
      ]);
    });

    test("takes reports of a TTL check", async () => {
      await register({ Name: "reported", Check: { TTL: "600s" } });
      const state = async () => {
        const check = (await ownChecks())["service:reported"];
        return [check?.Status, check?.Output];
      };
      await ok("/v1/agent/check/pass/service:reported?note=hi%20there");
      assert.deepEqual(await state(), ["passing", "hi there"]);
      await ok("/v1/agent/check/warn/service:reported");
      assert.deepEqual(await state(), ["warning", ""]);
      await ok("/v1/agent/check/fail/service:reported?note=bad");
      assert.deepEqual(await state(), ["critical", "bad"]);
      await ok("/v1/agent/check/update/service:reported", { Status: "passing", Output: "o" });
      assert.deepEqual(await state(), ["passing", "o"]);
      await ok("/v1/agent/check/update/service:reported", { status: "warning", output: "any case" });
      assert.deepEqual(await state(), ["warning", "any case"]);
    });

    test("cuts an output at 4096 bytes and says so", async () => {
      await register({ Name: "long", Check: { TTL: "600s" } });
      await ok("/v1/agent/check/update/service:long", { Status: "passing", Output: "é".repeat(3000) });
      assert.equal(
        (await ownChecks())["service:long"]?.Output,
        `${"é".repeat(2048)} ... (captured 4096 of 6000 bytes)`,
      );
    });

    test("refuses updates that it does not understand", async () => {
      await register({ Name: "bad-update", Check: { TTL: "600s" } });
      const path = "/v1/agent/check/update/service:bad-update";
      await refused(path, { Status: "bogus" }, 400, "Invalid check status: 'bogus'");
      await refused(path, {}, 400, "Invalid check status: ''");
      await refused(path, "", 400, "Request decode failed: EOF");
      await refused(path, { Status: "passing", Bogus: 1 }, 400, 'Request decode failed: json: unknown field "Bogus"');
      const type = "json: cannot unmarshal number into Go struct field checkUpdate.Status of type string";
      await refused(path, { Status: 5 }, 400, `Request decode failed: ${type}`);
    });

    test("does not know a check that was not registered, or has no TTL", async () => {
      const text = (id: string) => `CheckID "${id}" does not have associated TTL`;
      for (const verb of ["pass", "warn", "fail"])
        await refused(`/v1/agent/check/${verb}/nope`, undefined, 500, text("nope"));
      await refused("/v1/agent/check/update/nope", { Status: "passing" }, 500, text("nope"));
      await refused("/v1/agent/check/pass/serfHealth", undefined, 500, text("serfHealth"));
      await refused("/v1/agent/check/pass/", undefined, 500, text(""));
    });

    test("turns a TTL check critical when no report came in time", { timeout: 20_000 }, async () => {
      await register({ Name: "expiring", Check: { TTL: "300ms", Status: "passing" } });
      const startMs = performance.now();
      const { index } = await agent.get("/v1/health/service/expiring");
      const expired = await agent.get(`/v1/health/service/expiring?index=${index}&wait=5s`);
      // In its first seconds a real agent does not look for changes of its own yet.
      const tookMs = performance.now() - startMs;
      assert.ok(tookMs > 250 && tookMs < 4500, `${tookMs}`);
      const check = expired.json<EntryShape[]>()[0]?.Checks.find(({ ServiceID }) => ServiceID === "expiring");
      assert.deepEqual([check?.Status, check?.Output], ["critical", "TTL expired"]);
      await ok("/v1/agent/check/pass/service:expiring?note=back");
      await until(async () => (await statuses("expiring"))[0]?.[1] === "critical");
      assert.equal(
        (await ownChecks())["service:expiring"]?.Output,
        "TTL expired (last output before timeout follows): back",
      );
    });

    test("keeps the status of a check when its service is registered again", async () => {
      const body = { Name: "again", Check: { TTL: "600s" } };
      await register(body);
      await ok("/v1/agent/check/pass/service:again?note=alive");
      await register({ ...body, Check: { TTL: "600s", Status: "critical" } });
      assert.deepEqual(await statuses("again"), [["service:again", "passing"]]);
      assert.equal((await ownChecks())["service:again"]?.Output, "alive");
    });

    test("keeps checks that a second registration leaves out, unless it replaces them", async () => {
      await register({
        Name: "replaced",
        Checks: [
          { TTL: "600s", CheckID: "r1", Status: "passing" },
          { TTL: "600s", CheckID: "r2" },
        ],
      });
      await register({ Name: "replaced" });
      await register({ Name: "replaced" }, "?replace-existing-checks=1");
      assert.deepEqual(await statuses("replaced"), [
        ["r1", "passing"],
        ["r2", "critical"],
      ]);
      await register({ Name: "replaced", Check: { TTL: "600s", CheckID: "r1" } }, "?replace-existing-checks=true");
      assert.deepEqual(await statuses("replaced"), [["r1", "passing"]]);
      await register({ Name: "replaced" }, "?replace-existing-checks");
      assert.deepEqual(await statuses("replaced"), []);
    });

    test("registers checks on their own, of a service or of the node", async () => {
      await register({ ID: "alone-1", Name: "alone", Tags: ["x"] });
      await ok("/v1/agent/check/register", {
        ID: "c1",
        Name: "c",
        TTL: "600s",
        ServiceID: "alone-1",
        Status: "passing",
        Notes: "nn",
      });
      const [check] = await checks("alone");
      assert.deepEqual(
        [check?.CheckID, check?.Name, check?.Status, check?.Notes, check?.ServiceName, check?.ServiceTags],
        ["c1", "c", "passing", "nn", "alone", ["x"]],
      );
      await ok("/v1/agent/check/register", { Name: "node-check", TTL: "600s" });
      const [entry] = (await agent.get("/v1/health/service/alone")).json<EntryShape[]>();
      assert.deepEqual(
        entry?.Checks.map(({ CheckID }) => CheckID),
        ["node-check", "serfHealth", "c1"],
      );
      assert.deepEqual((await agent.get("/v1/health/service/alone?passing")).json(), []);
      await ok("/v1/agent/check/deregister/node-check");
      assert.equal((await agent.get("/v1/health/service/alone?passing")).json<unknown[]>().length, 1);
      await ok("/v1/agent/check/deregister/never-was");
    });

    test("refuses checks of their own that it does not understand", async () => {
      const path = "/v1/agent/check/register";
      await refused(path, "", 400, "Request decode failed: EOF");
      await refused(path, {}, 400, "Missing check name");
      await refused(path, { ID: "x", TTL: "5s" }, 400, "Missing check name");
      await refused(path, { Name: "c" }, 400, "Invalid check: TTL must be > 0 for TTL checks");
      await refused(path, { Name: "c", TTL: "5s", Status: "bad" }, 400, "Bad check status");
      await refused(
        path,
        { CheckID: "c", Name: "c", TTL: "5s" },
        400,
        'Request decode failed: json: unknown field "CheckID"',
      );
      await refused(path, { Name: "c", TTL: "5s", ServiceID: "nope" }, 500, 'ServiceID "nope" does not exist');
      await refused("/v1/agent/check/deregister/", undefined, 500, "CheckID missing");
    });

    test("puts a service in maintenance, whatever its checks say", async () => {
      const body = { ID: "m-1", Name: "maintained", Check: { TTL: "600s", Status: "passing" } };
      await register(body);
      await ok("/v1/agent/service/maintenance/m-1?enable=true&reason=why%20not");
      await ok("/v1/agent/service/maintenance/m-1?enable=true&reason=again");
      await ok("/v1/agent/check/pass/service:m-1");
      await register(body);
      const check = (await checks("maintained")).find(({ Type }) => Type === "maintenance");
      assert.deepEqual(
        [check?.CheckID, check?.Name, check?.Status, check?.Notes],
        ["_service_maintenance:m-1", "Service Maintenance Mode", "critical", "why not"],
      );
      assert.deepEqual((await agent.get("/v1/health/service/maintained?passing")).json(), []);
      await ok("/v1/agent/service/maintenance/m-1?enable=false");
      assert.equal((await agent.get("/v1/health/service/maintained?passing")).json<unknown[]>().length, 1);
      await ok("/v1/agent/service/maintenance/m-1?enable=true");
      const [again] = await checks("maintained");
      assert.equal(
        again?.Notes,
        "Maintenance mode is enabled for this service, but no reason was provided. This is a default message.",
      );
      await register(body, "?replace-existing-checks=true");
      assert.equal((await checks("maintained")).length, 1);
    });

    test("puts the node in maintenance", async () => {
      await register({ Name: "on-node" });
      await ok("/v1/agent/maintenance?enable=true&reason=node");
      const [entry] = (await agent.get("/v1/health/service/on-node")).json<EntryShape[]>();
      const check = entry?.Checks[0];
      assert.deepEqual(
        [check?.CheckID, check?.Name, check?.Notes],
        ["_node_maintenance", "Node Maintenance Mode", "node"],
      );
      await ok("/v1/agent/maintenance?enable=false");
      assert.equal((await agent.get("/v1/health/service/on-node?passing")).json<unknown[]>().length, 1);
    });

    test("refuses maintenance that it does not understand", async () => {
      await register({ Name: "calm" });
      await refused("/v1/agent/service/maintenance/", undefined, 400, "Missing service ID");
      await refused("/v1/agent/service/maintenance/calm", undefined, 400, "Missing value for enable");
      await refused("/v1/agent/service/maintenance/calm?enable=x", undefined, 400, 'Invalid value for enable: "x"');
      await refused(
        "/v1/agent/service/maintenance/nope?enable=true",
        undefined,
        404,
        'No service registered with ID "nope"',
      );
      await refused("/v1/agent/maintenance", undefined, 400, "Missing value for enable");
    });

    test("lists checks by state and by node", async () => {
      await register({ Name: "stately", Check: { CheckID: "stately-check", TTL: "600s", Status: "warning" } });
      const list = async (path: string) => (await agent.get(path)).json<CheckShape[]>().map(({ CheckID }) => CheckID);
      assert.ok((await list("/v1/health/state/warning")).includes("stately-check"));
      assert.ok(!(await list("/v1/health/state/passing")).includes("stately-check"));
      assert.ok((await list("/v1/health/state/any")).includes("serfHealth"));
      assert.deepEqual(await list("/v1/health/state/bogus"), []);
      assert.deepEqual(await list("/v1/health/node/nope"), []);
      const [self] = (await agent.get("/v1/catalog/nodes")).json<{ Node: string }[]>();
      assert.ok((await list(`/v1/health/node/${self?.Node}`)).includes("stately-check"));
    });

    test("probes HTTP and TCP by itself", { timeout: 20_000 }, async () => {
      const target = createServer((request, response) => {
        if (request.url === "/redirect") response.writeHead(302, { Location: "/ok" });
        else response.writeHead(request.url === "/busy" ? 429 : request.url === "/down" ? 500 : 200);
        response.end(`${request.method} ${request.headers["user-agent"]} ${request.headers["x-a"]}`);
      });
      await new Promise<void>((resolve) => target.listen(0, "127.0.0.1", resolve));
      try {
        const hostPort = `127.0.0.1:${(target.address() as AddressInfo).port}`;
        const Interval = "1s";
        const probes = {
          "http-ok": { HTTP: `http://${hostPort}/ok`, Method: "POST", Header: { "X-A": ["1", "2"] } },
          "http-busy": { HTTP: `http://${hostPort}/busy` },
          "http-down": { HTTP: `http://${hostPort}/down` },
          "http-redirect": { HTTP: `http://${hostPort}/redirect` },
          "tcp-ok": { TCP: hostPort },
          "tcp-refused": { TCP: "127.0.0.1:1" },
        };
        for (const [ID, probe] of Object.entries(probes)) {
          await ok("/v1/agent/check/register", { ID, Name: ID, Interval, ...probe });
          assert.equal((await ownChecks())[ID]?.Type, ID.slice(0, ID.indexOf("-")));
        }
        await until(async () => {
          const now = await ownChecks();
          return Object.keys(probes).every((id) => now[id]?.Output !== "");
        });
        const now = await ownChecks();
        const answer = (id: string) => [now[id]?.Status, now[id]?.Output];
        const agentName = "Consul Health Check";
        assert.deepEqual(answer("http-ok"), [
          "passing",
          `HTTP POST http://${hostPort}/ok: 200 OK Output: POST ${agentName} 1, 2`,
        ]);
        assert.deepEqual(answer("http-busy"), [
          "warning",
          `HTTP GET http://${hostPort}/busy: 429 Too Many Requests Output: GET ${agentName} undefined`,
        ]);
        assert.deepEqual(answer("http-down")[0], "critical");
        assert.deepEqual(answer("http-redirect"), [
          "passing",
          `HTTP GET http://${hostPort}/redirect: 200 OK Output: GET ${agentName} undefined`,
        ]);
        assert.deepEqual(answer("tcp-ok"), ["passing", `TCP connect ${hostPort}: Success`]);
        assert.deepEqual(answer("tcp-refused")[0], "critical");
      } finally {
        for (const id of Object.keys(await ownChecks())) {
          if (/^(?:http|tcp)-/.test(id)) await ok(`/v1/agent/check/deregister/${id}`);
        }
        target.closeAllConnections();
        await new Promise((resolve) => target.close(resolve));
      }
    });
  });
}
