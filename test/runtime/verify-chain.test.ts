import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { describe, test } from "node:test";
import type { DetailedPeerCertificate, TLSSocket } from "node:tls";
import { leadsTo, parseAuthorities } from "../../src/runtime/verify-chain.ts";
import { createAuthority } from "../support/authority.ts";

const [own, other] = [createAuthority("own"), createAuthority("other")];
const pair = own.issue({ name: "client" });
const impostor = createAuthority("own").issue({ name: "client" });

/** A socket whose peer has sent these. */
function socketOf(...pems: string[]): TLSSocket {
  const chain = pems.map((pem) => ({ raw: new X509Certificate(pem).raw }) as DetailedPeerCertificate);
  for (const [index, one] of chain.entries()) one.issuerCertificate = chain[index + 1] ?? one;
  return { getPeerCertificate: () => chain[0] ?? {} } as unknown as TLSSocket;
}

describe("leadsTo()", () => {
  const leads = (ca: string[], ...pems: string[]): boolean =>
    leadsTo(parseAuthorities(ca), socketOf(...pems), Date.now());

  test("finds the authority that signed, among others and in one file with them", () => {
    assert.equal(leads([own.ca], pair.cert), true);
    assert.equal(leads([other.ca, own.ca], pair.cert), true);
    assert.equal(leads([`# both\n${other.ca}\n${own.ca}`], pair.cert, own.ca), true);
  });

  test("trusts no other authority, whatever the peer sends along, and none of the same name", () => {
    assert.equal(leads([other.ca], pair.cert), false);
    assert.equal(leads([other.ca], pair.cert, own.ca), false);
    assert.equal(leads([own.ca], impostor.cert), false);
    assert.equal(leads([own.ca]), false);
  });

  test("goes through what the peer sends along, if it is an authority", () => {
    const between = own.issueAuthority("between");
    const { cert } = between.issue({ name: "client" });
    assert.equal(leads([own.ca], cert, between.ca), true);
    assert.equal(leads([own.ca], cert), false);
    assert.equal(leads([other.ca], cert, between.ca, own.ca), false);
    // Whoever has a certificate cannot issue others.
    const notOne = own.issue({ name: "client" });
    assert.equal(leads([own.ca], impostor.cert, notOne.cert), false);
  });

  test("knows when a certificate has run out", () => {
    const inThreeDays = Date.now() + 3 * 86_400_000;
    assert.equal(leadsTo(parseAuthorities(own.ca), socketOf(pair.cert), inThreeDays), false);
  });
});
