// The transport of a request over sockets, here those of node:net: whom it connects to, whom it calls again, and how it ends.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type CallOptions, Code, createClient } from "@connectrpc/connect";
import { callFate } from "../../src/core/call-fate.ts";
import { createSnapshotCache } from "../../src/edge/snapshot-cache.ts";
import {
  createEdgeTcpTransport,
  type EdgeTcpTransport,
  type EdgeTcpTransportOptions,
} from "../../src/edge/tcp/create-edge-tcp-transport.ts";
import { openTcpSocket } from "../../src/edge/tcp/open-tcp-socket.ts";
import { createTcpConnector } from "../../src/edge/tcp/tcp-connector.ts";
import type { ConnectFunction, SocketAddress } from "../../src/edge/tcp/worker-socket.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { type EchoServer, startEchoServers } from "../support/echo-server.ts";
import { endpoint } from "../support/endpoints.ts";
import { until } from "../support/eventually.ts";
import { rejection } from "../support/rejection.ts";
import { connectByNode, createFakeWorkerSocket } from "../support/tcp-sockets.ts";
import { watchGenerator, watchIterable } from "../support/watched-source.ts";

/** connect() that remembers where it was asked to. */
function watchConnect(connect: ConnectFunction = connectByNode) {
  const addresses: SocketAddress[] = [];
  return {
    addresses,
    connect: ((address, options) => {
      addresses.push(address);
      return connect(address, options);
    }) satisfies ConnectFunction,
  };
}

function open(options: EdgeTcpTransportOptions) {
  const transport = createEdgeTcpTransport({ connect: connectByNode, ...options });
  return { transport, client: createClient(EchoService, transport), [Symbol.asyncDispose]: () => transport.close() };
}

async function* texts(...given: string[]) {
  for (const text of given) yield { text };
}

