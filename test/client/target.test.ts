// Calls over a target string, against agents of both kinds: what it narrows, what may stand beside it, and what is refused.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { type ConsulTransportOptions, createConsulTransport } from "../../src/client/create-consul-transport.ts";
import { type ConsulClient, createConsulClient } from "../../src/consul/consul-client.ts";
import { createHelloClient, type HelloClientOptions } from "../../src/hello/create-hello-client.ts";
import { createHelloService } from "../../src/hello/hello-service.ts";
import { serve } from "../../src/server/serve.ts";
import { startEmbeddedConsul } from "../../src/testing/embedded-consul.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { agentKinds, type TestAgent } from "../support/agent-kinds.ts";
import { makeCertificates } from "../support/certificates.ts";
import { startEchoServer } from "../support/echo-server.ts";
import { eventually } from "../support/eventually.ts";

/** Resolves when Consul lists this many instances. */
function listed(consul: ConsulClient, service: string, count = 1): Promise<void> {
  return eventually(`${count} of ${service} pass`, async () => {
    return (await consul.health.service(service, { passing: true })).data.length === count;
  });
}

async function serverOf(options: ConsulTransportOptions | string): Promise<string> {
  await using transport = createConsulTransport(options);
  return (await createClient(EchoService, transport).unary({}, { timeoutMs: 20_000 })).server;
}

for (const kind of agentKinds) {
  describe(`a target over the ${kind.name}`, { skip: kind.skip, timeout: 60_000 }, () => {
    let agent: TestAgent;
    let consul: ConsulClient;
    let at: string;
    before(async () => {
      agent = await kind.start();
      consul = createConsulClient(agent.address);
      at = new URL(agent.address).host;
    });
    after(() => agent[Symbol.asyncDispose]());

    test("createConsulTransport() finds by a target what its tags, filter and datacenter say", async () => {
      const version = (tag: string) => ({ consul, service: { name: "my versions", tags: [tag], meta: { tag } } });
      await using _one = await startEchoServer("one", version("v1"));
      await using _two = await startEchoServer("two", version("v2"));
      await listed(consul, "my versions", 2);
      const filter = encodeURIComponent('Service.Meta.tag == "v1"');
      for (const [query, expected] of [
        ["tag=v2", "two"],
        ["tag=v1&dc=dc1&near=_agent&passing=true&consistency=consistent&wait=5s&scheme=http", "one"],
        [`filter=${filter}`, "one"],
      ]) {
        assert.equal(await serverOf(`consul://${at}/my%20versions?${query}`), expected, query);
      }
      assert.equal(await serverOf({ target: "consul:///my%20versions", consul, tags: ["v2"] }), "two");
    });

    test("createConsulTransport() calls over TLS where the target says https", async () => {
      const { ca, server: pair } = makeCertificates();
      await using _server = await startEchoServer("tls", { consul, service: "tls", tls: pair });
      await listed(consul, "tls");
      assert.equal(await serverOf({ target: `consul://${at}/tls?scheme=https`, tls: { ca } }), "tls");
      assert.equal(await serverOf({ target: `consul://${at}/tls`, tls: { ca } }), "tls");
    });

    test("createHelloClient() takes a target, with or without the service", async () => {
      const named = { routes: createHelloService(), consul, drainMarginMs: 0 };
      await using server = serve(named);
      await using other = serve({ ...named, service: "Other" });
      for (const { registration, ready } of [server, other]) {
        await ready;
        await registration?.registered;
      }
      // Registered is not passing yet.
      for (const name of ["HelloService", "Other"]) await listed(consul, name);
      const portOf = async (options: string | HelloClientOptions) => {
        await using hello = createHelloClient(options);
        return Number((await hello.sayHello({ name: "t" })).message.split(":").at(-1));
      };
      assert.equal(await portOf(`consul://${at}`), server.address?.port);
      assert.equal(await portOf(`consul://${at}/?tag=HelloService`), server.address?.port);
      assert.equal(await portOf(`consul://${at}/Other`), other.address?.port);
      assert.equal(await portOf({ target: `consul://${at}`, service: "Other" }), other.address?.port);
    });
  });
}

test("createConsulTransport() sends the token that stands beside a target", { timeout: 30_000 }, async () => {
  await using agent = await startEmbeddedConsul({ tokens: [{ secret: "right", management: true }] });
  const consul = createConsulClient({ address: agent.address, token: "right" });
  await using server = await startEchoServer("guarded", { consul, service: "guarded" });
  await listed(consul, server.name);
  const target = `consul://${new URL(agent.address).host}/guarded`;
  assert.equal(await serverOf({ target, consul: { token: "right" } }), "guarded");
  await assert.rejects(serverOf({ target, waitForReady: false }));
});

test("createConsulTransport() refuses a target beside options that say the same, or the contrary, before it opens anything", () => {
  const target = "consul://127.0.0.1:1/S";
  for (const [options, message] of [
    [{ target, consul: "127.0.0.1:1" }, /"target" and "consul" together as both say the agent/],
    [{ target: `${target}?tag=a`, tags: ["a"] }, /"target" and "tags" together/],
    [{ target: `${target}?scheme=http`, tls: true }, /"target" and "tls" together as they disagree/],
    [{ target: `${target}?scheme=https`, tls: false }, /"target" and "tls" together as they disagree/],
    ["consul://127.0.0.1:1", /must name a service/],
    ["S", /must be written consul:/],
  ] satisfies [ConsulTransportOptions | string, RegExp][]) {
    assert.throws(() => createConsulTransport(options), { name: "TypeError", message });
  }
  // JavaScript has no compiler to ask.
  for (const nothing of [{}, undefined, null]) {
    const options = nothing as unknown as ConsulTransportOptions;
    assert.throws(() => createConsulTransport(options), { name: "TypeError", message: /neither/ });
  }
  assert.throws(() => createHelloClient({ target, service: "S" }), {
    name: "TypeError",
    message: /"service" together/,
  });
});
