// Whether certificates lead to an authority that is trusted now, for a session that a TLS library takes up again without a look at them. Is no
// substitute for its verification, which they went through before.

import { X509Certificate } from "node:crypto";
import type { DetailedPeerCertificate, TLSSocket } from "node:tls";
import { type Pem, parseCertificates } from "./check-certificates.ts";

/** Longer chains than anybody has. */
const maxChain = 10;

/** The certificates in one or more files of authorities. Throws for what is none. */
export function parseAuthorities(ca: Pem | readonly Pem[]): readonly X509Certificate[] {
  return [ca].flat().flatMap((pem) => parseCertificates(pem));
}

/** Whether the peer's certificate is signed by an authority, or by what it sent along that is, and has not run out. False where it has shown none. */
export function leadsTo(authorities: readonly X509Certificate[], socket: TLSSocket, unixMs: number): boolean {
  const [leaf, ...others] = chainOf(socket);
  if (leaf === undefined || Date.parse(leaf.validTo) < unixMs) return false;
  let current = leaf;
  for (let length = 0; length < maxChain; length++) {
    if (authorities.some((authority) => isIssuedBy(current, authority))) return true;
    const above = others.find((other) => other.ca && isIssuedBy(current, other));
    if (above === undefined) return false;
    current = above;
  }
  return false;
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

/** As the peer sent them, its own first. */
function chainOf(socket: TLSSocket): readonly X509Certificate[] {
  const chain: X509Certificate[] = [];
  let next: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
  // The last one's issuer is itself.
  while (next?.raw !== undefined && chain.length < maxChain) {
    chain.push(new X509Certificate(next.raw));
    next = next.issuerCertificate === next ? undefined : next.issuerCertificate;
  }
  return chain;
}
