// The key-value store over raw HTTP. Embedded agent and real 1.8.7. https://developer.hashicorp.com/consul/api-docs/kv

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { KvShape } from "../support/consul-shapes.ts";
import { type Answer, type ContractAgent, contractKinds } from "../support/contract-agent.ts";

for (const kind of contractKinds) {
  describe(`the store of the ${kind.name}`, { skip: kind.skip }, () => {
    let agent: ContractAgent;
    before(async () => {
      agent = await kind.start();
    });
    after(() => agent?.[Symbol.asyncDispose]());

    const put = async (key: string, value: string) => (await agent.put(`/v1/kv/${key}`, value)).text.trim();
    const remove = async (key: string) => (await agent.ask("DELETE", `/v1/kv/${key}`)).text.trim();
    const entry = async (key: string) => {
      const [found] = (await agent.get(`/v1/kv/${key}`)).json<KvShape[]>();
      assert.ok(found);
      return found;
    };
    const names = async (path: string) => (await agent.get(`/v1/kv/${path}`)).json<string[]>();

    test("keeps a value, and its index where it stays the same", async () => {
      assert.equal(await put("one", "hello"), "true");
      const first = await entry("one");
      assert.deepEqual([first.Key, first.Value, first.Flags], ["one", "aGVsbG8=", 0]);
      assert.equal(first.CreateIndex, first.ModifyIndex);
      assert.equal(await put("one", "hello"), "true");
      assert.equal((await entry("one")).ModifyIndex, first.ModifyIndex);
      assert.equal(await put("one", "other"), "true");
      const last = await entry("one");
      assert.ok(last.ModifyIndex > first.ModifyIndex);
      assert.equal(last.CreateIndex, first.CreateIndex);
      assert.equal((await agent.get("/v1/kv/one")).index, last.ModifyIndex);
    });

    test("gives bytes when asked for raw", async () => {
      await put("raw", "bytes");
      const answer = await agent.get("/v1/kv/raw?raw");
      assert.deepEqual([answer.status, answer.text, answer.headers["content-type"]], [200, "bytes", "text/plain"]);
      assert.equal(answer.headers["x-content-type-options"], "nosniff");
      const missing = await agent.get("/v1/kv/raw-missing?raw");
      assert.deepEqual([missing.status, missing.text, missing.index >= 1], [404, "", true]);
    });

    test("has null for an empty value", async () => {
      await put("empty", "");
      assert.equal((await entry("empty")).Value, null);
    });

    test("keeps flags of 64 bits", async () => {
      await agent.put("/v1/kv/flags?flags=18446744073709551615", "v");
      assert.match((await agent.get("/v1/kv/flags")).text.replace(/\s/g, ""), /"Flags":18446744073709551615,/);
      for (const [flags, quoted] of [
        ["abc", "abc"],
        ["-1", "-1"],
        ["", ""],
      ]) {
        const answer = await agent.put(`/v1/kv/flags?flags=${flags}`, "v");
        assert.deepEqual([answer.status, answer.text], [500, `strconv.ParseUint: parsing "${quoted}": invalid syntax`]);
      }
    });

    test("writes and deletes only what has the index that cas names", async () => {
      assert.equal(await put("cas?cas=5", "v"), "false");
      assert.equal(await put("cas?cas=0", "v"), "true");
      assert.equal(await put("cas?cas=0", "w"), "false");
      const { ModifyIndex } = await entry("cas");
      assert.equal(await put(`cas?cas=${ModifyIndex - 1}`, "w"), "false");
      assert.equal(await put(`cas?cas=${ModifyIndex}`, "w"), "true");
      assert.equal(await remove(`cas?cas=${ModifyIndex}`), "false");
      assert.equal(await remove("cas?cas=0"), "false");
      assert.equal(await remove(`cas?cas=${(await entry("cas")).ModifyIndex}`), "true");
      assert.equal(await remove("cas?cas=7"), "true");
      const bad = await agent.put("/v1/kv/cas?cas=abc", "v");
      assert.deepEqual([bad.status, bad.text], [500, 'strconv.ParseUint: parsing "abc": invalid syntax']);
    });

    test("lists keys under a prefix, sorted, up to a separator", async () => {
      for (const key of ["dir/b/d", "dir/a", "dir/b/c", "dir/z", "dirt"]) await put(key, "1");
      assert.deepEqual(await names("dir/?keys"), ["dir/a", "dir/b/c", "dir/b/d", "dir/z"]);
      assert.deepEqual(await names("dir/?keys&separator=/"), ["dir/a", "dir/b/", "dir/z"]);
      const found = (await agent.get("/v1/kv/dir?recurse")).json<KvShape[]>();
      assert.deepEqual(
        found.map(({ Key }) => Key),
        ["dir/a", "dir/b/c", "dir/b/d", "dir/z", "dirt"],
      );
      assert.equal((await agent.get("/v1/kv/dir/?recurse=false")).json<KvShape[]>().length, 4);
      for (const path of ["none?recurse", "none?keys"]) {
        const answer = await agent.get(`/v1/kv/${path}`);
        assert.deepEqual([answer.status, answer.text, answer.index >= 1], [404, "", true]);
      }
    });

    test("deletes a key, a prefix, and what is not there", async () => {
      await put("gone/a", "1");
      await put("gone/b", "1");
      assert.equal(await remove("gone/a"), "true");
      assert.equal(await remove("gone/a"), "true");
      assert.deepEqual(await names("gone/?keys"), ["gone/b"]);
      assert.equal(await remove("gone/?recurse"), "true");
      assert.equal((await agent.get("/v1/kv/gone/?keys")).status, 404);
      const conflict = await agent.ask("DELETE", "/v1/kv/gone?recurse&cas=5");
      assert.deepEqual([conflict.status, conflict.text], [400, "Conflicting flags: cas=5&recurse="]);
    });

    test("takes any key that a path can hold", async () => {
      await put("odd%20key%2Fwith%3Fmarks", "1");
      assert.deepEqual(await names("odd?keys"), ["odd key/with?marks"]);
      for (const method of ["GET", "PUT", "DELETE"]) {
        const answer = await agent.ask(method, "/v1/kv/");
        assert.deepEqual([answer.status, answer.text], [400, "Missing key name"]);
      }
    });

    test("takes 512 KiB and not a byte more", async () => {
      assert.equal(await put("large", "x".repeat(524_288)), "true");
      const refused: Answer | Error = await agent
        .put("/v1/kv/large", "x".repeat(524_289))
        .catch((error: Error) => error);
      if (refused instanceof Error) {
        // A real agent answers and closes before it has read all; some runtimes then see the close first.
        assert.match(String(Reflect.get(refused, "code")), /^(?:ECONNRESET|EPIPE|ECONNABORTED)$/);
        assert.notEqual(kind.name, "embedded agent");
      } else {
        assert.equal(refused.status, 413);
        const text = "Request body(524289 bytes) too large, max size: 524288 bytes.";
        assert.ok(refused.text.startsWith(text), refused.text);
      }
      assert.equal((await agent.get("/v1/kv/large?raw")).text.length, 524_288);
    });
  });
}
