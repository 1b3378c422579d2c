import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import { UsageError } from "../../src/cli/command-line.ts";
import { helloModule } from "../../src/cli/hello-server.ts";
import { parseAdvertise, type ServiceServerOptions, startServiceServer } from "../../src/cli/service-server.ts";
import { createConsulClient } from "../../src/consul/consul-client.ts";
import { silentLogger } from "../../src/core/logger.ts";
import { startEmbeddedConsul } from "../../src/testing/embedded-consul.ts";
import { eventually } from "../support/eventually.ts";

const timeout = 30_000;

/** Settings of a server whose port is looked at in the moment it leaves Consul. */
async function witness(leaveConsul: "before" | "after") {
  const open: boolean[] = [];
  const agent = await startEmbeddedConsul();
  let port = 0;
  const consul = createConsulClient({
    address: agent.address,
    async fetch(input, init) {
      if (String(input).includes("/service/deregister/")) open.push(await isOpen(port));
      return fetch(input, init);
    },
  });
  const ready: string[] = [];
  const options: ServiceServerOptions = {
    module: helloModule(silentLogger),
    consul,
    service: {},
    host: "127.0.0.1",
    reflection: false,
    graceMs: 1000,
    leaveConsul,
    logger: silentLogger,
    onReady: (address) => ready.push(address),
  };
  const server = await startServiceServer(options, 0);
  port = server.port;
  return { agent, consul, server, open, ready };
}

for (const [order, serving] of [
  ["before", true],
  ["after", false],
] as const) {
  test(`startServiceServer() leaves Consul ${order} it stops when told so`, { timeout }, async () => {
    const { agent, consul, server, open, ready } = await witness(order);
    try {
      assert.deepEqual(ready, [`127.0.0.1:${server.port}`]);
      await eventually("registered", async () => Object.keys(await consul.agent.services()).length > 0);
      // By the name of the one service that is routed.
      assert.deepEqual(Object.keys(await consul.agent.services()), [`127.0.0.1:${server.port}:HelloService`]);
      await server.close();
      assert.deepEqual(open, [serving]);
      assert.deepEqual(await consul.agent.services(), {});
      assert.equal(await isOpen(server.port), false);
    } finally {
      await agent.close();
    }
  });
}

test("parseAdvertise() reads hosts with and without a port", () => {
  assert.deepEqual(parseAdvertise("example.org"), { host: "example.org" });
  assert.deepEqual(parseAdvertise("example.org:443"), { host: "example.org", port: 443 });
  assert.deepEqual(parseAdvertise("10.0.0.1"), { host: "10.0.0.1" });
  assert.deepEqual(parseAdvertise("2001:db8::1"), { host: "2001:db8::1" });
  assert.deepEqual(parseAdvertise("[2001:db8::1]"), { host: "2001:db8::1" });
  assert.deepEqual(parseAdvertise("[2001:db8::1]:443"), { host: "2001:db8::1", port: 443 });
});

test("parseAdvertise() refuses anything else in one line", () => {
  for (const text of ["a:0", "a:65536", "a:b", "a:1:2", ":1", "a:", "http://a", "a b", "[a]:1", "[x]"]) {
    assert.throws(() => parseAdvertise(text), UsageError, text);
  }
});

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
