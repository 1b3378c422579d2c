// Edge calls over real sockets: both protocols in both formats against our own server, and servers that break in every way.

import assert from "node:assert/strict";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { describe, test } from "node:test";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { callFate } from "../../src/core/call-fate.ts";
import { createEdgeTransport } from "../../src/edge/create-edge-transport.ts";
import type { EdgeTransportOptions } from "../../src/edge/edge-options.ts";
import { serve } from "../../src/server/serve.ts";
import { EchoService, UnaryRequestSchema } from "../gen/lictor/test/v1/echo_pb.ts";
import { startEchoServer, startEchoServers } from "../support/echo-server.ts";
import { createEchoService } from "../support/echo-service.ts";
import { collect } from "../support/edge-fakes.ts";
import { eventually } from "../support/eventually.ts";
import { noIpv6 } from "../support/ipv6.ts";
import { rejection } from "../support/rejection.ts";

/** A server on TCP that takes a request and then does what the test says. */
async function startRaw(
  onRequest: (socket: Socket) => void,
): Promise<{ url: string; seen(): number } & AsyncDisposable> {
  const sockets = new Set<Socket>();
  let seen = 0;
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("data", (data) => {
      if (!/^(POST|GET) /.test(data.toString("latin1"))) return;
      seen++;
      onRequest(socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen: () => seen,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A port that nobody listens on. */
async function refusingUrl(): Promise<string> {
  const raw = await startRaw(() => {});
  await raw[Symbol.asyncDispose]();
  return raw.url;
}

function open(endpoints: EdgeTransportOptions["endpoints"] & {}, options: Partial<EdgeTransportOptions> = {}) {
  return createClient(EchoService, createEdgeTransport({ endpoints, ...options }));
}

const variants = [
  { protocol: "connect", useBinaryFormat: true },
  { protocol: "connect", useBinaryFormat: false },
  { protocol: "connect", useBinaryFormat: true, useHttpGet: true },
  { protocol: "grpc-web", useBinaryFormat: true },
  { protocol: "grpc-web", useBinaryFormat: false },
] as const;

for (const variant of variants) {
  const { protocol, useBinaryFormat } = variant;
  const get = "useHttpGet" in variant ? " and GET" : "";
  describe(`${protocol} with ${useBinaryFormat ? "binary" : "JSON"}${get}`, () => {
    test("carries messages, headers and trailers", async () => {
      await using server = await startEchoServer("one");
      const client = open([server.address.url], variant);
      const payload = new Uint8Array(1_000_000).fill(7);
      let header = "";
      let trailer = "";
      const {
        text,
        server: name,
        payload: echoed,
      } = await client.unary(
        { text: "héllo", payload },
        {
          headers: { "x-echo": "there" },
          onHeader: (headers) => {
            header = headers.get("x-echo-header") ?? "";
          },
          onTrailer: (trailers) => {
            trailer = trailers.get("x-echo-trailer") ?? "";
          },
        },
      );
      assert.deepEqual(
        [text, name, echoed.length, echoed[999_999], header, trailer],
        ["héllo", "one", 1_000_000, 7, "there", "there"],
      );
      assert.equal((await client.unaryIdempotent({ text: "safe" })).text, "safe");
    });

    test("streams messages as they come", async () => {
      const gate = Promise.withResolvers<void>();
      const server = serve({
        routes: (router) =>
          router.service(EchoService, {
            async *serverStream() {
              yield { text: "first" };
              await gate.promise;
              yield { text: "second" };
            },
          }),
      });
      const { url } = await server.ready;
      const texts: string[] = [];
      for await (const { text } of open([url], variant).serverStream({})) {
        texts.push(text);
        gate.resolve();
      }
      assert.deepEqual(texts, ["first", "second"]);
      await server.close();
    });

    test("carries errors with metadata and details, before and after a stream's messages", async () => {
      const server = serve({
        routes: (router) => {
          const fail = () => {
            throw new ConnectError("no", Code.FailedPrecondition, { "x-why": "because" }, [
              { desc: UnaryRequestSchema, value: { text: "detail" } },
            ]);
          };
          router.service(EchoService, {
            unary: fail,
            unaryIdempotent: fail,
            async *serverStream({ count }) {
              for (let index = 0; index < count; index++) yield { index };
              fail();
            },
          });
        },
      });
      const { url } = await server.ready;
      const client = open([url], variant);
      const check = (error: ConnectError) => {
        assert.deepEqual([error.code, error.rawMessage], [Code.FailedPrecondition, "no"]);
        assert.equal(error.metadata.get("x-why"), "because");
        assert.equal(error.findDetails(UnaryRequestSchema)[0]?.text, "detail");
      };
      check(await rejection(client.unary({})));
      check(await rejection(client.unaryIdempotent({})));
      check(await rejection(collect(client.serverStream({ count: 0 }))));
      const seen: number[] = [];
      check(
        await rejection(
          (async () => {
            for await (const { index } of client.serverStream({ count: 3 })) seen.push(index);
          })(),
        ),
      );
      assert.deepEqual(seen, [0, 1, 2]);
      await server.close();
    });

    test("ends at the deadline, on both sides", async () => {
      let serverSignal: AbortSignal | undefined;
      const server = serve({
        routes: createEchoService({
          onCall: (_, signal) => {
            serverSignal = signal;
          },
        }),
      });
      const { url } = await server.ready;
      const client = open([url], variant);
      assert.equal(
        (await rejection(client.unary({ delayMs: 60_000 }, { timeoutMs: 500 }))).code,
        Code.DeadlineExceeded,
      );
      await eventually("the server's handler is told", () => serverSignal?.aborted === true);
      serverSignal = undefined;
      const stream = collect(client.serverStream({ count: 2, delayMs: 60_000 }, { timeoutMs: 500 }));
      assert.equal((await rejection(stream)).code, Code.DeadlineExceeded);
      await eventually(
        "the server's handler is told",
        () => (serverSignal as AbortSignal | undefined)?.aborted === true,
      );
      await server.close();
    });

    test("is cancelled by the caller's signal, on both sides", async () => {
      let serverSignal: AbortSignal | undefined;
      const server = serve({
        routes: createEchoService({
          onCall: (_, signal) => {
            serverSignal = signal;
          },
        }),
      });
      const { url } = await server.ready;
      const client = open([url], variant);
      for (const start of [
        (signal: AbortSignal) => client.unary({ delayMs: 60_000 }, { signal }),
        (signal: AbortSignal) => collect(client.serverStream({ count: 2, delayMs: 60_000 }, { signal })),
      ]) {
        serverSignal = undefined;
        const controller = new AbortController();
        const failing = rejection(start(controller.signal));
        await eventually("the call has arrived", () => serverSignal !== undefined);
        controller.abort();
        assert.equal((await failing).code, Code.Canceled);
        await eventually("the server's handler is told", () => serverSignal?.aborted === true);
      }
      await server.close();
    });
  });
}

describe("over sockets that break", () => {
  test("an idempotent call never fails while one of two servers is gone, and the calls after it do not try again", async () => {
    const [kept, ended] = await startEchoServers("kept", "ended");
    await using server = kept!;
    const client = open([server.address.url, ended!.address.url]);
    const names = new Set<string>();
    for (let i = 0; i < 4; i++) names.add((await client.unaryIdempotent({})).server);
    assert.equal(names.size, 2);
    await ended!.close();
    for (let i = 0; i < 6; i++) assert.equal((await client.unaryIdempotent({})).server, "kept");
    for (let i = 0; i < 6; i++) assert.equal((await client.unary({})).server, "kept");
  });

  test("a refused port proves on Bun and Node that nothing was sent; where it does not, only what may be repeated moves on", async () => {
    await using server = await startEchoServer("there");
    const dead = await refusingUrl();
    const proves = !("Deno" in globalThis);
    const client = () =>
      open([
        { url: dead, id: "0" },
        { url: server.address.url, id: "1" },
      ]);
    if (proves) {
      assert.equal((await client().unary({})).server, "there");
      assert.equal((await collect(client().serverStream({ count: 1 })))[0]?.server, "there");
    } else {
      for (const call of [client().unary({}), collect(client().serverStream({ count: 1 }))]) {
        const error = await rejection(call);
        assert.deepEqual([error.code, callFate(error)], [Code.Unavailable, "maybe-processed"]);
        assert.ok(error.rawMessage.startsWith(`no answer from ${dead}: `));
      }
    }
    assert.equal((await client().unaryIdempotent({})).server, "there");
    assert.equal(callFate(await rejection(open([dead]).unary({}))), proves ? "unprocessed" : "maybe-processed");
  });

  for (const [what, breakOff] of [
    ["before an answer", (socket: Socket) => socket.destroy()],
    [
      "within the answer",
      (socket: Socket) => {
        socket.write("HTTP/1.1 200 OK\r\nContent-Type: application/proto\r\nContent-Length: 100\r\n\r\nabc");
        setTimeout(() => socket.destroy(), 20);
      },
    ],
  ] as const) {
    test(`a connection that is lost ${what} fails a call as unavailable, and moves an idempotent one on`, async () => {
      await using server = await startEchoServer("there");
      await using raw = await startRaw(breakOff);
      const client = () =>
        open([
          { url: raw.url, id: "0" },
          { url: server.address.url, id: "1" },
        ]);
      const error = await rejection(client().unary({}));
      assert.deepEqual([error.code, callFate(error)], [Code.Unavailable, "maybe-processed"]);
      assert.ok(error.rawMessage.startsWith(`no answer from ${raw.url}: `), error.rawMessage);
      assert.equal((await client().unaryIdempotent({})).server, "there");
    });
  }

  test("a stream that is cut fails as unavailable after the messages it had, and its endpoint is avoided", async () => {
    await using server = await startEchoServer("there");
    // One message by Connect's streaming protocol: flags, length, {"index":1}.
    await using raw = await startRaw((socket) => {
      socket.write("HTTP/1.1 200 OK\r\nContent-Type: application/connect+json\r\nTransfer-Encoding: chunked\r\n\r\n");
      socket.write('10\r\n\x00\x00\x00\x00\x0b{"index":1}\r\n');
      setTimeout(() => socket.destroy(), 50);
    });
    const client = open(
      [
        { url: raw.url, id: "0" },
        { url: server.address.url, id: "1" },
      ],
      { useBinaryFormat: false },
    );
    const seen: number[] = [];
    const error = await rejection(
      (async () => {
        for await (const { index } of client.serverStream({ count: 3 })) seen.push(index);
      })(),
    );
    assert.deepEqual([error.code, seen], [Code.Unavailable, [1]]);
    assert.ok(error.rawMessage.startsWith(`no answer from ${raw.url}: `), error.rawMessage);
    for (let i = 0; i < 3; i++) assert.equal((await client.unary({})).server, "there");
  });

  test("a server of another kind is named", async () => {
    await using raw = await startRaw((socket) => {
      socket.end("HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi");
    });
    const error = await rejection(open([raw.url]).unary({}));
    assert.equal(error.code, Code.Unimplemented);
    assert.equal(error.rawMessage, `HTTP 404: ${raw.url} did not answer as a Connect or gRPC-Web server does`);
  });

  test("a redirect is not followed", async () => {
    await using server = await startEchoServer("elsewhere");
    await using raw = await startRaw((socket) => {
      socket.end(`HTTP/1.1 307 Temporary Redirect\r\nLocation: ${server.address.url}\r\nContent-Length: 0\r\n\r\n`);
    });
    const error = await rejection(open([raw.url]).unary({}));
    assert.equal(error.code, Code.Unknown);
    assert.match(error.rawMessage, /redirect/);
    assert.equal(server.calls, 0);
  });
});

test("an endpoint with an IPv6 address is called", { skip: noIpv6 }, async () => {
  await using server = await startEchoServer("six", { host: "::1" });
  assert.match(server.address.url, /\[::1\]/);
  assert.equal((await open([server.address.url]).unary({})).server, "six");
});

test("GET goes out for methods without side effects only", async () => {
  const methods: string[] = [];
  await using server = await startEchoServer("one");
  const client = open([server.address.url], {
    useHttpGet: true,
    fetch: (url, init) => {
      methods.push(`${init.method} ${new URL(url).searchParams.has("message")}`);
      return fetch(url, init);
    },
  });
  await client.unary({});
  await client.unaryIdempotent({});
  assert.deepEqual(methods, ["POST false", "GET true"]);
});
