// A client's TLS, from options to node:tls's own. Opens nothing.

import { createSecureContext, type SecureContextOptions } from "node:tls";
import { describeValue } from "../core/describe-value.ts";
import { checkAuthorities, checkKeyPair } from "../runtime/check-certificates.ts";

/** How a client proves who it is and whom it trusts. All certificates and keys in PEM. */
export interface ClientTlsOptions {
  /** Certificate authorities to trust instead of the runtime's. */
  readonly ca?: string | readonly string[];
  /** Client certificate chain, together with `key`. */
  readonly cert?: string;
  /** Private key of `cert`. */
  readonly key?: string;
  /** Name to ask for (SNI) and to find in the server's certificate, instead of the endpoint's host. */
  readonly serverName?: string;
}

/** Throws TypeError for options that would fail every connection, one by one. */
export function checkClientTls(tls: ClientTlsOptions): void {
  if (typeof tls !== "object" || tls === null) {
    throw new TypeError(
      `Cannot create connector as "tls" must be an object of settings, like { ca }: received ${describeValue(tls)}`,
    );
  }
  const { ca, cert, key } = tls;
  if ((cert === undefined) !== (key === undefined)) {
    throw new TypeError('Cannot create connector as "tls.cert" and "tls.key" go together: received only one of them');
  }
  if (ca !== undefined) checkAuthorities("create connector", ca);
  if (cert !== undefined && key !== undefined) checkKeyPair("create connector", cert, key);
  try {
    createSecureContext(toSecureContext(tls));
  } catch (cause) {
    throw new TypeError('Cannot create connector as "tls" must hold certificates and a key in PEM', { cause });
  }
}

/** The same, as node:tls takes it. */
export function toSecureContext({ ca, cert, key }: ClientTlsOptions): SecureContextOptions {
  return {
    ...(ca === undefined ? {} : { ca: typeof ca === "string" ? ca : [...ca] }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}
