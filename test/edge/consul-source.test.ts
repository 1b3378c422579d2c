// Snapshots out of Consul: what is asked, with whose rights, and what the cache knows it by.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { createConsulClient } from "../../src/consul/consul-client.ts";
import { ConsulError } from "../../src/consul/consul-error.ts";
import type { ServiceEntry } from "../../src/consul/health.ts";
import { createConsulSource } from "../../src/edge/consul-source.ts";
import { createEdgeTransport } from "../../src/edge/create-edge-transport.ts";
import { createSnapshotCache } from "../../src/edge/snapshot-cache.ts";
import { createManualClock } from "../../src/testing/manual-clock.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";
import { createEchoFetch } from "../support/edge-fakes.ts";
import { createRecordingLogger } from "../support/recording-logger.ts";
import { serviceEntry } from "../support/service-entry.ts";

const signal = new AbortController().signal;

/** A fetch that answers with these entries, and keeps what it was asked. */
function recordingFetch(entries: readonly ServiceEntry[], headers: Record<string, string> = {}) {
  const seen: { url: URL; headers: Headers }[] = [];
  const fetch = async (url: string, init: RequestInit) => {
    seen.push({ url: new URL(url), headers: new Headers(init.headers) });
    return Response.json(entries, { headers: { "X-Consul-Index": "7", ...headers } });
  };
  return { fetch, seen };
}

