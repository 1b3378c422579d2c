// The embedded agent's gRPC check against a real grpc.health.v1 server.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { Health, HealthCheckResponse_ServingStatus as Serving } from "../../gen/grpc/health/v1/health_pb.ts";
import { createManualClock, startEmbeddedConsul } from "../../src/testing/index.ts";
import type { CheckShape } from "../support/consul-shapes.ts";
import { asking } from "../support/contract-agent.ts";
import { until } from "../support/eventually.ts";

test("startEmbeddedConsul() passes a gRPC check only when the service it names is serving", async () => {
  const asked: string[] = [];
  const server = createServer(
    connectNodeAdapter({
      routes: ({ service }) =>
        service(Health, {
          check(request) {
            asked.push(request.service);
            return { status: request.service === "my.Down" ? Serving.NOT_SERVING : Serving.SERVING };
          },
        }),
    }),
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const target = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const clock = createManualClock();
  await using consul = await startEmbeddedConsul({ clock, random: () => 0 });
  const agent = asking(consul.address);
  const targets = { whole: target, up: `${target}/my.Up`, down: `${target}/my.Down`, nobody: "127.0.0.1:1" };
  for (const [ID, GRPC] of Object.entries(targets)) {
    const body = { ID, Name: ID, GRPC, Interval: "10s", Timeout: "5s" };
    assert.equal((await agent.put("/v1/agent/check/register", body)).status, 200);
  }
  await clock.advance(0);
  const checks = async () => (await agent.get("/v1/agent/checks")).json<Record<string, CheckShape>>();
  await until(async () => Object.values(await checks()).every(({ Output }) => Output !== ""), 5000);
  const { whole, up, down, nobody } = await checks();
  assert.deepEqual([whole?.Status, whole?.Output], ["passing", `gRPC check ${target}: success`]);
  assert.deepEqual([up?.Status, up?.Type], ["passing", "grpc"]);
  assert.deepEqual(
    [down?.Status, down?.Output],
    ["critical", `gRPC check ${target}/my.Down: gRPC service status: NOT_SERVING`],
  );
  assert.equal(nobody?.Status, "critical");
  assert.deepEqual(asked.sort(), ["", "my.Down", "my.Up"]);
  await consul.close();
  await new Promise((resolve) => server.close(resolve));
});
