// Default-deny ACLs over raw HTTP: who sees and does what. Embedded agent and real 1.8.7.
// https://developer.hashicorp.com/consul/docs/security/acl/acl-rules

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type AclAgent, type ContractToken, contractKinds } from "../support/contract-agent.ts";
import { pause } from "../support/eventually.ts";

const rights = {
  management: { management: true },
  web: { service: { web: "write" } },
  reader: { servicePrefix: { "": "read" }, nodePrefix: { "": "read" } },
  servicesOnly: { servicePrefix: { "": "read" } },
  keys: { keyPrefix: { "app/": "write" }, key: { ro: "read", "app/secret": "deny" } },
  agentReader: { agentPrefix: { "": "read" } },
  doomed: { servicePrefix: { "": "read" }, nodePrefix: { "": "read" } },
} as const satisfies Record<string, ContractToken>;

type Role = keyof typeof rights | "anonymous" | "unknown";

for (const kind of contractKinds) {
  describe(`with ACLs the ${kind.name}`, { skip: kind.skip }, () => {
    let agent: AclAgent;
    const secrets = new Map<Role, string>([["unknown", "11111111-1111-1111-1111-111111111111"]]);
    before(async () => {
      agent = await kind.startWithAcls(Object.values(rights));
      for (const [position, role] of (Object.keys(rights) as Role[]).entries()) {
        secrets.set(role, agent.secrets[position] ?? "");
      }
      await put("management", "/v1/agent/service/register", { Name: "web", Check: { TTL: "600s", Status: "passing" } });
      await put("management", "/v1/agent/service/register", {
        Name: "other",
        Check: { TTL: "600s", Status: "passing" },
      });
    });
    after(() => agent?.[Symbol.asyncDispose]());

    const as = (role: Role) => (role === "anonymous" ? {} : { token: secrets.get(role) ?? "" });
    const put = async (role: Role, path: string, body?: unknown) => {
      const { status, text } = await agent.put(path, body, as(role));
      return [status, text.trim()];
    };
    const get = (role: Role, path: string) => agent.get(path, as(role));
    const seen = async (role: Role, path: string) => {
      const { status, text } = await get(role, path);
      return [status, status === 200 ? JSON.parse(text) : text];
    };
    const deniedOn = (right: string) => [403, `Permission denied: Missing ${right}`];
    const denied = [403, "Permission denied"];
    const done = [200, ""];

    test("lets only the right tokens register", async () => {
      const path = "/v1/agent/service/register";
      const web = { Name: "web", Check: { TTL: "600s" } };
      assert.deepEqual(await put("anonymous", path, web), deniedOn("service:write on web"));
      assert.deepEqual(await put("unknown", path, web), [403, "ACL not found"]);
      assert.deepEqual(await put("reader", path, web), deniedOn("service:write on web"));
      assert.deepEqual(await put("web", path, { Name: "other" }), deniedOn("service:write on other"));
      assert.deepEqual(await put("web", path, { Name: "web", ID: "other" }).then(([status]) => status), 403);
      assert.deepEqual(await put("web", path, web), done);
      assert.deepEqual(await put("web", path, { Name: "" }), [400, "Missing service name"]);
    });

    test("says of an unknown check that it is unknown, not that it has no TTL", async () => {
      for (const role of ["anonymous", "web", "reader"] as const) {
        assert.deepEqual(await put(role, "/v1/agent/check/pass/nope"), [500, 'Unknown check "nope"']);
        assert.deepEqual(await put(role, "/v1/agent/check/update/nope", { Status: "passing" }), [
          500,
          'Unknown check "nope"',
        ]);
        assert.deepEqual(await put(role, "/v1/agent/check/deregister/nope"), [500, 'Unknown check "nope"']);
        assert.deepEqual(await put(role, "/v1/agent/service/deregister/nope"), [500, 'Unknown service {"nope" {}}']);
      }
      assert.deepEqual(await put("unknown", "/v1/agent/check/pass/nope"), [403, "ACL not found"]);
    });

    test("lets only the right tokens report, maintain and deregister", async () => {
      const paths = [
        "check/pass/service:web",
        "check/deregister/service:web",
        "service/maintenance/web?enable=false",
        "service/deregister/web",
      ];
      for (const path of paths) {
        assert.deepEqual(await put("reader", `/v1/agent/${path}`), deniedOn("service:write on web"), path);
        assert.deepEqual(await put("unknown", `/v1/agent/${path}`), [403, "ACL not found"], path);
      }
      assert.deepEqual(await put("web", "/v1/agent/check/pass/service:web"), done);
      assert.deepEqual(await put("web", "/v1/agent/service/deregister/other"), deniedOn("service:write on other"));
      assert.deepEqual(await put("web", "/v1/agent/maintenance?enable=false"), denied);
    });

    test("asks for the service's right for its checks, and for the node's for the node's", async () => {
      const path = "/v1/agent/check/register";
      const [self] = (await get("management", "/v1/catalog/nodes")).json<{ Node: string }[]>();
      const node = deniedOn(`node:write on ${self?.Node}`);
      assert.deepEqual(await put("web", path, { Name: "n", TTL: "600s" }), node);
      assert.deepEqual(await put("web", path, { Name: "n", TTL: "600s", ServiceID: "nope" }), node);
      assert.deepEqual(
        await put("web", path, { Name: "n", TTL: "600s", ServiceID: "other" }),
        deniedOn("service:write on other"),
      );
      assert.deepEqual(await put("web", path, { Name: "n", TTL: "600s", ServiceID: "web" }), done);
      assert.deepEqual(await put("web", "/v1/agent/check/deregister/n"), done);
    });

    test("shows a weak token an empty list with a real index", async () => {
      const full = await get("reader", "/v1/health/service/web");
      assert.equal(full.json<unknown[]>().length, 1);
      for (const role of ["anonymous", "web", "servicesOnly", "agentReader"] as const) {
        const weak = await get(role, "/v1/health/service/web");
        assert.deepEqual([weak.status, weak.text.trim(), weak.index], [200, "[]", full.index], role);
        assert.equal(weak.headers["x-consul-results-filtered-by-acls"], undefined);
        for (const path of [
          "health/checks/web",
          "health/node/test-node",
          "health/state/any",
          "catalog/service/web",
          "catalog/nodes",
        ]) {
          assert.deepEqual(await seen(role, `/v1/${path}`), [200, []], path);
        }
      }
    });

    test("answers an unknown token 403 and the index 1", async () => {
      const answer = await get("unknown", "/v1/health/service/web");
      assert.deepEqual([answer.status, answer.text, answer.index], [403, "ACL not found", 1]);
      for (const path of ["agent/services", "agent/checks", "agent/self", "kv/app/x", "catalog/services"]) {
        assert.deepEqual(await seen("unknown", `/v1/${path}`), [403, "ACL not found"], path);
      }
      for (const path of ["catalog/datacenters", "status/leader", "status/peers"]) {
        assert.equal((await get("unknown", `/v1/${path}`)).status, 200, path);
      }
    });

    test("shows of the agent and the catalog what the token may read", async () => {
      const keys = async (role: Role, path: string) => Object.keys((await get(role, path)).json<object>()).sort();
      assert.deepEqual(await keys("web", "/v1/agent/services"), ["web"]);
      assert.deepEqual(await keys("web", "/v1/agent/checks"), ["service:web"]);
      assert.deepEqual(await keys("web", "/v1/catalog/services"), ["web"]);
      assert.deepEqual(await keys("servicesOnly", "/v1/catalog/services"), ["consul", "other", "web"]);
      assert.deepEqual(await keys("anonymous", "/v1/catalog/services"), []);
      assert.deepEqual(await seen("anonymous", "/v1/agent/service/web"), denied);
      assert.equal((await get("web", "/v1/agent/service/web")).status, 200);
      assert.deepEqual(await seen("web", "/v1/agent/self"), denied);
      assert.equal((await get("agentReader", "/v1/agent/self")).status, 200);
    });

    test("takes the token as a header, as a bearer and as a parameter", async () => {
      const token = secrets.get("reader") ?? "";
      const path = "/v1/health/service/web";
      const answers = [
        await agent.get(path, { headers: { Authorization: `Bearer ${token}` } }),
        await agent.get(`${path}?token=${token}`),
      ];
      for (const answer of answers) assert.equal(answer.json<unknown[]>().length, 1);
    });

    test("guards keys by their names and prefixes", async () => {
      assert.deepEqual(await put("keys", "/v1/kv/app/x", "1"), [200, "true"]);
      assert.deepEqual(await put("keys", "/v1/kv/zzz", "1"), denied);
      assert.deepEqual(await put("keys", "/v1/kv/ro", "1"), denied);
      assert.deepEqual(await put("keys", "/v1/kv/app/secret", "1"), denied);
      assert.deepEqual(await put("management", "/v1/kv/app/secret", "1"), [200, "true"]);
      assert.deepEqual(await seen("keys", "/v1/kv/ro"), [404, ""]);
      assert.deepEqual(await seen("keys", "/v1/kv/zzz"), denied);
      assert.deepEqual(await seen("keys", "/v1/kv/?keys"), [200, ["app/x"]]);
      assert.deepEqual(await seen("anonymous", "/v1/kv/?keys"), [200, []]);
      assert.deepEqual(await seen("anonymous", "/v1/kv/?recurse"), [404, ""]);
      const remove = async (role: Role, path: string) => {
        const { status, text } = await agent.ask("DELETE", `/v1/kv/${path}`, as(role));
        return [status, text.trim()];
      };
      assert.deepEqual(await remove("keys", "zzz"), denied);
      assert.deepEqual(await remove("keys", "?recurse"), denied);
      assert.deepEqual(await remove("keys", "app/?recurse"), denied);
      assert.deepEqual(await remove("keys", "app/x?recurse"), [200, "true"]);
      assert.deepEqual(await remove("management", "app/?recurse"), [200, "true"]);
    });

    test("ends a query with 200 when its token goes, and refuses the next", { timeout: 20_000 }, async () => {
      const token = secrets.get("doomed") ?? "";
      const path = "/v1/health/service/web";
      const { index } = await agent.get(path, { token });
      const watching = agent.get(`${path}?index=${index}&wait=2s`, { token });
      await pause(50);
      await agent.revoke(token);
      const ended = await watching;
      assert.equal(ended.status, 200);
      const next = await agent.get(path, { token });
      assert.deepEqual([next.status, next.text], [403, "ACL not found"]);
    });
  });
}
