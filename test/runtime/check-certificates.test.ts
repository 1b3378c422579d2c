import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseCertificates } from "../../src/runtime/check-certificates.ts";
import { createAuthority } from "../support/authority.ts";

const [one, other] = [createAuthority("one"), createAuthority("other")];

describe("parseCertificates()", () => {
  const subjects = (pem: string | Uint8Array): string[] => parseCertificates(pem).map(({ subject }) => subject);

  test("reads all certificates of a text, and nothing else of it", () => {
    assert.deepEqual(subjects(one.ca), ["CN=one"]);
    assert.deepEqual(subjects(one.ca.trimEnd()), ["CN=one"]);
    assert.deepEqual(subjects(Buffer.from(one.ca + other.ca)), ["CN=one", "CN=other"]);
    assert.deepEqual(subjects(`# one\n=====\n${one.ca}Certificate:\n    Data: -\n${one.key}${other.ca}\n# end`), [
      "CN=one",
      "CN=other",
    ]);
    assert.deepEqual(subjects(one.ca.replaceAll("\n", "\r\n")), ["CN=one"]);
  });

  test("throws wherever a text breaks off within a certificate", () => {
    const whole = one.ca + other.ca.trimEnd();
    // Without its line end it is whole.
    for (let length = 1; length < whole.length; length++) {
      if (length === one.ca.length || length === one.ca.length - 1) continue;
      assert.throws(() => parseCertificates(whole.slice(0, length)), `${length} of ${whole.length}`);
    }
    assert.equal(subjects(whole).length, 2);
  });

  test("throws for what holds none, and where a later one is none", () => {
    assert.throws(() => parseCertificates(""));
    assert.throws(() => parseCertificates(one.key));
    assert.throws(() => parseCertificates(`${one.ca}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`));
    assert.throws(() => parseCertificates(new Uint8Array(1000).fill(255)));
  });
});
