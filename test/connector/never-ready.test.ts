import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { neverSpokeHttp2, tlsFailure } from "../../src/connector/never-ready.ts";

const url = "https://10.0.0.1:443";
const failed = (code: string): Error => Object.assign(new Error("the library's words"), { code });

describe("neverSpokeHttp2()", () => {
  test("says that the server hung up when it just ended, or was cut", () => {
    assert.equal(neverSpokeHttp2(url, undefined).message, `${url} hung up before it spoke HTTP/2`);
    for (const code of ["ECONNRESET", "EPIPE"]) {
      const reason = failed(code);
      const error = neverSpokeHttp2(url, reason);
      assert.equal(error.message, `${url} hung up before it spoke HTTP/2`);
      assert.equal(error.cause, reason);
    }
  });

  test("says that it speaks something else when what came was no HTTP/2", () => {
    const reason = new Error("the peer does not speak HTTP/2");
    const error = neverSpokeHttp2(url, reason);
    assert.equal(error.message, `${url} does not speak HTTP/2`);
    assert.equal(error.cause, reason);
  });

  // TLS 1.3 tells clients after their handshake: RFC 8446, section 4.4.2.4.
  for (const code of ["ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED", "ERR_SSL_TLSV1_ALERT_CERTIFICATE_REQUIRED"]) {
    test(`says that the server wants a client certificate when the library says ${code}`, () => {
      assert.equal(neverSpokeHttp2(url, failed(code)).message, `${url} wants a client certificate`);
    });
  }
});

describe("tlsFailure()", () => {
  const refused = "refuses the client certificate";
  for (const [code, text] of [
    ["ERR_SSL_WRONG_VERSION_NUMBER", "does not speak TLS"],
    ["ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL", "does not speak HTTP/2"],
    ["ERR_SSL_TLSV1_ALERT_UNKNOWN_CA", refused],
    ["ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE", refused],
    ["ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED", refused],
  ] as const) {
    test(`says "${text}" when the library says ${code}`, () => {
      const cause = failed(code);
      const error = tlsFailure(url, cause);
      assert.equal(error?.message, `${url} ${text}`);
      assert.equal(error?.cause, cause);
    });
  }

  test("leaves faults of the server's certificate, and what is no error of TLS, to their own words", () => {
    for (const code of ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "CERT_HAS_EXPIRED", "ECONNREFUSED"]) {
      assert.equal(tlsFailure(url, failed(code)), undefined);
    }
    assert.equal(tlsFailure(url, "a string"), undefined);
  });
});
