import assert from "node:assert/strict";
import { test } from "node:test";
import { spiffeIdOf } from "../../src/runtime/peer-identity.ts";

test("spiffeIdOf() takes one well-formed URI, and nothing else", () => {
  const idOf = (...uris: string[]) => spiffeIdOf({ dnsNames: [], uris, ipAddresses: [] });
  for (const id of ["spiffe://example.test/ns/default/svc/billing", "spiffe://example.test", "spiffe://a_b-1/...x/A"]) {
    assert.equal(idOf(id), id);
  }
  assert.equal(idOf(), undefined);
  assert.equal(idOf("spiffe://example.test/a", "spiffe://example.test/b"), undefined);
  assert.equal(idOf("spiffe://example.test/a", "https://example.test/"), undefined);
  for (const uri of [
    "",
    "https://example.test/a",
    "SPIFFE://example.test/a",
    "spiffe://Example.test/a",
    "spiffe:///a",
    "spiffe://example.test/",
    "spiffe://example.test//a",
    "spiffe://example.test/a/",
    "spiffe://example.test/a/../b",
    "spiffe://example.test/./b",
    "spiffe://example.test/a/..",
    "spiffe://example.test/%61",
    "spiffe://example.test/a?b",
    "spiffe://example.test/a#b",
    "spiffe://user@example.test/a",
    "spiffe://example.test:8443/a",
    "spiffe://example.test/a\0",
    "spiffe://example.test/a\n",
    "spiffe://example.test/\u00e9",
  ]) {
    assert.equal(idOf(uri), undefined, JSON.stringify(uri));
  }
});