describe("createConsulSource()", () => {
  test("asks once and plainly, through the gateway, with its headers and the token", async () => {
    const { fetch, seen } = recordingFetch([serviceEntry()]);
    const source = createConsulSource({
      service: "Hello",
      consul: { address: "https://gateway.test/consul/", token: "t0ken", headers: { "X-Gateway-Key": "k" }, fetch },
      tags: ["v2", "eu"],
      filter: 'Service.Meta.version == "1"',
      datacenter: "dc2",
      near: "_agent",
      consistency: "stale",
      scheme: "https",
    });
    const clock = createManualClock(5);
    const { endpoints } = await source.read(signal);
    assert.deepEqual(
      endpoints.map(({ id, url }) => [id, url]),
      [["n1/a", "https://10.0.0.1:10000"]],
    );
    assert.equal(seen.length, 1);
    const { url, headers } = seen[0]!;
    assert.equal(url.origin + url.pathname, "https://gateway.test/consul/v1/health/service/Hello");
    assert.deepEqual([...url.searchParams].sort(), [
      ["dc", "dc2"],
      ["filter", 'Service.Meta.version == "1"'],
      ["near", "_agent"],
      ["passing", "true"],
      ["stale", ""],
      ["tag", "eu"],
      ["tag", "v2"],
    ]);
    assert.deepEqual([headers.get("X-Consul-Token"), headers.get("X-Gateway-Key")], ["t0ken", "k"]);
    assert.equal(clock.pending, 0);
  });

  test("lists by id what can be called, IPv6 in brackets, confirmed by its clock", async () => {
    const { fetch } = recordingFetch([
      serviceEntry({ id: "b", service: { Address: "fd00::1", Port: 1 } }),
      serviceEntry({ id: "a", service: { Address: "" } }),
      serviceEntry({ id: "c", checks: ["critical"] }),
      serviceEntry({ id: "d", checks: ["warning"] }),
      serviceEntry({ id: "e", service: { Port: 0 } }),
    ]);
    const logger = createRecordingLogger();
    const clock = createManualClock(1_700_000_000_000);
    const source = createConsulSource({ service: "Hello", consul: { fetch }, passingOnly: false, logger, clock });
    const { endpoints, confirmedAtMs } = await source.read(signal);
    assert.deepEqual(
      endpoints.map(({ id, url, health }) => [id, url, health]),
      [
        ["n1/a", "http://10.9.9.9:10000", "passing"],
        ["n1/b", "http://[fd00::1]:1", "passing"],
        ["n1/d", "http://10.0.0.1:10000", "warning"],
      ],
    );
    assert.equal(confirmedAtMs, 1_700_000_000_000);
    assert.equal(logger.count("cannot be called"), 1);
  });

  test("says what is asked of whom, and nothing of the rights", () => {
    const source = createConsulSource({
      service: "Hello",
      tags: ["v2"],
      consul: { address: "https://user:pa55@gateway.test/consul", token: "s3cret" },
    });
    assert.equal(source.description, 'service "Hello" (tags "v2") of Consul at https://gateway.test/consul');
    assert.doesNotMatch(JSON.stringify(source), /s3cret|pa55/);
    assert.deepEqual(Object.keys(source).sort(), ["description", "read"]);
  });

  test("is known by address, question and rights", () => {
    const known = (options: Partial<Parameters<typeof createConsulSource>[0]> = {}) =>
      createConsulSource({ service: "Hello", consul: { address: "https://c.test", token: "one" }, ...options })
        .identity;
    assert.equal(known(), known());
    assert.equal(known({ tags: ["a", "b"] }), known({ tags: ["b", "a"] }));
    assert.equal(known({ service: "hello" }), known());
    assert.equal(known({ consul: createConsulClient({ address: "https://c.test", token: "one" }) }), known());
    assert.equal(known({ consul: { address: "https://c.test", token: () => "one" } }), known(), "whoever returns it");
    const others = [
      known({ consul: { address: "https://c.test", token: "two" } }),
      known({ consul: { address: "https://c.test" } }),
      known({ consul: { address: "https://c.test", token: "one", headers: { "X-Tenant": "1" } } }),
      known({ consul: { address: "https://d.test", token: "one" } }),
      known({ service: "Other" }),
      known({ tags: ["v2"] }),
      known({ passingOnly: false }),
      known({ datacenter: "dc2" }),
      known({ scheme: "https" }),
      known({ filter: "x" }),
      known({ near: "x" }),
      known({ consul: { address: "https://c.test", token: "one", namespace: "x" } }),
      known({ consul: { address: "https://c.test", token: "one", partition: "x" } }),
      known({ consistency: "stale" }),
    ];
    assert.equal(new Set([known(), ...others]).size, others.length + 1);
    assert.equal({ ...createConsulSource({ service: "Hello", consul: {} }), identity: "mine" }.identity, "mine");
  });

  test("is known by what a token function returns now, of options and of a client; one that throws leaves it as it was", () => {
    let token: string | undefined = "one";
    const options = {
      address: "https://c.test",
      token: () => {
        if (token === undefined) throw new Error("no token now");
        return token;
      },
    };
    const sources = [options, createConsulClient(options)].map((consul) =>
      createConsulSource({ service: "Hello", consul }),
    );
    const known = () => sources.map(({ identity }) => identity);
    const first = known();
    token = "two";
    const second = known();
    token = undefined;
    assert.deepEqual(known(), second);
    token = "one";
    assert.deepEqual(known(), first);
    assert.equal(new Set([...first, ...second]).size, 2);
    token = undefined;
    assert.equal(typeof createConsulSource({ service: "Hello", consul: options }).identity, "string");
  });

  test("rejects with ConsulError, which holds no token, and with the reason of an abort", async () => {
    const fetch = async () => new Response("ACL not found: t0ken-9", { status: 403 });
    const source = createConsulSource({ service: "Hello", consul: { token: "t0ken-9", fetch } });
    await assert.rejects(source.read(signal), (error) => {
      assert.ok(error instanceof ConsulError);
      assert.equal(error.status, 403);
      assert.doesNotMatch(`${error.message} ${error.text}`, /t0ken-9/);
      return true;
    });
    const reason = new Error("enough");
    await assert.rejects(source.read(AbortSignal.abort(reason)), reason);
  });

  test("warns once of what cannot be called and of what the token's rights hide", async () => {
    const entries = [serviceEntry(), serviceEntry({ id: "e", service: { Port: 0 } })];
    const { fetch } = recordingFetch(entries, { "X-Consul-Results-Filtered-By-ACLs": "true" });
    const logger = createRecordingLogger();
    const source = createConsulSource({ service: "Hello", consul: { fetch }, logger });
    for (let read = 0; read < 3; read++) await source.read(signal);
    assert.deepEqual([logger.count("hides instances"), logger.count("cannot be called")], [1, 1]);
    assert.equal(logger.lines[0]?.fields?.consul, "http://127.0.0.1:8500");
  });

  test("made anew in each request warns once over one cache", async () => {
    const entries = [serviceEntry(), serviceEntry({ id: "e", service: { Port: 0 } })];
    const { fetch } = recordingFetch(entries);
    const logger = createRecordingLogger();
    const cache = createSnapshotCache();
    const clock = createManualClock(1_700_000_000_000);
    const request = async () => {
      const transport = createEdgeTransport({
        service: "Hello",
        consul: { fetch },
        fetch: createEchoFetch().fetch,
        useBinaryFormat: false,
        logger,
        cache,
        clock,
        maxAgeMs: 0,
        maxStaleMs: 0,
      });
      await createClient(EchoService, transport).unary({});
    };
    for (let i = 0; i < 3; i++) {
      await request();
      await clock.advance(5000);
    }
    assert.equal(logger.count("cannot be called"), 1);
    entries.pop();
    await request();
    await clock.advance(5000);
    entries.push(serviceEntry({ id: "e", service: { Port: 0 } }));
    await request();
    assert.equal(logger.count("cannot be called"), 2);
  });
});
