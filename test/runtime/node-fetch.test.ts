import assert from "node:assert/strict";
import { test } from "node:test";
import { createNodeFetch } from "../../src/runtime/node-fetch.ts";
import { startHttp } from "../support/http-fixture.ts";

test("createNodeFetch() sends method, headers and body with its length", async () => {
  await using server = await startHttp((_, response) => {
    response.writeHead(200, { "X-Consul-Index": "5" });
    response.end("wörld");
  });
  const fetch = createNodeFetch();
  const headers = new Headers({ "X-Consul-Token": "t" });
  const response = await fetch(`${server.address}/v1/x?y=%2F`, { method: "PUT", headers, body: "héllo" });
  assert.deepEqual(
    [response.status, response.headers.get("x-consul-index"), await response.text()],
    [200, "5", "wörld"],
  );
  await fetch(server.address, { method: "PUT", body: new Uint8Array([0, 255]) });
  await fetch(server.address, { method: "PUT" });
  await fetch(server.address, {});
  const [text, bytes, nothing, get] = server.seen;
  assert.deepEqual([text?.method, text?.url, text?.body.toString()], ["PUT", "/v1/x?y=%2F", "héllo"]);
  assert.deepEqual([text?.headers["x-consul-token"], text?.headers["content-length"]], ["t", "6"]);
  assert.deepEqual([...(bytes?.body ?? [])], [0, 255]);
  assert.equal(nothing?.headers["content-length"], "0");
  assert.deepEqual([get?.method, get?.headers["content-length"]], ["GET", undefined]);
  for (const { headers } of server.seen) assert.equal(headers["transfer-encoding"], undefined);
});

test("createNodeFetch() gives every status as it came, redirects included", async () => {
  let status = 0;
  await using server = await startHttp((_, response) => {
    response.writeHead(status, { Location: "/elsewhere" });
    response.end();
  });
  const fetch = createNodeFetch();
  for (status of [204, 301, 304, 404, 500]) {
    const response = await fetch(server.address, { method: "GET" });
    assert.deepEqual([response.status, await response.text()], [status, ""]);
  }
  assert.equal(server.seen.length, 5);
});

test("createNodeFetch() rejects with the signal's reason when it is aborted", async () => {
  await using server = await startHttp(() => {});
  const fetch = createNodeFetch();
  const reason = new Error("enough");
  const controller = new AbortController();
  const fetched = fetch(server.address, { signal: controller.signal });
  await server.arrived(1);
  controller.abort(reason);
  await assert.rejects(fetched, (error) => error === reason);
  await assert.rejects(fetch(server.address, { signal: AbortSignal.abort(reason) }), (error) => error === reason);
  assert.equal(server.seen.length, 1);
});

test("createNodeFetch() rejects when the connection is lost within the answer", async () => {
  await using server = await startHttp((_, response) => {
    response.writeHead(200, { "Content-Length": "100" });
    response.write("abc");
    setImmediate(() => response.destroy());
  });
  await assert.rejects(createNodeFetch()(server.address, {}), Error);
});

test("createNodeFetch() rejects with what the socket said when nobody listens", async () => {
  const server = await startHttp(() => {});
  await server[Symbol.asyncDispose]();
  await assert.rejects(createNodeFetch()(server.address, {}), { code: "ECONNREFUSED" });
  await assert.rejects(createNodeFetch({ socketPath: "/nowhere/agent.sock" })("http://localhost/", {}), Error);
});

test("createNodeFetch() throws TypeError when the body is neither text nor bytes", async () => {
  await assert.rejects(createNodeFetch()("http://localhost/", { method: "PUT", body: new FormData() }), TypeError);
});
