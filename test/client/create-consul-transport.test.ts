// The client as most people use it, over our own server: every kind of call, every kind of address, TLS, and what it says when it cannot.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Code, createClient } from "@connectrpc/connect";
import { compressionGzip } from "@connectrpc/connect-node";
import {
  type ConsulTransportOptions,
  type ConsulTransportSettings,
  createConsulTransport,
} from "../../src/client/create-consul-transport.ts";
import { type ConsulClient, createConsulClient } from "../../src/consul/consul-client.ts";
import { systemClock } from "../../src/core/clock.ts";
import { gzip } from "../../src/runtime/zlib-compression.ts";
import type { Connector } from "../../src/transport/connector.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { agentKinds, type TestAgent } from "../support/agent-kinds.ts";
import { makeCertificates } from "../support/certificates.ts";
import { startConsulProxy } from "../support/consul-proxy.ts";
import { registerInstance, startEchoServer } from "../support/echo-server.ts";
import { eventually } from "../support/eventually.ts";
import { noIpv6 } from "../support/ipv6.ts";
import { rejection } from "../support/rejection.ts";

async function* textsOf(...texts: string[]): AsyncGenerator<{ text: string }> {
  for (const text of texts) yield { text };
}

for (const kind of agentKinds) {
  describe(`createConsulTransport() over the ${kind.name}`, { skip: kind.skip, timeout: 60_000 }, () => {
    let agent: TestAgent;
    let consul: ConsulClient;
    before(async () => {
      agent = await kind.start();
      consul = createConsulClient(agent.address);
    });
    after(() => agent[Symbol.asyncDispose]());

    test("finds a server that registered itself and makes all four kinds of calls", async () => {
      await using server = await startEchoServer("a", { consul, service: "kinds" });
      await eventually("the instance passes", async () => {
        return (await consul.health.service("kinds", { passing: true })).data.length === 1;
      });
      await using transport = createConsulTransport({ service: "kinds", consul: agent.address });
      const client = createClient(EchoService, transport);
      const payload = new Uint8Array(100_000).fill(7);
      const unary = await client.unary({ text: "one", payload });
      assert.equal(unary.text, "one");
      assert.equal(Buffer.compare(unary.payload, payload), 0);
      assert.equal(unary.server, server.name);
      const streamed: string[] = [];
      for await (const { text, index } of client.serverStream({ text: "s", count: 3 })) streamed.push(text + index);
      assert.deepEqual(streamed, ["s0", "s1", "s2"]);
      const joined = await client.clientStream(textsOf("x", "y", "z"));
      assert.equal(joined.text, "x,y,z");
      const echoed: string[] = [];
      for await (const { text, index } of client.bidi(textsOf("p", "q"))) echoed.push(text + index);
      assert.deepEqual(echoed, ["p0", "q1"]);
      const failed = await rejection(client.unary({ failCode: Code.NotFound }));
      assert.equal(failed.code, Code.NotFound);
      assert.equal(failed.metadata.get("x-echo-error"), "yes");
    });

    test("takes the node's address where the service has none", async () => {
      await using server = await startEchoServer("node");
      await registerInstance(consul, { service: "addressless", id: "n", host: "", port: server.address.port });
      await using transport = createConsulTransport({ service: "addressless", consul });
      assert.equal((await createClient(EchoService, transport).unary({})).server, "node");
    });

    test("reaches IPv6 addresses, in brackets or not", { skip: noIpv6 }, async () => {
      await using bare = await startEchoServer("bare", { host: "::1" });
      await using bracketed = await startEchoServer("bracketed", { host: "::1" });
      await registerInstance(consul, { service: "six", id: "1", host: "::1", port: bare.address.port });
      await registerInstance(consul, { service: "six", id: "2", host: "[::1]", port: bracketed.address.port });
      await using transport = createConsulTransport({ service: "six", consul });
      const client = createClient(EchoService, transport);
      assert.equal((await client.unary({})).server, "bare");
      assert.equal((await client.unary({})).server, "bracketed");
    });

    test("fails with what was asked of whom when there is no instance", async () => {
      await using transport = createConsulTransport({ service: "nobody", consul, waitForReady: false });
      const error = await rejection(createClient(EchoService, transport).unary({}));
      assert.equal(error.code, Code.Unavailable);
      assert.equal(error.rawMessage, `no instance to call: service "nobody" of Consul at ${agent.address} lists none`);
    });

    test("fails with the reason when no instance can be connected to", async () => {
      await registerInstance(consul, { service: "deaf", id: "deaf", port: 1 });
      await using transport = createConsulTransport({ service: "deaf", consul, waitForReady: false });
      const error = await rejection(createClient(EchoService, transport).unary({}));
      assert.equal(error.code, Code.Unavailable);
      assert.match(error.rawMessage, /^cannot connect to the one instance of service "deaf" of Consul at http/);
      assert.match(error.rawMessage, /ECONNREFUSED|refused/i);
    });

    test("lets calls wait for Consul when it is away at the start, within their deadlines", async () => {
      await using server = await startEchoServer("late");
      await registerInstance(consul, { service: "late", id: "late", port: server.address.port });
      await using proxy = await startConsulProxy(agent.address);
      await proxy.cut();
      await using transport = createConsulTransport({ service: "late", consul: proxy.address });
      const client = createClient(EchoService, transport);
      const waiting = [client.unary({ text: "1" }), client.unary({ text: "2" }, { timeoutMs: 20_000 })];
      const stream = client.serverStream({ text: "3", count: 1 })[Symbol.asyncIterator]().next();
      const late = await rejection(client.unary({}, { timeoutMs: 200 }));
      assert.equal(late.code, Code.DeadlineExceeded);
      assert.match(late.rawMessage, /waiting for the first answer about service "late" of Consul at http/);
      await using impatient = createConsulTransport({ service: "late", consul: proxy.address, waitTimeoutMs: 100 });
      const gaveUp = await rejection(createClient(EchoService, impatient).unary({}));
      assert.equal(gaveUp.code, Code.Unavailable);
      assert.match(gaveUp.rawMessage, /^gave up waiting for the first answer about service "late" of Consul at http/);
      await proxy.restore();
      assert.deepEqual(
        (await Promise.all(waiting)).map(({ text }) => text),
        ["1", "2"],
      );
      assert.equal((await stream).value?.text, "3");
    });

    describe("with TLS", () => {
      const { ca, server: own, client: known, stranger } = makeCertificates();
      const call = async (service: string, tls: ConsulTransportOptions["tls"] & {}) => {
        await using transport = createConsulTransport({ service, consul, tls, waitForReady: false });
        return (await createClient(EchoService, transport).unary({})).server;
      };

      test("trusts the authority that it was given, and checks the name", async () => {
        await using server = await startEchoServer("tls", { tls: own });
        await registerInstance(consul, { service: "tls", id: "tls", port: server.address.port });
        assert.equal(await call("tls", { ca }), "tls");
        assert.equal(await call("tls", { ca: [ca], serverName: "localhost" }), "tls");
        const named = await rejection(call("tls", { ca, serverName: "elsewhere.test" }));
        assert.equal(named.code, Code.Unavailable);
        assert.match(named.rawMessage, /service "tls"/);
        assert.equal((await rejection(call("tls", true))).code, Code.Unavailable);
        assert.equal((await rejection(call("tls", false))).code, Code.Unavailable);
        assert.equal(server.calls, 2);
      });

      test("shows its certificate to a server that demands one", async () => {
        await using server = await startEchoServer("mtls", { tls: { ...own, ca, requireClientCert: true } });
        await registerInstance(consul, { service: "mtls", id: "mtls", port: server.address.port });
        assert.equal(await call("mtls", { ca, ...known }), "mtls");
        assert.equal((await rejection(call("mtls", { ca }))).code, Code.Unavailable);
        assert.equal((await rejection(call("mtls", { ca, ...stranger }))).code, Code.Unavailable);
        assert.equal(server.calls, 1);
      });
    });
  });
}

