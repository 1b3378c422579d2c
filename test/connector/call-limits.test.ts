// How many calls a client has at a time on the connection to an endpoint, and how many wait there: over sockets, with real servers.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Code, createClient, createContextValues } from "@connectrpc/connect";
import { createHttp2Connector } from "../../src/connector/http2-connector.ts";
import { createNodeHttp2Connector } from "../../src/connector/node-http2-connector.ts";
import type { SocketConnectorOptions } from "../../src/connector/socket-connector.ts";
import { callFate } from "../../src/core/call-fate.ts";
import { createStaticResolver } from "../../src/resolver/static-resolver.ts";
import { serve } from "../../src/server/serve.ts";
import { createBalancedTransport } from "../../src/transport/balanced-transport.ts";
import { waitForReady } from "../../src/transport/call/wait-for-ready.ts";
import { callAttempts } from "../../src/transport/retry/call-attempts.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { connectorKinds } from "../support/connector-kinds.ts";
import { eventually, pause } from "../support/eventually.ts";
import { rejection } from "../support/rejection.ts";

/** A server that knows how many calls it has, and how many it had at most. */
async function startCountingServer(name: string) {
  const count = { now: 0, most: 0, all: 0 };
  const server = serve({
    routes: (router) => {
      router.service(EchoService, {
        async unary({ text, delayMs }) {
          count.all++;
          count.most = Math.max(count.most, ++count.now);
          await pause(delayMs);
          count.now--;
          return { text, server: name };
        },
        async *serverStream({ text, delayMs, count: messages }) {
          count.most = Math.max(count.most, ++count.now);
          for (let index = 0; index < messages; index++) {
            await pause(delayMs);
            yield { text, index, server: name };
          }
          count.now--;
        },
      });
    },
    drainMarginMs: 0,
  });
  const { port } = await server.ready;
  return { count, url: `http://127.0.0.1:${port}`, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

function callerOf(urls: readonly string[], limits: SocketConnectorOptions, waitForReady = true) {
  const transport = createBalancedTransport({
    resolver: createStaticResolver(urls),
    connector: createHttp2Connector(limits),
    waitForReady,
  });
  return { transport, client: createClient(EchoService, transport) };
}

describe("maxConcurrentCallsPerEndpoint", () => {
  test("holds on each connection; what goes beyond waits its turn there", async () => {
    await using a = await startCountingServer("a");
    await using b = await startCountingServer("b");
    const { client, transport } = callerOf([a.url, b.url], { maxConcurrentCallsPerEndpoint: 3 });
    await using _ = transport;
    await Promise.all(Array.from({ length: 30 }, () => client.unary({ delayMs: 10 })));
    assert.deepEqual([a.count.most, b.count.most], [3, 3]);
    assert.deepEqual([a.count.all, b.count.all], [15, 15]);
  });

  test("counts streams too", async () => {
    await using a = await startCountingServer("a");
    const { client, transport } = callerOf([a.url], { maxConcurrentCallsPerEndpoint: 2 });
    await using _ = transport;
    const streams = Array.from({ length: 6 }, async () => {
      let messages = 0;
      for await (const _message of client.serverStream({ count: 3, delayMs: 1 })) messages++;
      return messages;
    });
    assert.deepEqual(await Promise.all(streams), [3, 3, 3, 3, 3, 3]);
    assert.equal(a.count.most, 2);
  });
});

describe("maxPendingCallsPerEndpoint", () => {
  test("sends a call elsewhere at once where one endpoint is full", async () => {
    await using a = await startCountingServer("a");
    await using b = await startCountingServer("b");
    const limits = { maxConcurrentCallsPerEndpoint: 2, maxPendingCallsPerEndpoint: 0 };
    const { client, transport } = callerOf([a.url, b.url], limits);
    await using _ = transport;
    await client.unary({});
    await client.unary({});
    // Two that stay, on one of the two; the others find room on the other.
    const turns = [client.unary({ delayMs: 400 }), client.unary({}), client.unary({ delayMs: 400 })];
    await turns[1];
    await eventually("both are there", () => a.count.now + b.count.now === 2);
    const [full, free] = a.count.now === 2 ? [a, b] : [b, a];
    assert.deepEqual([full.count.now, free.count.now], [2, 0]);
    for (let i = 0; i < 6; i++) await client.unary({});
    assert.equal(free.count.all, 1 + 1 + 6);
    await Promise.all(turns);
  });

  test("has calls wait for room where every endpoint is full, and fails none", async () => {
    await using a = await startCountingServer("a");
    const limits = { maxConcurrentCallsPerEndpoint: 2, maxPendingCallsPerEndpoint: 1 };
    const { client, transport } = callerOf([a.url], limits);
    await using _ = transport;
    await Promise.all(Array.from({ length: 12 }, () => client.unary({ delayMs: 5 }, { timeoutMs: 10_000 })));
    assert.equal(a.count.most, 2);
    assert.equal(a.count.all, 12);
  });

  test("fails the others at once, as never sent, where calls are not to wait", async () => {
    await using a = await startCountingServer("a");
    const limits = { maxConcurrentCallsPerEndpoint: 1, maxPendingCallsPerEndpoint: 1 };
    const { client, transport } = callerOf([a.url], limits, false);
    await using _ = transport;
    await client.unary({});
    const patient = createContextValues().set(waitForReady, true);
    const taken = [client.unary({ delayMs: 500 }), client.unary({})];
    const error = await rejection(client.unary({}));
    assert.equal(error.code, Code.ResourceExhausted);
    assert.match(error.rawMessage, /takes no more calls now: 1 are under way, 1 wait/);
    assert.deepEqual([callFate(error), callAttempts(error)], ["unprocessed", 0]);
    const late = await rejection(client.unary({}, { timeoutMs: 30, contextValues: patient }));
    assert.deepEqual([late.code, callFate(late), callAttempts(late)], [Code.DeadlineExceeded, "unprocessed", 0]);
    await Promise.all(taken);
  });
});

for (const kind of connectorKinds)
  test(`an answer that is larger than the service config has it ends the call at its server, over ${kind.name}()`, async () => {
    let sent = 0;
    let aborted = false;
    const server = serve({
      routes: (router) => {
        router.service(EchoService, {
          async *serverStream(_, { signal }) {
            signal.addEventListener("abort", () => {
              aborted = true;
            });
            for (; !signal.aborted; sent++) {
              yield { text: "x".repeat(sent === 2 ? 5000 : 1) };
              await pause(5);
            }
          },
        });
      },
      drainMarginMs: 0,
      graceMs: 0,
    });
    await using _ = server;
    const { port } = await server.ready;
    await using transport = createBalancedTransport({
      resolver: createStaticResolver([`http://127.0.0.1:${port}`]),
      connector: kind.create(),
      serviceConfig: { methodConfig: [{ name: [{}], maxResponseMessageBytes: 1000 }] },
    });
    const read = async () => {
      for await (const _ of createClient(EchoService, transport).serverStream({}));
    };
    assert.match((await rejection(read())).rawMessage, /maxResponseMessageBytes 1000$/);
    await eventually("the handler is told", () => aborted);
    await eventually("nothing is under way", () => transport.status().endpoints[0]?.calls.active === 0);
  });

describe("limits per endpoint", () => {
  test("are refused where they are no counts", () => {
    for (const value of [0, -1, 1.5, Number.NaN, "5" as never, 2 ** 31]) {
      assert.throws(() => createHttp2Connector({ maxConcurrentCallsPerEndpoint: value }), RangeError);
    }
    for (const value of [-1, 1.5, Number.NaN, "5" as never]) {
      assert.throws(() => createHttp2Connector({ maxPendingCallsPerEndpoint: value }), RangeError);
    }
    createHttp2Connector({ maxPendingCallsPerEndpoint: 0 });
  });

  test("are refused by the connector over node:http2, which has none", () => {
    for (const name of ["maxConcurrentCallsPerEndpoint", "maxPendingCallsPerEndpoint"]) {
      assert.throws(
        () => createNodeHttp2Connector({ [name]: 5 } as never),
        (error: unknown) =>
          error instanceof TypeError && error.message.includes(`"${name}" is an option of createHttp2Connector`),
      );
    }
  });
});
