// The health watch against a server of our own, over real sockets.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { createHttp2Connector } from "../../../src/connector/http2-connector.ts";
import { createStaticResolver } from "../../../src/resolver/static-resolver.ts";
import { serve } from "../../../src/server/serve.ts";
import { createBalancedTransport } from "../../../src/transport/balanced-transport.ts";
import { EchoService } from "../../gen/lictor/test/v1/echo_pb.ts";
import { createEchoService } from "../../support/echo-service.ts";
import { until } from "../../support/eventually.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";

test("createBalancedTransport() with healthCheck follows what two servers say of a service", async () => {
  await using first = serve({ routes: createEchoService({ server: "first" }) });
  await using second = serve({ routes: createEchoService({ server: "second" }) });
  const urls = [];
  for (const { ready } of [first, second]) {
    const { host, port } = await ready;
    urls.push(`http://${host}:${port}`);
  }
  first.health.setStatus("thermometer", "SERVING");
  second.health.setStatus("thermometer", "NOT_SERVING");
  const logger = createRecordingLogger();
  await using transport = createBalancedTransport({
    resolver: createStaticResolver(urls),
    connector: createHttp2Connector(),
    healthCheck: { service: "thermometer" },
    idleTimeoutMs: 2000,
    logger,
  });
  const client = createClient(EchoService, transport);
  const called = async () => {
    const servers = new Set<string>();
    for (let i = 0; i < 6; i++) servers.add((await client.unary({ text: "x" }, { timeoutMs: 3000 })).server);
    return [...servers].sort().join();
  };
  assert.equal(await called(), "first");
  second.health.setStatus("thermometer", "SERVING");
  await until(async () => (await called()) === "first,second", 3000);
  first.health.setStatus("thermometer", "NOT_SERVING");
  await until(async () => (await called()) === "second", 3000);
  // Watches are no calls: connections rest with them under way.
  assert.deepEqual(
    transport.status().endpoints.map(({ calls }) => calls?.active),
    [0, 0],
  );
  await until(() => logger.count("no calls for long") === 1, 4000);
  assert.equal(await called(), "second");
});
