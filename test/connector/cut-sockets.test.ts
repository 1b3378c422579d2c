// Sockets that die at every byte of a short call, both ways: every call settles, and none that a handler saw counts as unprocessed.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type CallOptions, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createHttp2Connector } from "../../src/connector/http2-connector.ts";
import { callFate } from "../../src/core/call-fate.ts";
import { createStaticResolver } from "../../src/resolver/static-resolver.ts";
import { serve } from "../../src/server/serve.ts";
import type { Server } from "../../src/server/server.ts";
import { createBalancedTransport } from "../../src/transport/balanced-transport.ts";
import type { Connection } from "../../src/transport/connector.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { type Cut, type CuttingProxy, startCuttingProxy } from "../support/cutting-proxy.ts";
import { createEchoService } from "../support/echo-service.ts";
import { endpoint } from "../support/endpoints.ts";

type Client = ReturnType<typeof createClient<typeof EchoService>>;

type Call = (client: Client, options: CallOptions) => Promise<unknown>;

const calls: Readonly<Record<string, Call>> = {
  unary: (client, options) => client.unary({ text: "a" }, options),
  "server-streaming": (client, options) => collect(client.serverStream({ text: "a", count: 2 }, options)),
  "client-streaming": (client, options) => client.clientStream(texts(), options),
  bidi: (client, options) => collect(client.bidi(texts(), options)),
};

async function collect(messages: AsyncIterable<unknown>): Promise<unknown[]> {
  const collected: unknown[] = [];
  for await (const message of messages) collected.push(message);
  return collected;
}

async function* texts() {
  yield { text: "a" };
  yield { text: "b" };
}

describe("A socket that is cut", () => {
  let server: Server;
  let proxy: CuttingProxy;
  /** How often handlers saw a call, by its name: what comes late of one must not count for the next. */
  const handled = new Map<string, number>();
  let names = 0;
  const connector = createHttp2Connector({ connectTimeoutMs: 2000 });

  before(async () => {
    server = serve({
      routes: createEchoService({
        onCall(_method, _signal, { requestHeader }) {
          const name = requestHeader.get("x-name") ?? "";
          handled.set(name, (handled.get(name) ?? 0) + 1);
        },
      }),
    });
    proxy = await startCuttingProxy((await server.ready).port);
  });
  after(async () => {
    await proxy[Symbol.asyncDispose]();
    await server.close();
  });

  const nextName = () => String(1000 + names++);

  /** Opens a connection and makes the call once it is ready; undefined where it never was. */
  async function callOnce(call: Call, name: string): Promise<PromiseSettledResult<unknown> | undefined> {
    let settle = (): void => {};
    const decided = new Promise<void>((resolve) => {
      settle = resolve;
    });
    const connection: Connection = connector(endpoint("peer", { url: proxy.url }), { onState: () => settle() });
    connection.connect();
    await decided;
    const isReady = connection.state.type === "ready";
    const [result] = isReady
      ? await Promise.allSettled([
          call(createClient(EchoService, connection.transport), { headers: { "x-name": name } }),
        ])
      : [];
    await connection.close();
    return result;
  }

  for (const [kind, call] of Object.entries(calls)) {
    for (const side of ["client", "server"] as const) {
      test(`at every byte of the ${side}'s settles a ${kind} call, with its right fate`, async () => {
        const whole = await callOnce(call, nextName());
        assert.equal(whole?.status, "fulfilled");
        const most = proxy.passed[side];
        const unprocessed: string[] = [];
        let ready = 0;
        for (let bytes = 0; bytes <= most; bytes++) {
          const cut: Cut = { side, bytes, isReset: bytes % 2 === 0 };
          proxy.next = cut;
          const name = nextName();
          const result = await callOnce(call, name);
          if (result === undefined) continue;
          ready++;
          if (result.status === "fulfilled") {
            assert.deepEqual(result, whole);
            assert.equal(handled.get(name), 1, JSON.stringify(cut));
            continue;
          }
          const error = ConnectError.from(result.reason);
          const told = `${JSON.stringify(cut)}: ${error.message}`;
          assert.equal(error.code, Code.Unavailable, told);
          if (callFate(error) === "unprocessed") unprocessed.push(name);
        }
        // What the server was still reading it has read by now.
        await callOnce(call, nextName());
        for (const name of unprocessed) assert.equal(handled.get(name), undefined);
        assert.ok(ready > 20, `${ready} ready`);
      });
    }
  }

  test("at every byte has a balanced call made once or not at all, and answered or failed", async () => {
    for (let bytes = 0; bytes <= 420; bytes++) {
      const transport = createBalancedTransport({
        resolver: createStaticResolver([proxy.url]),
        connector,
        backoff: { initialMs: 1 },
        waitForReady: false,
      });
      proxy.next = { side: bytes % 2 === 0 ? "client" : "server", bytes: bytes >> 1, isReset: bytes % 3 === 0 };
      const name = nextName();
      const client = createClient(EchoService, transport);
      const [result] = await Promise.allSettled([client.unary({ text: "a" }, { headers: { "x-name": name } })]);
      const times = handled.get(name) ?? 0;
      if (result.status === "fulfilled") {
        assert.equal(times, 1);
      } else {
        assert.equal(ConnectError.from(result.reason).code, Code.Unavailable);
        assert.ok(times <= 1);
      }
      await transport.close();
    }
  });
});
