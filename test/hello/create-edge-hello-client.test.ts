// The edge's HelloService client: its default service, its checks, and calls that outlive a server.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Code } from "@connectrpc/connect";
import { createEdgeHelloClient } from "../../src/hello/create-edge-hello-client.ts";
import { createHelloService } from "../../src/hello/hello-service.ts";
import { serve } from "../../src/server/serve.ts";
import { startEmbeddedConsul } from "../../src/testing/embedded-consul.ts";
import { rejection } from "../support/rejection.ts";

describe("createEdgeHelloClient() of the edge", () => {
  test("finds HelloService in Consul by options and by a target, and goes on when a server dies", async () => {
    await using agent = await startEmbeddedConsul();
    const servers = [0, 1].map(() => serve({ routes: createHelloService(), consul: agent.address, drainMarginMs: 0 }));
    for (const server of servers) {
      await server.ready;
      await server.registration?.registered;
    }
    const clients = [
      createEdgeHelloClient({ consul: agent.address }),
      createEdgeHelloClient(`consul://${new URL(agent.address).host}`),
      createEdgeHelloClient({ target: `consul://${new URL(agent.address).host}/HelloService`, protocol: "grpc-web" }),
    ];
    for (const client of clients) {
      const messages = new Set<string>();
      for (let i = 0; i < 4; i++) {
        const { message, result } = await client.sayHello({ name: "you", num1: 2, num2: 3 });
        assert.match(message, /^Hello! you!This is Server: 127\.0\.0\.1:\d+$/);
        assert.equal(result, 5);
        messages.add(message);
      }
      assert.equal(messages.size, 2);
      assert.equal(client.discovery().endpoints.length, 2);
    }
    await servers[0]!.close();
    for (const client of clients) for (let i = 0; i < 4; i++) await client.sayHello({ name: "you" });
    await servers[1]!.close();
  });

  test("asks the agent of this host where it is told nothing", async () => {
    const error = await rejection(
      createEdgeHelloClient({ consul: { fetch: () => Promise.reject(new Error("nobody")) } }).sayHello({}),
    );
    assert.match(error.rawMessage, /^no answer about service "HelloService" of Consul at http:\/\/127\.0\.0\.1:8500: /);
    createEdgeHelloClient();
  });

  test("takes a fixed list, and refuses numbers that are no int32 before anything is sent", async () => {
    let calls = 0;
    const client = createEdgeHelloClient({
      endpoints: ["http://a.test:1"],
      useBinaryFormat: false,
      fetch: async () => {
        calls++;
        return Response.json({ message: "Hi", result: 1 });
      },
    });
    for (const request of [{ num1: 2 ** 31 }, { num2: 0.5 }]) {
      assert.equal((await rejection(client.sayHello(request))).code, Code.InvalidArgument);
    }
    assert.equal(calls, 0);
    assert.equal((await client.sayHello({ num1: 1 })).message, "Hi");
  });
});
