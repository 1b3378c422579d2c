import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createConsulClient } from "../../src/consul/consul-client.ts";
import { createConsulResolver } from "../../src/resolver/consul-resolver.ts";
import { mergeTarget } from "../../src/resolver/merge-target.ts";
import { parseTarget } from "../../src/resolver/target.ts";

const secret = "s3cret";

/** The error's message; fails where there is none, or where it shows the secret. */
function refusalOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof TypeError || error instanceof RangeError, String(error));
    assert.ok(!error.message.includes(secret), error.message);
    assert.ok(!error.message.includes("\n"), error.message);
    return error.message;
  }
  assert.fail("it was taken");
}

describe("parseTarget()", () => {
  test("parseTarget() reads agent, service and every key into the options of the object form", () => {
    const target =
      "consul://consul.example:8600/HelloService?tag=v2&tag=eu&dc=dc1&scheme=https&passing=false&near=_agent" +
      "&filter=Service.Meta.zone+%3D%3D+%22a%2Bb%22&consistency=stale&wait=30s&ns=team&partition=p1";
    assert.deepEqual(parseTarget(target), {
      consul: { address: "http://consul.example:8600", namespace: "team", partition: "p1" },
      service: "HelloService",
      tags: ["v2", "eu"],
      datacenter: "dc1",
      scheme: "https",
      passingOnly: false,
      near: "_agent",
      filter: 'Service.Meta.zone == "a+b"',
      consistency: "stale",
      waitMs: 30_000,
    });
  });

  test("parseTarget() leaves absent what the target leaves open", () => {
    assert.deepEqual(parseTarget("consul:///HelloService"), { consul: {}, service: "HelloService" });
    assert.deepEqual(parseTarget("consul:///HelloService?"), { consul: {}, service: "HelloService" });
  });

  const addresses: readonly [authority: string, address: string][] = [
    ["consul://localhost", "http://localhost:8500"],
    ["consul://127.0.0.1:1", "http://127.0.0.1:1"],
    ["consul://[::1]", "http://[::1]:8500"],
    ["consul://[2001:db8::1]:443", "http://[2001:db8::1]:443"],
    ["consul+https://consul.example", "https://consul.example:8501"],
    ["consul+https://consul.example:443", "https://consul.example:443"],
    ["CONSUL://Consul.example:80", "http://Consul.example:80"],
  ];
  for (const [authority, address] of addresses) {
    test(`parseTarget() takes the agent of ${authority} for ${address}`, () => {
      assert.deepEqual(parseTarget(`${authority}/S`), { consul: { address }, service: "S" });
      // What comes out is an address to the client, too.
      assert.equal(createConsulClient({ address }).address, new URL(address).origin);
    });
  }

  test("parseTarget() decodes the service's name", () => {
    assert.equal(parseTarget("consul://h/a%2Fb%20c%40d").service, "a/b c@d");
    assert.equal(parseTarget("consul://h/gr%C3%BC%C3%9Fe").service, "grüße");
    // A plus is a plus in a path.
    assert.equal(parseTarget("consul://h/a+b").service, "a+b");
  });

  test("parseTarget() takes the default service where the target has none, and only there", () => {
    const options = { defaultService: "HelloService" };
    for (const target of ["consul://h:1", "consul://h:1/", "consul://h:1?tag=a"]) {
      assert.equal(parseTarget(target, options).service, "HelloService");
    }
    assert.equal(parseTarget("consul://h:1/Other", options).service, "Other");
  });

  test("parseTarget() gives options that createConsulResolver() takes as they are", () => {
    const resolver = createConsulResolver(parseTarget("consul://127.0.0.1:1/S?tag=a"));
    assert.equal(resolver.description, 'service "S" (tags "a") of Consul at http://127.0.0.1:1');
  });

  const refused: readonly [target: string, message: RegExp][] = [
    ["", /must be written consul:\/\/host:port\/service\?key=value, like consul:.*: received ""$/],
    ["HelloService", /must be written consul:\/\//],
    ["127.0.0.1:8500/HelloService", /must be written consul:\/\//],
    ["consul:HelloService", /must be written consul:\/\//],
    ["dns:///HelloService", /must be written consul:\/\//],
    ["consul://h/S#x", /must be written consul:\/\//],
    ["consul://h/S?dc=a\nb", /must be written consul:\/\//],
    [" consul://h/S", /must be written consul:\/\//],
    ["consul://h", /must name a service after the agent, like consul:.*: received "consul:\/\/h"$/],
    ["consul://h/", /must name a service/],
    ["consul://h/?tag=a", /must name a service/],
    ["consul://h/prefix/S", /must have one path segment.*%2F.*\{ address \}, beside consul:\/\/\/service/],
    ["consul://h/S/", /must have one path segment/],
    ["consul:////S", /must have one path segment/],
    ["consul://h/%ff", /its service must be percent-encoded UTF-8/],
    ["consul://h/..", /Cannot name a service to Consul/],
    ["consul://h/%2e%2e", /Cannot name a service to Consul/],
    ["consul://h/a%00b", /Cannot name a service to Consul/],
    ["consul://h:0/S", /port from 1 to 65535/],
    ["consul://h:65536/S", /port from 1 to 65535/],
    ["consul://h:/S", /port from 1 to 65535/],
    ["consul://h:http/S", /port from 1 to 65535/],
    ["consul://:8500/S", /must be host, host:port or \[ipv6\]:port/],
    ["consul://::1/S", /\[ipv6\]:port/],
    ["consul://[x]/S", /\[ipv6\]:port/],
    ["consul://a b/S", /must be host/],
    ["consul://a%2fb/S", /must be host/],
    ["consul+https:///S", /must be followed by the agent's host/],
    ["consul://h/S?tag=", /"tag" must have a value: received none/],
    ["consul://h/S?passing", /"passing" must have a value/],
    ["consul://h/S?dc=a&dc=a", /"dc" must come once/],
    ["consul://h/S?ns=a&ns=b", /"ns" must come once/],
    ["consul://h/S?dc=%ff", /"dc" must be percent-encoded UTF-8/],
    ["consul://h/S?scheme=h2", /"scheme" must be http or https: received "h2"$/],
    ["consul://h/S?passing=1", /"passing" must be true or false: received "1"$/],
    ["consul://h/S?consistency=strong", /"consistency" must be default or stale or consistent: received "strong"$/],
    ["consul://h/S?wait=30", /"wait" must be a duration from 1s to 60s, like 30s: received "30"$/],
    ["consul://h/S?wait=999ms", /"wait" must be a duration/],
    ["consul://h/S?wait=61s", /"wait" must be a duration/],
    ["consul://h/S?toString=1", /keys must be known: received "toString" \(known keys: /],
    ["consul://h/S?__proto__=1", /keys must be known/],
    ["consul://h/S?Tag=a", /keys must be known/],
    ["consul://h/S?tag=a&", /keys must be known: received ""/],
  ];
  for (const [target, message] of refused) {
    test(`parseTarget() refuses ${JSON.stringify(target)}`, () => {
      assert.match(
        refusalOf(() => parseTarget(target)),
        message,
      );
    });
  }

  test("parseTarget() refuses what is no text", () => {
    // @ts-expect-error: a target is a string.
    const run = () => parseTarget(undefined);
    assert.match(refusalOf(run), /must be text: received undefined/);
  });

  test("parseTarget() lists the known keys where it refuses an unknown one", () => {
    assert.equal(
      refusalOf(() => parseTarget("consul://h/S?colour=blue")),
      'Cannot use a target as its keys must be known: received "colour" (known keys: consistency, dc, filter, near, ns, partition, passing, scheme, tag, wait)',
    );
  });

  // https://github.com/mbobakov/grpc-consul-resolver and Consul's HTTP API.
  for (const [foreign, ours] of [
    ["healthy=true", /write passing/],
    ["allow-stale=true", /write consistency=stale/],
    ["require-consistent=true", /write consistency=consistent/],
    ["stale=1", /write consistency=stale/],
    ["insecure=true", /consul\+https:/],
    ["limit=2", /there is none: all instances are called/],
    ["timeout=60s", /consul: \{ timeoutMs \}/],
    ["max-backoff=1s", /there is none/],
    ["datacenter=a", /write dc/],
    ["tags=a", /write tag, once for each/],
    ["passingOnly=true", /write passing/],
  ] as const) {
    test(`parseTarget() says what stands for ${foreign} here`, () => {
      assert.match(
        refusalOf(() => parseTarget(`consul://h/S?${foreign}`)),
        new RegExp(`received "${foreign.split("=")[0]}"; .*${ours.source}.*\\(known keys: `),
      );
    });
  }

  test("parseTarget() takes those keys of grpc-consul-resolver that mean the same", () => {
    const { consul: _, ...query } = parseTarget(
      "consul://127.0.0.1:8555/my-service?wait=14s&near=_agent&tag=manual&dc=a",
    );
    assert.deepEqual(query, {
      service: "my-service",
      waitMs: 14_000,
      near: "_agent",
      tags: ["manual"],
      datacenter: "a",
    });
  });

  for (const target of [
    `consul://h/S?token=${secret}`,
    `consul://h/S?dc=a&Token=${secret}`,
    `consul://h/S?X-Consul-Token=${secret}`,
    `consul://h/S?to%6ben=${secret}`,
    `http://h/S?token=${secret}`,
    `consul://h?token=${secret}`,
    `consul://h/S?acl-token=${secret}&colour=blue`,
    `consul://h/S?password=${secret}`,
  ]) {
    test(`parseTarget() refuses the secret in ${target.replace(secret, "…")} and does not repeat it`, () => {
      assert.match(
        refusalOf(() => parseTarget(target)),
        /must hold no secret: received "[^"]+"; a token goes into the option consul, as \{ token \}/,
      );
    });
  }

  for (const target of [
    `consul://user:${secret}@h/S`,
    `consul://${secret}@h/S`,
    `consul://user:a/${secret}@h/S`,
    `https://user:${secret}@h/S`,
  ]) {
    test(`parseTarget() refuses the credentials in ${target.replace(secret, "…")} and does not repeat them`, () => {
      assert.match(
        refusalOf(() => parseTarget(target)),
        /must hold no credentials: .*\{ token \} or \{ basicAuth \}/,
      );
    });
  }

  for (const target of [
    `consul://user:?${secret}@h/S`,
    `consul://user:#${secret}@h/S`,
    `//user:${secret}@h/S`,
    `consul://h/S?colour=${secret}`,
    `consul://h:x/S?dc=${secret}`,
    `consul://h/S#${secret}`,
    `consul://h?dc=${secret}`,
  ]) {
    test(`parseTarget() repeats no value of ${target.replace(secret, "…")}, whatever is wrong with it`, () => {
      refusalOf(() => parseTarget(target));
    });
  }
});

describe("parseTarget() on what may be credentials", () => {
  for (const target of [
    `consul://user:pa?${secret}=1@host/svc`,
    `consul://user?${secret}=1@host/svc`,
    `consul://user:8500?scheme=${secret}@host/svc`,
    `consul://user:8500?wait=${secret}@host/svc`,
    `consul://user:8500?token_${secret}=1@host/svc`,
    `consul://user:pa?token_${secret}=1`,
    `consul://user:${secret}%40host:8500/svc`,
    `consul://user:${secret}%2540host/svc`,
    `consul://user%3A${secret}/svc`,
    `consul://${secret}%40host/svc`,
    `consul://user:${secret}/svc`,
    `consul://user:${secret}`,
    `consul://user:8500/${secret}%40host/svc`,
    `consul://h/user:${secret}/svc`,
    `consul://h/user%3A${secret}%2F..`,
    `consul://h/user:${secret}%00`,
    `consul://[::1]:${secret}/svc`,
    `consul://::1:${secret}/svc`,
    `consul+https://user:${secret}/svc`,
    `http://user:${secret}/svc`,
  ]) {
    test(`parseTarget() shows no more of ${target.replace(secret, "…")} than its scheme and the rule`, () => {
      const message = refusalOf(() => parseTarget(target));
      const scheme = target.slice(0, target.indexOf("://"));
      assert.ok(message.startsWith("Cannot use a target as "), message);
      assert.ok(message.includes(`: received "${scheme}://…"`), message);
    });
  }

  for (const target of [`user:${secret}/svc`, `user:${secret}@host`]) {
    test(`parseTarget() shows nothing of ${target.replace(secret, "…")}, which has no scheme`, () => {
      assert.match(
        refusalOf(() => parseTarget(target)),
        /: received "…"$/,
      );
    });
  }

  test("parseTarget() shows a digits-only password no more than another, where it is no port", () => {
    assert.match(
      refusalOf(() => parseTarget("consul://user:481516/svc")),
      /: received "consul:\/\/…"$/,
    );
  });

  test("parseTarget() shows addresses and ports, which are no credentials", () => {
    for (const place of ["h:1/a/b", "[::1]:1/a/b", "127.0.0.1:65535/", "[x]/S", "h:/S"]) {
      const message = refusalOf(() => parseTarget(`consul://${place}`));
      assert.ok(message.endsWith(`: received "consul://${place}"`), message);
    }
  });
});

describe("mergeTarget()", () => {
  test("mergeTarget() puts target and options together", () => {
    const { consul, ...query } = mergeTarget({
      target: "consul://h:1/S?tag=a&ns=n",
      consul: { token: secret, timeoutMs: 1, datacenter: "dc1" },
      near: "_agent",
    });
    assert.deepEqual(query, { service: "S", tags: ["a"], near: "_agent" });
    assert.deepEqual(consul, {
      token: secret,
      timeoutMs: 1,
      datacenter: "dc1",
      address: "http://h:1",
      namespace: "n",
    });
  });

  test("mergeTarget() leaves the agent to consul where the target names none", () => {
    const client = createConsulClient("http://127.0.0.1:1");
    assert.equal(mergeTarget({ target: "consul:///S?dc=a", consul: client }).consul, client);
    assert.deepEqual(mergeTarget({ target: "consul:///S", consul: "http://h/prefix" }).consul, {
      address: "http://h/prefix",
    });
    assert.deepEqual(mergeTarget({ target: "consul://h/S", consul: { address: "" } }).consul, {
      address: "http://h:8500",
    });
  });

  test("mergeTarget() passes options without a target through", () => {
    assert.deepEqual(mergeTarget({ service: "S", consul: "h", tags: ["a"], near: undefined }), {
      service: "S",
      consul: "h",
      tags: ["a"],
    });
    assert.deepEqual(mergeTarget({}, "D"), { service: "D", consul: {} });
  });

  test("mergeTarget() takes the service from beside a target that names none, then the default", () => {
    const consul = { address: "http://h:8500" };
    assert.deepEqual(mergeTarget({ target: "consul://h", service: "S" }, "D"), { service: "S", consul });
    assert.deepEqual(mergeTarget({ target: "consul://h/?tag=a" }, "D"), { service: "D", tags: ["a"], consul });
    assert.match(
      refusalOf(() => mergeTarget({ target: "consul://h" })),
      /must name a service after the agent/,
    );
  });

  test("mergeTarget() refuses options that name no service", () => {
    assert.match(
      refusalOf(() => mergeTarget({})),
      /"service" or "target" must name it.*: received neither$/,
    );
  });

  const full =
    "consul://h:1/S?tag=a&dc=b&scheme=http&passing=true&near=n&filter=f&consistency=stale&wait=5s&ns=c&partition=d";
  const twice: readonly [options: Parameters<typeof mergeTarget>[0], message: string][] = [
    [{ service: "S" }, '"service" together as both say the service'],
    [{ tags: ["a"] }, '"tags" together as both say "tag"'],
    [{ datacenter: "b" }, '"datacenter" together as both say "dc"'],
    [{ scheme: "http" }, '"scheme" together as both say "scheme"'],
    [{ passingOnly: true }, '"passingOnly" together as both say "passing"'],
    [{ near: "n" }, '"near" together as both say "near"'],
    [{ filter: "f" }, '"filter" together as both say "filter"'],
    [{ consistency: "stale" }, '"consistency" together as both say "consistency"'],
    [{ waitMs: 5000 }, '"waitMs" together as both say "wait"'],
    [{ consul: "h" }, '"consul" together as both say the agent'],
    [{ consul: { address: "h" } }, '"consul.address" together as both say the agent'],
    [{ consul: { namespace: "c" } }, '"consul.namespace" together as both say "ns"'],
    [{ consul: { partition: "d" } }, '"consul.partition" together as both say "partition"'],
    [{ consul: { datacenter: "b" } }, '"consul.datacenter" together as both say "dc"'],
  ];
  for (const [options, message] of twice) {
    test(`mergeTarget() refuses ${JSON.stringify(options)} beside a target that says it`, () => {
      const text = refusalOf(() => mergeTarget({ ...options, target: full }, "Default"));
      assert.equal(text, `Cannot use "target" and ${message}: leave one out`);
    });
  }

  test("mergeTarget() refuses a client of one agent beside a target that names another, or its namespace", () => {
    const consul = createConsulClient("http://127.0.0.1:1");
    for (const [target, said] of [
      ["consul://h/S", "the agent"],
      ["consul:///S?ns=a", '"ns"'],
    ] as const) {
      const text = refusalOf(() => mergeTarget({ target, consul }));
      assert.equal(
        text,
        `Cannot use "target" as it must leave ${said} to "consul", which is a client: write consul:///service`,
      );
    }
  });
});

test("parseTarget() reads several agents", () => {
  const address = (target: string) => parseTarget(target).consul.address;
  assert.deepEqual(address("consul://a,b:8501,[::1]:1/x"), ["http://a:8500", "http://b:8501", "http://[::1]:1"]);
  assert.deepEqual(address("consul+https://a,b/x?tag=y"), ["https://a:8501", "https://b:8501"]);
  for (const target of [
    "consul://a,/x",
    "consul://,a/x",
    "consul://a,b:0/x",
    "consul://a,a:8500/x",
    "consul://a, b/x",
  ]) {
    assert.throws(() => parseTarget(target), /Cannot use a target as it(s agent)? must/, target);
  }
});

test("parseTarget() repeats no password from among several agents", () => {
  for (const target of ["consul://a,user:pa55word@b/x", "consul://a,b:pa55word/x", "consul://a:pa55word,b/x"]) {
    assert.throws(
      () => parseTarget(target),
      (error) => error instanceof TypeError && !error.message.includes("pa55word"),
      target,
    );
  }
});
