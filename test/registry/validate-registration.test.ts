import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { RegisterOptions } from "../../src/registry/register-options.ts";
import { registerService } from "../../src/registry/register-service.ts";
import { registrationBody } from "../../src/registry/registration-body.ts";
import { resolveRegistration } from "../../src/registry/validate-registration.ts";
import { createScriptedConsul } from "../support/scripted-consul.ts";

const valid: RegisterOptions = { consul: "http://127.0.0.1:1", name: "Hello", host: "10.0.0.1", port: 10000 };

/** Options that break a rule, whatever their types say. */
const refused: readonly [Record<string, unknown>, RegExp][] = [
  [{ name: "" }, /^Cannot register a service as "name" must be a non-empty string: received ""$/],
  [{ name: undefined }, /"name" must be a non-empty string: received undefined/],
  [{ name: "a\u0000b" }, /"name" must not hold control characters/],
  [{ name: "a\u007fb" }, /"name" must not hold control characters/],
  [{ name: " a" }, /"name" must not begin or end with a space/],
  [{ name: "a/b" }, /"name" must not hold "\/": received "a\/b"/],
  [{ name: ".." }, /"name" must not be a path's dots/],
  [{ id: "" }, /^Cannot register "Hello" as "id" must be a non-empty string: received ""$/],
  [{ id: "a\nb" }, /"id" must not hold control characters/],
  [{ id: "a/b" }, /"id" must not hold "\/"/],
  [{ port: 0 }, /^Cannot register "Hello" as "port" must be an integer from 1 to 65535: received 0$/],
  [{ port: -1 }, /"port"/],
  [{ port: 65536 }, /"port"/],
  [{ port: 1.5 }, /"port"/],
  [{ port: Number.NaN }, /"port"/],
  [{ port: "80" }, /"port" must be an integer from 1 to 65535: received "80"/],
  [{ host: "" }, /"host" must be a host name or an IP literal/],
  [{ host: "not a host!!" }, /"host" must be a host name or an IP literal/],
  [{ host: "http://a" }, /"host"/],
  [{ host: "a:80" }, /"host"/],
  [{ host: "a..b" }, /"host"/],
  [{ host: "-a" }, /"host"/],
  [{ host: "1.2.3" }, /"host"/],
  [{ host: "1.2.3.256" }, /"host"/],
  [{ host: "01.2.3.4" }, /"host"/],
  [{ host: "0.0.0.0" }, /"host" must be an address that others can connect to: received "0.0.0.0"/],
  [{ host: "::" }, /"host" must be an address that others can connect to/],
  [{ host: "[::]" }, /"host" must be an address that others can connect to/],
  [{ host: "0:0:0:0:0:0:0:0" }, /"host" must be an address that others can connect to/],
  [{ host: "::ffff:0.0.0.0" }, /"host" must be an address that others can connect to/],
  [{ host: "1::2::3" }, /"host" must be a host name or an IP literal/],
  [{ host: "fe80::1%eth0" }, /"host" must be a host name or an IP literal/],
  [{ host: "[10.0.0.1]" }, /"host" must have brackets around IPv6 literals only/],
  [{ tags: [""] }, /"tags" must be non-empty strings/],
  [{ tags: [1] }, /"tags" must be non-empty strings/],
  [{ meta: { "a b": "1" } }, /"meta" must have keys/],
  [{ meta: { "": "1" } }, /"meta" must have keys/],
  [{ meta: { ["k".repeat(129)]: "1" } }, /"meta" must have keys/],
  [{ meta: { "consul-x": "1" } }, /"meta" must have no key that begins with "consul-"/],
  [{ meta: { a: 1 } }, /"meta.a" must be a string: received 1/],
  [{ meta: { a: "é".repeat(257) } }, /"meta.a" must be at most 512 bytes/],
  [{ meta: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`k${i}`, ""])) }, /at most 64 pairs: received 65/],
  [{ weights: { passing: 0, warning: 1 } }, /"weights.passing" must be an integer from 1 to 65535/],
  [{ weights: { passing: 65536, warning: 1 } }, /"weights.passing"/],
  [{ weights: { passing: 1, warning: -1 } }, /"weights.warning" must be an integer from 0 to 65535/],
  [{ check: { type: "ttl", ttlMs: 0 } }, /"check.ttlMs" must be an integer of at least 1: received 0/],
  [{ check: { type: "ttl", ttlMs: 1500.5 } }, /"check.ttlMs"/],
  [{ check: { type: "ttl", ttlMs: Number.POSITIVE_INFINITY } }, /"check.ttlMs"/],
  [{ check: { type: "ttl", intervalMs: 10_000 } }, /"check.intervalMs" must be less than half the TTL of 20000 ms/],
  [{ check: { type: "ttl", intervalMs: 0 } }, /"check.intervalMs"/],
  [{ check: { type: "grpc", target: "nowhere" } }, /"check.target" must be host:port/],
  [{ check: { type: "tcp", target: "a:0" } }, /"check.target" must be host:port/],
  [{ check: { type: "tcp", intervalMs: 0 } }, /"check.intervalMs"/],
  [{ check: { type: "http", url: "ftp://a" } }, /"check.url" must be an http or https URL/],
  [{ check: { type: "http", method: "get it" } }, /"check.method"/],
  [{ check: { type: "http", timeoutMs: -1 } }, /"check.timeoutMs"/],
  [{ check: { type: "script" } }, /"check.type" must be ttl, grpc, http or tcp: received "script"/],
  [{ check: { type: "grpc" }, health: () => ({ status: "pass" }) }, /"health" needs a check of type ttl/],
  [{ deregisterAfterMs: -1 }, /"deregisterAfterMs"/],
  [{ deregisterAfterMs: 1.5 }, /"deregisterAfterMs"/],
];

