// What an edge transport refuses to be told, before anything is sent.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { createConsulClient } from "../../src/consul/consul-client.ts";
import { createEdgeTransport } from "../../src/edge/create-edge-transport.ts";
import type { EdgeTransportOptions } from "../../src/edge/edge-options.ts";
import type { SnapshotCache } from "../../src/edge/snapshot-cache.ts";
import { EchoService } from "../gen/lictor/test/v1/echo_pb.ts";

const endpoints = ["http://a.test:1"];
const source = { description: "a list", read: () => Promise.reject(new Error("unused")) };

describe("createEdgeTransport()", () => {
  for (const [what, options, name, text] of [
    [
      "nothing that says where the servers are",
      {},
      "TypeError",
      /"service" or "target", or else "endpoints", or else "source" must say where the servers are: received none/,
    ],
    ["a Consul without a service", { consul: "http://consul.test" }, "TypeError", /received none/],
    ["two answers", { endpoints, source }, "TypeError", /received "endpoints" and "source"/],
    [
      "a service beside a target that names one",
      { target: "consul:///Hello", service: "Hello" },
      "TypeError",
      /"target" and "service" together as both say the service/,
    ],
    [
      "a target beside a list",
      { target: "consul:///Hello", endpoints },
      "TypeError",
      /received "target" and "endpoints"/,
    ],
    [
      "a target that waits",
      { target: "consul:///Hello?wait=30s" },
      "TypeError",
      /must have no "wait" here, where nothing watches; "maxAgeMs" .*: received 30000 ms/,
    ],
    [
      "Consul beside a list",
      { endpoints, consul: "http://consul.test" },
      "TypeError",
      /"consul" is asked of Consul: received it beside "endpoints"/,
    ],
    [
      "tags beside a source",
      { source, tags: ["v2"] },
      "TypeError",
      /"tags" is asked of Consul: received it beside "source"/,
    ],
    [
      "a source that cannot be read",
      { source: { description: "x" } as never },
      "TypeError",
      /"source" must have a "description" and a function "read"/,
    ],
    ["an address with a path", { endpoints: ["http://a.test/x"] }, "TypeError", /http or https origin/],
    ["a list that repeats", { endpoints: ["http://a", "http://a"] }, "TypeError", /ids must be unique/],
    ["an empty service", { service: "" }, "TypeError", /Cannot find a service as "service" must be a non-empty string/],
    ["tags that are no list", { service: "Hello", tags: "ab" as never }, "TypeError", /"tags" must be a list/],
    ["a bad tag", { service: "Hello", tags: [""] }, "TypeError", /Cannot find a service as "tags"/],
    ["a target of another kind", { target: "dns:///hello" }, "TypeError", /consul:\/\/host:port\/service/],
    ["what the target says too", { target: "consul:///Hello?dc=a", datacenter: "b" }, "TypeError", /both say "dc"/],
    ["an address of Consul that is none", { service: "Hello", consul: "ftp://consul" }, "TypeError", /Consul address/],
    [
      "a protocol that it does not speak",
      { endpoints, protocol: "grpc" as never },
      "TypeError",
      /"protocol" must be connect or grpc-web: received "grpc"/,
    ],
    [
      "GET over gRPC-Web",
      { endpoints, protocol: "grpc-web", useHttpGet: true },
      "TypeError",
      /"useHttpGet" must be left out/,
    ],
    [
      "interceptors that are no list of functions",
      { endpoints, interceptors: 5 as never },
      "TypeError",
      /"interceptors" must be a list of functions: received number/,
    ],
    [
      "an interceptor that is no function",
      { endpoints, interceptors: [{}] as never },
      "TypeError",
      /"interceptors" must be a list of functions/,
    ],
    [
      "a format in text",
      { endpoints, useBinaryFormat: "no" as never },
      "TypeError",
      /"useBinaryFormat" must be true or false: received "no"/,
    ],
    [
      "GET in text",
      { endpoints, useHttpGet: "no" as never },
      "TypeError",
      /"useHttpGet" must be true or false: received "no"/,
    ],
    [
      "a fetch that is no function",
      { endpoints, fetch: {} as never },
      "TypeError",
      /"fetch" must be a function: received object/,
    ],
    [
      "a waitUntil that is no function",
      { endpoints, waitUntil: true as never },
      "TypeError",
      /"waitUntil" must be a function/,
    ],
    [
      "a cache of another make",
      { endpoints, cache: new Map() as unknown as SnapshotCache },
      "TypeError",
      /"cache" must come from createSnapshotCache\(\)/,
    ],
    [
      "a clock that is none",
      { endpoints, clock: {} as never },
      "TypeError",
      /"clock" must have the functions now, schedule: received object/,
    ],
    [
      "a logger that lacks a level",
      { endpoints, logger: { info: () => {} } as never },
      "TypeError",
      /"logger" must have the functions debug, info, warn, error: received object/,
    ],
    [
      "a Consul that is a number",
      { service: "Hello", consul: 5 as never },
      "TypeError",
      /"consul" must be an address, options or a client: received 5/,
    ],
    [
      "a Consul that is a number, beside a target",
      { target: "consul:///Hello", consul: 5 as never },
      "TypeError",
      /"consul" must be an address, options or a client: received 5/,
    ],
    [
      "a Consul that is null",
      { service: "Hello", consul: null as never },
      "TypeError",
      /"consul" must be .*: received null/,
    ],
    [
      "a list that is null",
      { endpoints: null as never },
      "TypeError",
      /endpoints as they must be a list: received null/,
    ],
    ["a source that is null", { source: null as never }, "TypeError", /"source" must have .*: received null/],
    ["a negative maximum age", { endpoints, maxAgeMs: -1 }, "RangeError", /"maxAgeMs" must be >= 0: received -1/],
    [
      "a time in text",
      { endpoints, waitTimeoutMs: "5" as never },
      "RangeError",
      /"waitTimeoutMs" must be >= 0: received 5/,
    ],
    ["no time", { endpoints, maxStaleMs: Number.NaN }, "RangeError", /"maxStaleMs" must be >= 0/],
    [
      "staleness before age",
      { endpoints, maxAgeMs: 10, maxStaleMs: 9 },
      "RangeError",
      /"maxStaleMs" must be at least "maxAgeMs", which is 10: received 9/,
    ],
    ["no deadline at all", { endpoints, defaultTimeoutMs: 0 }, "RangeError", /"defaultTimeoutMs" must be > 0/],
    ["a deadline beyond what timers can", { endpoints, defaultTimeoutMs: 2 ** 31 }, "RangeError", /at most 2147483647/],
  ] as const satisfies readonly (readonly [string, EdgeTransportOptions, string, RegExp])[]) {
    test(`throws ${name} for ${what}`, () => {
      assert.throws(() => createEdgeTransport(options), { name, message: text });
    });
  }

  test("throws TypeError for no options at all", () => {
    const create = createEdgeTransport as (options?: unknown) => unknown;
    for (const options of [undefined, null, {}]) {
      assert.throws(() => create(options), {
        name: "TypeError",
        message: /must say where the servers are: received none/,
      });
    }
  });

  test("takes the service beside a target that names the agent alone", async () => {
    let asked: string | undefined;
    const fetch = async (url: string) => {
      asked = url;
      return Response.json([]);
    };
    const transport = createEdgeTransport({
      target: "consul://consul.test?tag=v2",
      service: "Hello",
      consul: { fetch },
    });
    await assert.rejects(createClient(EchoService, transport).unary({}), /lists none/);
    assert.equal(asked, "http://consul.test:8500/v1/health/service/Hello?passing=true&tag=v2");
  });

  test("takes a maximum age beyond the default staleness", () => {
    createEdgeTransport({ endpoints, maxAgeMs: 3_600_000 });
  });

  test("shows nothing of what an address of Consul may hold in its query", () => {
    for (const consul of [
      "http://h:8500/?token=s3cret",
      "http://h:8500/#s3cret",
      "http://me:s3cret@h/?x",
      "h:8500?s3cret@",
    ]) {
      assert.throws(
        () => createEdgeTransport({ service: "Hello", consul }),
        ({ name, message }: Error) =>
          name === "TypeError" && !message.includes("s3cret") && /Consul address/.test(message),
      );
    }
  });

  test("takes Consul as an address, as options, as a client, and in a target, and shows no token in an error", () => {
    for (const consul of [
      "consul.test:8500",
      { address: "https://consul.test/prefix", token: "t" },
      createConsulClient(),
    ]) {
      createEdgeTransport({ service: "Hello", consul });
    }
    createEdgeTransport("consul://consul.test/Hello?tag=v2&scheme=https");
    assert.throws(
      () => createEdgeTransport({ target: "consul://consul.test/Hello", consul: { address: "x", token: "s3cret" } }),
      ({ message }: Error) => /both say the agent/.test(message) && !message.includes("s3cret"),
    );
  });
});