test("createConsulTransport() refuses settings that no call could use", () => {
  const bad: readonly [options: object, message: RegExp][] = [
    [{ acceptCompression: gzip }, /^Cannot create connector as "acceptCompression" must be /],
    [{ acceptCompression: ["gzip"] }, /^Cannot create connector as "acceptCompression" must be /],
    [{ sendCompression: "gzip" }, /^Cannot create connector as "sendCompression" must be /],
    [{ tls: { ca: "tls/ca.pem" } }, /^Cannot create connector as "tls.ca" must be a certificate in PEM/],
    [{ consul: "" }, /^Cannot create a Consul client as "address" must name an agent: received ""$/],
    [{ consul: { address: "" } }, /^Cannot create a Consul client as "address" must name an agent: received ""$/],
  ];
  for (const [options, message] of bad) {
    assert.throws(() => createConsulTransport({ service: "x", ...options }), { name: "TypeError", message });
  }
});

describe("createConsulTransport() with a connector", () => {
  const connector: Connector = () => {
    throw new Error("not opened");
  };
  const lost: readonly ConsulTransportSettings[] = [
    { connectTimeoutMs: 1000 },
    { maxReceiveBytes: 1 },
    { maxSendBytes: 1 },
    { acceptCompression: [] },
    { sendCompression: compressionGzip },
    { compressMinBytes: 0 },
    { keepalive: { timeMs: 10_000 } },
    { tls: {} },
  ];
  for (const options of lost) {
    const [name = ""] = Object.keys(options);
    test(`refuses "${name}", which the connector would not see`, () => {
      assert.throws(() => createConsulTransport({ ...options, service: "x", connector }), {
        name: "TypeError",
        message:
          `Cannot use "connector" and "${name}" together as a connector has its own: give it to createHttp2Connector` +
          (["connectTimeoutMs", "maxReceiveBytes", "keepalive", "tls"].includes(name)
            ? " or createNodeHttp2Connector"
            : "") +
          (name === "tls" ? ', and say "tls: true" here' : ""),
      });
    });
  }

  test("takes everything else beside it", async () => {
    await createConsulTransport({
      service: "x",
      connector,
      tls: true,
      clock: systemClock,
      waitTimeoutMs: 1,
      ...({ keepalive: undefined } as object),
    }).close();
    await createConsulTransport({ target: "consul:///x?scheme=https", connector }).close();
  });
});