describe("registerService() refuses before anything is sent", () => {
  for (const [options, message] of refused) {
    test(`${JSON.stringify(options).slice(0, 80)}`, () => {
      const consul = createScriptedConsul();
      const bad = { ...valid, consul: consul.client, ...options } as RegisterOptions;
      assert.throws(
        () => registerService(bad),
        (error: Error) => {
          assert.ok(error instanceof TypeError || error instanceof RangeError);
          assert.match(error.message, message);
          return true;
        },
      );
      assert.deepEqual(consul.calls, []);
    });
  }
});

describe("resolveRegistration() accepts", () => {
  const hosts = ["localhost", "a-b.c_d.example", "host.", "10.0.0.1", "::1", "[::1]", "fe80::1", "1password.example"];
  for (const host of hosts) {
    test(`host ${host}`, () => {
      assert.equal(resolveRegistration({ ...valid, host }).host, host);
    });
  }

  test("an IPv6 literal as written, with brackets in the id and in the check's target", () => {
    for (const host of ["::1", "[::1]"]) {
      const body = registrationBody(resolveRegistration({ ...valid, host, check: { type: "grpc" } }));
      assert.equal(body.Address, host);
      assert.equal(body.ID, "[::1]:10000:Hello");
      assert.equal(body.Check?.GRPC, "[::1]:10000");
    }
  });

  test("names that Consul's DNS does not know", () => {
    assert.equal(resolveRegistration({ ...valid, name: "my.pkg.Grüße v1" }).name, "my.pkg.Grüße v1");
  });
});

describe("registrationBody() writes", () => {
  const checkOf = (options: Partial<RegisterOptions>) => {
    const {
      CheckID: _,
      Status: __,
      ...check
    } = registrationBody(resolveRegistration({ ...valid, ...options })).Check ?? {};
    return check;
  };

  test("every check in Consul 1.8's fields", () => {
    const off = { deregisterAfterMs: 0 } as const;
    assert.deepEqual(checkOf({ ...off, check: { type: "ttl", ttlMs: 1500 } }), { TTL: "1500ms" });
    assert.deepEqual(checkOf({ ...off, check: { type: "grpc" } }), { GRPC: "10.0.0.1:10000", Interval: "5s" });
    assert.deepEqual(
      checkOf({
        ...off,
        check: { type: "grpc", target: "a:1/my.Svc", intervalMs: 2000, timeoutMs: 500, tls: { verify: false } },
      }),
      { GRPC: "a:1/my.Svc", Interval: "2s", Timeout: "500ms", GRPCUseTLS: true, TLSSkipVerify: true },
    );
    assert.deepEqual(checkOf({ ...off, check: { type: "http" } }), {
      HTTP: "http://10.0.0.1:10000/healthz",
      Interval: "5s",
    });
    assert.deepEqual(
      checkOf({ ...off, check: { type: "http", tls: true, method: "HEAD", headers: { Accept: "text/plain" } } }),
      {
        HTTP: "https://10.0.0.1:10000/healthz",
        Interval: "5s",
        Method: "HEAD",
        Header: { Accept: ["text/plain"] },
      },
    );
    assert.deepEqual(checkOf({ ...off, check: { type: "tcp" } }), { TCP: "10.0.0.1:10000", Interval: "5s" });
  });

  test("when Consul shall drop the instance, unless never", () => {
    assert.deepEqual(checkOf({}), { TTL: "20s", DeregisterCriticalServiceAfter: "600s" });
    assert.deepEqual(checkOf({ deregisterAfterMs: 90_500 }), {
      TTL: "20s",
      DeregisterCriticalServiceAfter: "90500ms",
    });
    assert.deepEqual(checkOf({ deregisterAfterMs: false }), { TTL: "20s" });
  });

  test("a heartbeat interval of a quarter of a short TTL", () => {
    assert.equal(resolveRegistration({ ...valid, check: { type: "ttl", ttlMs: 2000 } }).check.intervalMs, 500);
    assert.equal(resolveRegistration({ ...valid, check: { type: "ttl", ttlMs: 60_000 } }).check.intervalMs, 5000);
  });
});
