import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  Code,
  ConnectError,
  createClient,
  createContextKey,
  createContextValues,
  type Transport,
} from "@connectrpc/connect";
import { createTransport } from "@connectrpc/connect/protocol-grpc";
import { createConnectTransport, createGrpcTransport, createNodeHttpClient } from "@connectrpc/connect-node";
import { createPerOriginSessions } from "../../src/connector/per-origin-sessions.ts";
import { createManualClock } from "../../src/testing/manual-clock.ts";
import { discoveryInterceptor } from "../../src/transport/discovery-interceptor.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { createHandResolver, endpoint } from "../support/endpoints.ts";
import { startH1Peer, startH2Peer } from "../support/h2-peer.ts";
import { rejection } from "../support/rejection.ts";

async function servers(transport: Transport, calls: number): Promise<string> {
  const client = createClient(EchoService, transport);
  let names = "";
  for (let i = 0; i < calls; i++) names += (await client.unary({ text: "x" })).server;
  return names;
}

describe("discoveryInterceptor()", () => {
  test("spreads a connect-node HTTP/1.1 transport's calls round the endpoints", async () => {
    const peers = await Promise.all(["a", "b", "c"].map((name) => startH1Peer({ name })));
    const resolver = createHandResolver(peers.map((peer, i) => endpoint(String(i), { url: peer.url })));
    const discovery = discoveryInterceptor({ resolver });
    const transport = createConnectTransport({
      baseUrl: "http://unused.invalid",
      httpVersion: "1.1",
      interceptors: [discovery],
    });
    assert.equal(await servers(transport, 6), "abcabc");
    resolver.push([endpoint("0", { url: peers[0]!.url })]);
    assert.equal(await servers(transport, 2), "aa");
    await discovery.close();
    assert.equal(resolver.listeners, 0);
    assert.equal((await rejection(servers(transport, 1))).code, Code.Canceled);
    await Promise.all(peers.map((peer) => peer.close()));
  });

  test("spreads a connect-node HTTP/2 transport's calls with one session an origin", async () => {
    const peers = await Promise.all(["a", "b"].map((name) => startH2Peer({ name })));
    const resolver = createHandResolver(peers.map((peer, i) => endpoint(String(i), { url: peer.url })));
    const discovery = discoveryInterceptor({ resolver });
    const sessions = createPerOriginSessions();
    const transport = createTransport({
      baseUrl: "http://unused.invalid",
      httpClient: createNodeHttpClient({ httpVersion: "2", sessionProvider: sessions.sessionProvider }),
      interceptors: [discovery],
      useBinaryFormat: true,
      acceptCompression: [],
      sendCompression: null,
      compressMinBytes: 1024,
      readMaxBytes: 0xffff_ffff,
      writeMaxBytes: 0xffff_ffff,
    });
    assert.equal(await servers(transport, 4), "abab");
    await discovery.close();
    await sessions.close();
    await Promise.all(peers.map((peer) => peer.close()));
  });

  test("says on the first call that a transport with one HTTP/2 session follows no other origin", async () => {
    const resolver = createHandResolver([endpoint("a", { url: "http://127.0.0.1:1" })]);
    const discovery = discoveryInterceptor({ resolver });
    const transport = createGrpcTransport({ baseUrl: "http://127.0.0.1:2", interceptors: [discovery] });
    const error = await rejection(servers(transport, 1));
    assert.equal(error.code, Code.FailedPrecondition);
    assert.match(error.rawMessage, /createPerOriginSessions/);
    await discovery.close();
  });

  test("waits for the first answer, fails as unavailable after waitTimeoutMs or when there is no endpoint", async () => {
    const clock = createManualClock();
    const resolver = createHandResolver();
    const discovery = discoveryInterceptor({ resolver, clock });
    const transport = createConnectTransport({
      baseUrl: "http://unused.invalid",
      httpVersion: "1.1",
      interceptors: [discovery],
    });
    const pending = rejection(servers(transport, 1));
    await clock.advance(0);
    resolver.fail(new Error("connection refused"));
    await clock.advance(10_000);
    const error = await pending;
    assert.equal(error.code, Code.Unavailable);
    assert.match(error.rawMessage, /the test's endpoints: connection refused/);
    resolver.push([]);
    assert.match((await rejection(servers(transport, 1))).rawMessage, /no instance/);
    await discovery.close();
    assert.equal(clock.pending, 0);
  });

  test("a call that was aborted before it began does not wait for the first answer", async () => {
    const discovery = discoveryInterceptor({ resolver: createHandResolver() });
    const signal = AbortSignal.abort(new ConnectError("enough", Code.Canceled));
    const request = { stream: false, url: "http://unused.invalid/s/m", header: new Headers(), signal };
    await assert.rejects(discovery(async () => assert.fail("it was sent"))(request as never), /enough/);
    await discovery.close();
  });

  test("leaves the rest of the request alone: base path, header, context values, deadline", async () => {
    const resolver = createHandResolver([endpoint("a", { url: "http://a.test:1" })]);
    const discovery = discoveryInterceptor({ resolver });
    const key = createContextKey("none");
    const seen: string[] = [];
    const next = async (request: { url: string; header: Headers; contextValues: { get(k: typeof key): string } }) => {
      seen.push(request.url, request.header.get("x-a") ?? "", request.contextValues.get(key));
      throw new ConnectError("stop", Code.Aborted);
    };
    const request = {
      stream: false,
      url: "http://unused.invalid/base/lictor.test.v1.EchoService/Unary?connect=v1",
      header: new Headers({ "x-a": "1" }),
      contextValues: createContextValues().set(key, "kept"),
      signal: new AbortController().signal,
    };
    await assert.rejects(discovery(next as never)(request as never), /stop/);
    assert.deepEqual(seen, ["http://a.test:1/lictor.test.v1.EchoService/Unary?connect=v1", "1", "kept"]);
    await discovery.close();
  });
});
