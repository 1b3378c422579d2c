// Processes end by themselves once what they opened is closed, with calls under way or without.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type CallOptions, createClient } from "@connectrpc/connect";
import { createHttp2Connector } from "../../src/connector/http2-connector.ts";
import { createStaticResolver } from "../../src/resolver/static-resolver.ts";
import { serve } from "../../src/server/serve.ts";
import type { Server } from "../../src/server/server.ts";
import { createBalancedTransport } from "../../src/transport/balanced-transport.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { createEchoService } from "../support/echo-service.ts";
import { rejection } from "../support/rejection.ts";
import { spawnScript } from "../support/spawn-command.ts";

/** For a machine that is busy; what keeps a process alive here waits for minutes. */
const mostMs = 20_000;

describe("A process ends by itself", { concurrency: true }, () => {
  let server: Server;
  before(async () => {
    server = serve({ routes: createEchoService(), graceMs: 0 });
    await server.ready;
  });
  after(() => server.close());

  for (const who of ["client", "server", "both"]) {
    for (const how of ["idle", "cut"]) {
      const meanwhile = how === "cut" ? "while a call is under way" : "when nothing is under way";
      test(`when it closes ${who === "both" ? "client and server" : `a ${who}`} ${meanwhile}`, async () => {
        const { port } = await server.ready;
        const args = [who, how, String(port)];
        await using command = spawnScript("test/support/end-by-itself.ts", args, { stdin: "pipe" });
        if (who === "server") {
          const [address = ""] = await command.ready(1);
          await using transport = createBalancedTransport({
            resolver: createStaticResolver([`http://${address}`]),
            connector: createHttp2Connector(),
            closeGraceMs: 0,
          });
          const call = (delayMs: number, options: CallOptions) =>
            createClient(EchoService, transport).unary({ delayMs }, options);
          if (how === "cut") {
            await rejection(call(600_000, { timeoutMs: 600_000 }));
          } else {
            await call(0, {});
            command.process.stdin?.end();
            await command.until(({ lines }) => lines.includes("closed"));
          }
        }
        await command.until(({ lines }) => lines.includes("closed"), mostMs);
        const late = setTimeout(command.kill, mostMs);
        assert.equal(await command.exitCode, 0, command.stderr);
        clearTimeout(late);
        assert.equal(command.stderr, "");
      });
    }
  }
});
