// Our own client before servers of which one is overloaded: what that refuses goes to another, whatever its method does.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { createHttp2Connector } from "../../../src/connector/http2-connector.ts";
import { createStaticResolver } from "../../../src/resolver/static-resolver.ts";
import { serve } from "../../../src/server/serve.ts";
import { createBalancedTransport } from "../../../src/transport/balanced-transport.ts";
import { EchoService } from "../../gen/lictor/test/v1/echo_pb.ts";
import { createEchoService } from "../../support/echo-service.ts";
import { until } from "../../support/eventually.ts";

describe("createBalancedTransport() before a server with overload", () => {
  test("has calls that it refuses answered by another one, though they are not idempotent", async () => {
    let ran = 0;
    const busy = serve({
      graceMs: 0,
      overload: { maxConcurrentCalls: 1, maxQueued: 0 },
      routes: createEchoService({ server: "busy", onCall: () => ran++ }),
    });
    const other = serve({ graceMs: 0, routes: createEchoService({ server: "other" }) });
    const urls = [(await busy.ready).url, (await other.ready).url];
    const transport = createBalancedTransport({
      resolver: createStaticResolver(urls.map((url) => ({ url }))),
      connector: createHttp2Connector(),
      settleMs: 5000,
    });
    const client = createClient(EchoService, transport);
    const end = new AbortController();
    // Two, so that one of them is the busy server's.
    const held = [1, 2].map(() => client.unary({ delayMs: 60_000 }, { signal: end.signal }).catch(() => {}));
    await until(() => busy.stats().overload?.running === 1);
    const answers = await Promise.all(Array.from({ length: 20 }, () => client.unary({ text: "x" })));
    assert.ok(answers.every(({ server }) => server === "other"));
    assert.equal(ran, 1);
    assert.ok((busy.stats().overload?.shed ?? 0) >= 1);
    end.abort();
    await Promise.all(held);
    await transport.close();
    await Promise.all([busy.close(), other.close()]);
  });
});
