import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { describe, test } from "node:test";
import { readCertificateNames } from "../../src/runtime/certificate-names.ts";
import { readPeerIdentity } from "../../src/runtime/peer-identity.ts";
import { createAuthority } from "../support/authority.ts";

const authority = createAuthority("names");

function derOf(altNames: readonly string[]): Uint8Array {
  return new X509Certificate(authority.issue({ name: "named", altNames }).cert).raw;
}

describe("readCertificateNames()", () => {
  test("reads every kind of name", () => {
    const id = "spiffe://example.test/ns/default/svc/a";
    assert.deepEqual(
      readCertificateNames(
        derOf(["DNS:a.test", "DNS:*.b.test", `URI:${id}`, "IP:10.0.0.1", "IP:2001:db8::1", "email:x@a.test"]),
      ),
      { dnsNames: ["a.test", "*.b.test"], uris: [id], ipAddresses: ["10.0.0.1", "2001:db8:0:0:0:0:0:1"] },
    );
  });

  test("keeps a name whole that looks like two", () => {
    const odd = "spiffe://a.test/x, DNS:b.test, URI:spiffe://a.test/y";
    assert.deepEqual(readCertificateNames(derOf([`URI:${odd}`])), { dnsNames: [], uris: [odd], ipAddresses: [] });
  });

  test("reads lists that are long", () => {
    const names = Array.from({ length: 300 }, (_, index) => `host-${index}.example.test`);
    const { dnsNames } = readCertificateNames(derOf(names.map((name) => `DNS:${name}`)));
    assert.deepEqual(dnsNames, names);
  });

  test("gives nothing for a certificate without names", () => {
    assert.deepEqual(readCertificateNames(derOf([])), { dnsNames: [], uris: [], ipAddresses: [] });
  });

  test("throws RangeError for what is no certificate, however it is cut", () => {
    const der = derOf(["DNS:a.test"]);
    for (let length = 0; length < der.length; length++) {
      assert.throws(() => readCertificateNames(der.subarray(0, length)), RangeError, `${length} bytes`);
    }
    assert.throws(() => readCertificateNames(new Uint8Array(64).fill(0xff)), RangeError);
  });
});

describe("readPeerIdentity()", () => {
  const identityOf = (...altNames: string[]) => readPeerIdentity(derOf(altNames));

  test("says who it is, and until when", () => {
    const { subject, fingerprint256, validTo, dnsNames } = identityOf("DNS:a.test");
    assert.equal(subject, "CN=named");
    assert.match(fingerprint256, /^[0-9A-F]{2}(:[0-9A-F]{2}){31}$/);
    assert.deepEqual(dnsNames, ["a.test"]);
    const days = (validTo.getTime() - Date.now()) / 86_400_000;
    assert.ok(days > 1.9 && days < 2.1, `${days} days`);
  });

  test("has a SPIFFE id where there is one URI, and it is one", () => {
    assert.equal(identityOf("URI:spiffe://a.test/x", "DNS:a.test").spiffeId, "spiffe://a.test/x");
    assert.equal(identityOf("URI:spiffe://a.test/x", "URI:spiffe://a.test/y").spiffeId, undefined);
    assert.equal(identityOf("URI:https://a.test/x").spiffeId, undefined);
    assert.equal(identityOf("DNS:a.test").spiffeId, undefined);
  });
});
