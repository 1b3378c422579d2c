// What a client holds, and that all of it ends: one query for many transports, none after the last, and no open handle.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { createConsulTransport } from "../../src/client/create-consul-transport.ts";
import { type ConsulClient, createConsulClient } from "../../src/consul/consul-client.ts";
import { createHelloService } from "../../src/hello/hello-service.ts";
import { createConsulResolver } from "../../src/resolver/consul-resolver.ts";
import { serve } from "../../src/server/serve.ts";
import { discoveryInterceptor } from "../../src/transport/discovery-interceptor.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { agentKinds, type TestAgent } from "../support/agent-kinds.ts";
import { startConsulProxy } from "../support/consul-proxy.ts";
import { registerInstance, startEchoServer, startEchoServers } from "../support/echo-server.ts";
import { eventually } from "../support/eventually.ts";
import { spawnScript } from "../support/spawn-command.ts";

const healthReads = /^\/v1\/health\/service\//;

for (const kind of agentKinds) {
  describe(`What a client holds of the ${kind.name}`, { skip: kind.skip, timeout: 60_000 }, () => {
    let agent: TestAgent;
    let consul: ConsulClient;
    before(async () => {
      agent = await kind.start();
      consul = createConsulClient(agent.address);
    });
    after(() => agent[Symbol.asyncDispose]());

    test("is one blocking query for all transports of a service, and none once they are closed", async () => {
      await using server = await startEchoServer("a");
      await registerInstance(consul, { service: "shared", id: "a", port: server.address.port });
      await using proxy = await startConsulProxy(agent.address);
      const transports = [
        createConsulTransport({ service: "shared", consul: proxy.address }),
        createConsulTransport({ service: "shared", consul: createConsulClient(proxy.address) }),
        createConsulTransport({ service: "Shared", consul: { address: proxy.address } }),
      ];
      assert.equal(proxy.requests.length, 0);
      await Promise.all(transports.map((transport) => createClient(EchoService, transport).unary({})));
      await eventually("the blocking read waits", () => proxy.waiting === 1);
      // One read that answered at once, one that waits.
      assert.equal(proxy.count("GET", healthReads), 2);
      await transports[0]?.close();
      await transports[1]?.close();
      assert.equal(proxy.waiting, 1);
      await transports[2]?.close();
      await eventually("the query is given up", () => proxy.waiting === 0);
      assert.equal(proxy.count("GET", healthReads), 2);
    });

    test("is given up by close(), which finishes the calls in flight and refuses new ones", async () => {
      await using server = await startEchoServer("a");
      await registerInstance(consul, { service: "closed", id: "a", port: server.address.port });
      const transport = createConsulTransport({ service: "closed", consul });
      const client = createClient(EchoService, transport);
      await client.unary({});
      const slow = client.unary({ text: "slow", delayMs: 300 });
      const stream = client.serverStream({ text: "s", count: 3, delayMs: 100 })[Symbol.asyncIterator]();
      await stream.next();
      const closing = transport.close();
      assert.equal(transport.close(), closing);
      await assert.rejects(client.unary({}), (error) => error instanceof ConnectError && error.code === Code.Canceled);
      assert.equal((await slow).text, "slow");
      assert.equal((await stream.next()).value?.index, 1);
      assert.equal((await stream.next()).value?.index, 2);
      assert.equal((await stream.next()).done, true);
      await closing;
      // No connection is left that a server would have to wait for.
      assert.ok((await server.close()).tookMs < 500);
    });

    test("does not keep a script alive that closes its client", async () => {
      await using server = serve({
        routes: createHelloService(),
        consul,
        service: "HelloScript",
        drainMarginMs: 0,
      });
      await server.ready;
      await server.registration?.registered;
      await using script = spawnScript("test/support/call-hello.ts", [agent.address, "HelloScript", "3"]);
      await script.until(({ lines }) => lines.length === 3);
      const answeredMs = performance.now();
      assert.equal(await script.exitCode, 0, script.stderr);
      assert.ok(performance.now() - answeredMs < 2000, `${performance.now() - answeredMs} ms`);
      const address = `127.0.0.1:${server.address?.port}`;
      const line = (n: number) => `${n} Hello! script!This is Server: ${address}`;
      assert.deepEqual(script.lines, [line(1), line(2), line(3)]);
    });

    test("is shared by discoveryInterceptor(), for transports that follow the request's URL", async () => {
      const servers = await startEchoServers("a", "b", "c");
      for (const { name, address } of servers) {
        await registerInstance(consul, { service: "intercepted", id: name, port: address.port });
      }
      await using discovery = discoveryInterceptor({
        resolver: createConsulResolver({ service: "intercepted", consul }),
      });
      const transport = createConnectTransport({
        baseUrl: "http://unused.invalid",
        httpVersion: "1.1",
        interceptors: [discovery],
        nodeOptions: { agent: false },
      });
      const client = createClient(EchoService, transport);
      let names = "";
      for (let i = 0; i < 6; i++) names += (await client.unary({})).server;
      assert.equal(names, "abcabc");
      await consul.agent.deregisterService("b");
      await eventually("two are left", async () => {
        names = "";
        for (let i = 0; i < 4; i++) names += (await client.unary({})).server;
        return names === "acac" || names === "caca";
      });
      await Promise.all(servers.map((server) => server.close()));
    });
  });
}
