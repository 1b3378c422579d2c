// The certificates that most tests of TLS need, made once per process.

import { type CertificatePair, createAuthority } from "./authority.ts";

export type { CertificatePair } from "./authority.ts";

/** What tests of TLS need. All PEM. */
export interface Certificates {
  /** Certificate of the authority that signed `server` and `client`. */
  readonly ca: string;
  /** For localhost, 127.0.0.1 and ::1. */
  readonly server: CertificatePair;
  readonly client: CertificatePair;
  /** A client's certificate of another authority, which nobody should trust. */
  readonly stranger: CertificatePair;
}

/** Names of a server that is reached by loopback. */
export const loopbackNames: readonly string[] = ["DNS:localhost", "IP:127.0.0.1", "IP:::1"];

let made: Certificates | undefined;

/** Makes the certificates, or returns those that this process made before. Throws where there is no openssl. */
export function makeCertificates(): Certificates {
  made ??= make();
  return made;
}

function make(): Certificates {
  const { ca, issue } = createAuthority("lictor test ca");
  return {
    ca,
    server: issue({ name: "server", altNames: loopbackNames, usage: "serverAuth" }),
    client: issue({ name: "client", usage: "clientAuth" }),
    stranger: createAuthority("lictor test other-ca").issue({ name: "stranger", usage: "clientAuth" }),
  };
}
