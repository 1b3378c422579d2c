// Hedged calls over sockets: a server that does not answer is overtaken by one that does, and hears that it is no longer asked.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { callFate } from "../../src/core/call-fate.ts";
import { createStaticResolver } from "../../src/resolver/static-resolver.ts";
import { serve } from "../../src/server/serve.ts";
import { createBalancedTransport } from "../../src/transport/balanced-transport.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { connectorKinds } from "../support/connector-kinds.ts";
import { startEchoServer } from "../support/echo-server.ts";
import { eventually } from "../support/eventually.ts";
import { rejection } from "../support/rejection.ts";

/** A server that takes calls and never answers, and counts those that were given up. */
async function startSilentServer() {
  const seen = { calls: 0, ended: 0 };
  const hang = (signal: AbortSignal): Promise<never> => {
    seen.calls++;
    return new Promise((_, reject) => {
      signal.addEventListener("abort", () => {
        seen.ended++;
        reject(signal.reason);
      });
    });
  };
  const server = serve({
    graceMs: 1000,
    routes: (router) => {
      router.service(EchoService, {
        unary: (_, { signal }) => hang(signal),
        async *serverStream(_, { signal }) {
          yield await hang(signal);
        },
        async clientStream(requests, { signal }) {
          for await (const _ of requests);
          return hang(signal);
        },
      });
    },
  });
  return { seen, address: await server.ready, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

for (const kind of connectorKinds) {
  describe(`hedged calls over ${kind.name}()`, { timeout: 30_000 }, () => {
    test("are answered by whoever answers, and end elsewhere", async () => {
      await using silent = await startSilentServer();
      await using answering = await startEchoServer("answering");
      const urls = [silent.address, answering.address].map(({ port }) => `http://127.0.0.1:${port}`);
      const hedgingPolicy = { maxAttempts: 2, hedgingDelay: "0.02s", nonFatalStatusCodes: ["UNAVAILABLE"] };
      await using transport = createBalancedTransport({
        resolver: createStaticResolver(urls),
        connector: kind.create(),
        serviceConfig: { methodConfig: [{ name: [{ service: EchoService.typeName }], hedgingPolicy }] },
      });
      const client = createClient(EchoService, transport);
      async function* texts() {
        yield { text: "p" };
        yield { text: "q" };
      }
      for (let round = 0; round < 4; round++) {
        assert.equal((await client.unary({ text: "x" })).server, "answering");
        assert.equal((await client.clientStream(texts())).text, "p,q");
        const streamed: string[] = [];
        for await (const { text, index } of client.serverStream({ text: "s", count: 2 })) streamed.push(text + index);
        assert.deepEqual(streamed, ["s0", "s1"]);
      }
      assert.ok(silent.seen.calls > 0);
      await eventually("what the silent server had is given up", () => silent.seen.ended === silent.seen.calls);
    });

    test("heed what servers ask for: another attempt later, or none", async () => {
      let pushback = "";
      const times: number[] = [];
      const attemptsBefore: (string | null)[] = [];
      await using server = serve({
        graceMs: 1000,
        routes: (router) => {
          router.service(EchoService, {
            unary(_, { requestHeader }) {
              times.push(performance.now());
              attemptsBefore.push(requestHeader.get("grpc-previous-rpc-attempts"));
              throw new ConnectError("busy", Code.Unavailable, { "grpc-retry-pushback-ms": pushback });
            },
          });
        },
      });
      const { port } = await server.ready;
      const hedgingPolicy = { maxAttempts: 2, hedgingDelay: "20s", nonFatalStatusCodes: ["UNAVAILABLE"] };
      await using transport = createBalancedTransport({
        resolver: createStaticResolver([`http://127.0.0.1:${port}`]),
        connector: kind.create(),
        serviceConfig: { methodConfig: [{ name: [{}], hedgingPolicy }] },
      });
      const client = createClient(EchoService, transport);
      const attemptsWith = async (text: string, timeoutMs?: number): Promise<number> => {
        pushback = text;
        times.length = 0;
        const error = await rejection(client.unary({}, timeoutMs === undefined ? {} : { timeoutMs }));
        assert.equal(error.code, Code.Unavailable);
        assert.equal(callFate(error), "answered");
        return times.length;
      };
      assert.equal(await attemptsWith("-1"), 1);
      assert.equal(await attemptsWith("soon"), 1);
      attemptsBefore.length = 0;
      assert.equal(await attemptsWith("100"), 2);
      const [first = 0, second = 0] = times;
      assert.ok(second - first >= 90, `${second - first}`);
      assert.deepEqual(attemptsBefore, [null, "1"]);
      // It would begin after the deadline: the call fails with what it has, at once.
      assert.equal(await attemptsWith("9000", 5000), 1);
    });

    test("go on with one attempt alone once more was sent than is kept", async () => {
      await using first = await startSilentServer();
      await using second = await startSilentServer();
      const urls = [first.address, second.address].map(({ port }) => `http://127.0.0.1:${port}`);
      const hedgingPolicy = { maxAttempts: 2, hedgingDelay: "0.1s" };
      await using transport = createBalancedTransport({
        resolver: createStaticResolver(urls),
        connector: kind.create(),
        retryBufferBytes: 100,
        serviceConfig: { methodConfig: [{ name: [{}], hedgingPolicy }] },
      });
      const client = createClient(EchoService, transport);
      const attemptsOf = async (bytes: number): Promise<number> => {
        const before = first.seen.calls + second.seen.calls;
        async function* texts() {
          yield { text: "p".repeat(bytes) };
          yield { text: "q" };
        }
        const error = await rejection(client.clientStream(texts(), { timeoutMs: 400 }));
        assert.equal(error.code, Code.DeadlineExceeded);
        return first.seen.calls + second.seen.calls - before;
      };
      assert.equal(await attemptsOf(50), 2);
      assert.equal(await attemptsOf(200), 1);
    });
  });
}
