// Who the other side of a TLS connection is by its certificate, as plain data. Verifies nothing: the handshake has.

import { X509Certificate } from "node:crypto";
import { type CertificateNames, readCertificateNames } from "./certificate-names.ts";

/** What a verified certificate says of its holder. */
export interface PeerIdentity extends CertificateNames {
  /** Distinguished name in one line, like `CN=billing, O=Example`; to look at: decide by the names that authorities verify, which are the others. */
  readonly subject: string;
  /**
   * SPIFFE id; undefined where the certificate has none that is well-formed, or more than one URI, which no SVID has:
   * https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md#2-spiffe-id
   */
  readonly spiffeId: string | undefined;
  /** SHA-256 of the certificate, as `openssl x509 -fingerprint -sha256` shows it. */
  readonly fingerprint256: string;
  /** When the certificate ends. Connections outlive it. */
  readonly validTo: Date;
}

/** Reads a certificate in DER. Throws where it is none. */
export function readPeerIdentity(der: Uint8Array): PeerIdentity {
  const { subject, fingerprint256, validTo } = new X509Certificate(der);
  const names = readCertificateNames(der);
  return {
    ...names,
    // Bun gives none for an empty subject.
    subject: (subject ?? "").replaceAll("\n", ", "),
    spiffeId: spiffeIdOf(names),
    fingerprint256,
    validTo: new Date(validTo),
  };
}

/** The one URI of an SVID; undefined for another certificate. */
export function spiffeIdOf({ uris }: CertificateNames): string | undefined {
  const [uri = "", ...others] = uris;
  return others.length === 0 && isSpiffeId(uri) ? uri : undefined;
}

/**
 * Whether it is one as https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md#2-spiffe-identity has it: the trust domain in small
 * letters, nothing encoded, no segment that is empty or made of dots alone, no slash at the end.
 */
export function isSpiffeId(text: string): boolean {
  return /^spiffe:\/\/[a-z0-9._-]+(\/(?!\.{1,2}(\/|$))[a-zA-Z0-9._-]+)*$/.test(text);
}
