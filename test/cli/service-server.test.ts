import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import { helloModule } from "../../src/cli/hello-module.ts";
import { type ServiceServerOptions, startServiceServer } from "../../src/cli/service-server.ts";
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

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
