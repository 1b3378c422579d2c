// A server that hangs under callers with deadlines, over real sockets: its connection stays, and nothing comes any more.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { createHttp2Connector } from "../../src/connector/http2-connector.ts";
import { createStaticResolver } from "../../src/resolver/static-resolver.ts";
import { createFaultProxy } from "../../src/testing/fault-proxy.ts";
import { createBalancedTransport } from "../../src/transport/balanced-transport.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { startEchoServer } from "../support/echo-server.ts";
import { pause, until } from "../support/eventually.ts";
import { createRecordingLogger } from "../support/recording-logger.ts";

test("createBalancedTransport() leaves a server alone that hangs, and calls it again when it goes on", async () => {
  await using well = await startEchoServer("well");
  await using ill = await startEchoServer("ill");
  await using proxy = await createFaultProxy({ target: ill.address.port });
  const logger = createRecordingLogger();
  await using transport = createBalancedTransport({
    resolver: createStaticResolver([
      `http://${well.address.host}:${well.address.port}`,
      `http://${proxy.host}:${proxy.port}`,
    ]),
    connector: createHttp2Connector(),
    outlierDetection: { pingTimeoutMs: 300, baseEjectionMs: 200 },
    logger,
  });
  const client = createClient(EchoService, transport);
  let failed = 0;
  const call = async (): Promise<string> => {
    try {
      return (await client.unaryIdempotent({ text: "x" }, { timeoutMs: 400 })).server;
    } catch {
      failed++;
      return "";
    }
  };
  for (let i = 0; i < 10; i++) await call();
  assert.equal(failed, 0);

  proxy.set({ stalled: true });
  const isOut = () => logger.count("endpoint ejected") === 1;
  await until(async () => {
    await Promise.all([call(), call(), call(), call()]);
    return isOut();
  }, 4000);
  const failedUntilOut = failed;
  assert.ok(failed <= 8, `${failed} failed`);
  for (let i = 0; i < 50; i++) assert.equal(await call(), "well");
  // Probes are PINGs: no call is spent on it.
  await pause(500);
  for (let i = 0; i < 50; i++) assert.equal(await call(), "well");

  await proxy.heal();
  await until(async () => (await call()) === "ill", 4000);
  assert.equal(failed, failedUntilOut);
  assert.equal(logger.count("endpoint is back"), 1);
});