describe("createEdgeTcpTransport()", () => {
  let servers: EchoServer[] = [];
  let urls: string[] = [];
  before(async () => {
    servers = await startEchoServers("a", "b", "c");
    urls = servers.map(({ address }) => `http://${address.host}:${address.port}`);
  });
  after(async () => {
    await Promise.all(servers.map((server) => server.close()));
  });

  test("makes calls of every kind on one connection", async () => {
    const { connect, addresses } = watchConnect();
    await using opened = open({ endpoints: urls, connect });
    const { client } = opened;
    assert.equal(addresses.length, 0, "nothing before the first call");
    const { server, text } = await client.unary({ text: "u" });
    assert.equal(text, "u");
    const streamed: string[] = [];
    for await (const message of client.serverStream({ text: "s", count: 2 })) streamed.push(message.server);
    for await (const message of client.bidi(texts("x", "y"))) streamed.push(message.server);
    const joined = await client.clientStream(texts("x", "y"));
    assert.deepEqual([joined.text, joined.server, streamed], ["x,y", server, [server, server, server, server]]);
    await Promise.all(Array.from({ length: 20 }, () => client.unary({})));
    assert.equal(addresses.length, 1);
  });

  for (const [kind, watch] of [
    ["a generator", watchGenerator],
    ["an iterable that is opened anew", watchIterable],
  ] as const) {
    test(`ends the caller's messages, out of ${kind}, with a call that fails, ends late or is aborted`, async () => {
      await using opened = open({ endpoints: urls });
      const controller = new AbortController();
      const ends: readonly [code: Code, failCode: number, options: CallOptions][] = [
        [Code.Aborted, Code.Aborted, {}],
        [Code.DeadlineExceeded, 0, { timeoutMs: 100 }],
        [Code.Canceled, 0, { signal: controller.signal }],
      ];
      for (const [code, failCode, options] of ends) {
        const source = watch({ failCode });
        const read = async () => {
          for await (const _message of opened.client.bidi(source.messages, options));
        };
        const failed = rejection(read());
        await until(() => source.asked > 0);
        if (code === Code.Canceled) controller.abort();
        assert.equal((await failed).code, code);
        await until(() => source.wasEnded);
      }
    });
  }

  test("goes on with the turn of the transport before, where they share a cache", async () => {
    const cache = createSnapshotCache();
    const called: string[] = [];
    for (let request = 0; request < 6; request++) {
      await using opened = open({ endpoints: urls, cache });
      called.push((await opened.client.unary({})).server, (await opened.client.unary({})).server);
    }
    const firsts = called.filter((_, index) => index % 2 === 0);
    assert.deepEqual(
      called.filter((_, index) => index % 2 === 1),
      firsts,
    );
    assert.equal(new Set(firsts.slice(0, 3)).size, 3);
    assert.deepEqual(firsts.slice(3), firsts.slice(0, 3));
  });

  test("connects to as many endpoints as it may, and goes round them", async () => {
    const { connect, addresses } = watchConnect();
    await using opened = open({ endpoints: urls, maxConnections: 2, connect });
    const called: string[] = [];
    for (let call = 0; call < 6; call++) called.push((await opened.client.unary({})).server);
    assert.equal(addresses.length, 2);
    assert.equal(called.join(""), `${called[0]}${called[1]}`.repeat(3));
  });

  test("calls at once share a connection that is being opened", async () => {
    const { connect, addresses } = watchConnect();
    await using opened = open({ endpoints: urls, connect });
    const answers = await Promise.all(Array.from({ length: 10 }, () => opened.client.unary({})));
    assert.equal(new Set(answers.map(({ server }) => server)).size, 1);
    assert.equal(addresses.length, 1);
  });

  test("tries the next endpoint where the first refuses, and leaves it alone for a while", async () => {
    const cache = createSnapshotCache();
    // Port 1 refuses.
    const endpoints = ["http://127.0.0.1:1", ...urls.slice(0, 1)];
    const { connect, addresses } = watchConnect();
    for (let request = 0; request < 4; request++) {
      await using opened = open({ endpoints, cache, connect });
      const calls = Array.from({ length: 5 }, () => opened.client.unary({}));
      for (const { server } of await Promise.all(calls)) assert.equal(server, "a");
    }
    assert.equal(addresses.filter(({ port }) => port === 1).length, 1);
  });

  test("fails as unprocessed where nobody can be reached, and says why", async () => {
    await using opened = open({ endpoints: ["http://127.0.0.1:1", "http://[::1]:1"] });
    const error = await rejection(opened.client.unary({}));
    assert.deepEqual([error.code, callFate(error)], [Code.Unavailable, "unprocessed"]);
    assert.match(error.message, /none of 2 endpoints .*annot connect to http:\/\/.*:1: .*ECONNREFUSED/);
    const read = async () => {
      for await (const _message of opened.client.bidi(texts("x")));
    };
    assert.equal((await rejection(read())).code, Code.Unavailable);
  });

  test("refuses https, as Workers' sockets have no ALPN, unless it is told that the server does without", async () => {
    const { connect, addresses } = watchConnect();
    await using opened = open({ endpoints: ["https://a.test"], connect });
    const error = await rejection(opened.client.unary({}));
    assert.match(error.message, /offer no ALPN.*RFC 9113.*"tlsWithoutAlpn"/);
    assert.deepEqual(addresses, []);
    const asked: unknown[] = [];
    const fake: ConnectFunction = (...given) => {
      asked.push(given);
      return createFakeWorkerSocket();
    };
    const { signal } = new AbortController();
    for (const url of ["https://a.test", "https://[::1]:8443", "http://b.test"]) {
      (await openTcpSocket(endpoint("x", { url }), signal, { connect: fake, tlsWithoutAlpn: true })).destroy();
    }
    assert.deepEqual(asked, [
      [
        { hostname: "a.test", port: 443 },
        { secureTransport: "on", allowHalfOpen: true },
      ],
      [
        { hostname: "[::1]", port: 8443 },
        { secureTransport: "on", allowHalfOpen: true },
      ],
      [
        { hostname: "b.test", port: 80 },
        { secureTransport: "off", allowHalfOpen: true },
      ],
    ]);
  });

  test("says so where the runtime has no sockets of this kind", async () => {
    await using transport = createEdgeTcpTransport({ endpoints: urls });
    const error = await rejection(createClient(EchoService, transport).unary({}));
    assert.match(error.message, /this runtime has no module cloudflare:sockets; elsewhere "connect" must be given/);
  });

  test("gives up connecting at the deadline, and closes what it had begun", async () => {
    const sockets: ReturnType<typeof createFakeWorkerSocket>[] = [];
    const connect: ConnectFunction = () => {
      const socket = { ...createFakeWorkerSocket(), opened: new Promise(() => {}) };
      const closing = Object.assign(socket, {
        close: async () => {
          closed++;
        },
      });
      sockets.push(closing);
      return closing;
    };
    let closed = 0;
    {
      await using opened = open({ endpoints: urls, connect });
      const error = await rejection(opened.client.unary({}, { timeoutMs: 50 }));
      assert.equal(error.code, Code.DeadlineExceeded);
    }
    assert.equal(sockets.length, 1);
    await until(() => closed === 1);
  });

  test("leaves endpoints that discovery lists no more", async () => {
    let list = urls.slice(0, 1);
    const source = {
      description: "the test's list",
      read: () =>
        Promise.resolve({
          endpoints: list.map((url) => endpoint(url, { url })),
          confirmedAtMs: Date.now(),
        }),
    };
    const { connect, addresses } = watchConnect();
    await using opened = open({ source, maxAgeMs: 0, connect });
    assert.equal((await opened.client.unary({})).server, "a");
    list = urls.slice(1, 2);
    await until(async () => (await opened.client.unary({})).server === "b");
    assert.equal(addresses.length, 2);
  });

  test("close() refuses new calls, cuts those under way, and waits for nobody", async () => {
    const { transport, client } = open({ endpoints: urls });
    const running = rejection(client.unary({ delayMs: 20_000 }));
    await client.unary({});
    const startMs = performance.now();
    await transport.close();
    assert.equal(transport.close(), transport.close());
    assert.equal((await running).code, Code.Unavailable);
    assert.ok(performance.now() - startMs < 1000);
    const late = await rejection(client.unary({}));
    assert.deepEqual([late.code, late.rawMessage], [Code.Canceled, "the transport is closed"]);
  });

  test("close() lets calls finish for as long as it is told", async () => {
    const { transport, client } = open({ endpoints: urls, closeGraceMs: 5000 });
    await client.unary({});
    const running = client.unary({ text: "finished", delayMs: 100 });
    await until(() => servers.some(({ calls }) => calls > 0));
    // The call has to be on its connection.
    await new Promise((resolve) => setTimeout(resolve, 20));
    await transport.close();
    assert.equal((await running).text, "finished");
  });

  test("throws for options that are no good", () => {
    const bad: readonly [object, RegExp][] = [
      [{ maxConnections: 0 }, /"maxConnections" must be an integer of at least 1: received 0/],
      [{ maxConnections: 1.5 }, /"maxConnections"/],
      [{ closeGraceMs: -1 }, /"closeGraceMs" must be >= 0: received -1/],
      [{ connect: "tcp" }, /"connect" must be a function: received string/],
      [{ connectTimeoutMs: 0 }, /"connectTimeoutMs" must be > 0/],
      [{ maxReceiveBytes: 0 }, /"maxReceiveBytes"/],
      [{ acceptCompression: "gzip" }, /"acceptCompression" must be a list of compressions/],
      [{ sendCompression: "gzip" }, /"sendCompression" must be a compression/],
      [{ endpoints: undefined }, /must say where the servers are/],
    ];
    for (const [options, message] of bad) {
      const make = (): EdgeTcpTransport => createEdgeTcpTransport({ endpoints: urls, ...options });
      assert.throws(make, message, JSON.stringify(options));
    }
    assert.throws(() => createTcpConnector({ connectTimeoutMs: Number.NaN }), RangeError);
  });
});
