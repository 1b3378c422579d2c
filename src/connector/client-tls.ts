// A client's TLS, from options to what node:tls is told for one connection: who we are, whom we trust, and who the server has to be. Opens nothing.

import { isIP } from "node:net";
import { type ConnectionOptions, checkServerIdentity, type PeerCertificate } from "node:tls";
import type { Clock } from "../core/clock.ts";
import { describeAddress, describeValue } from "../core/describe-value.ts";
import type { Endpoint } from "../core/endpoint.ts";
import { stripBrackets } from "../core/host-port.ts";
import { type Logger, silentLogger } from "../core/logger.ts";
import { type CertificateNames, readCertificateNames } from "../runtime/certificate-names.ts";
import { isSpiffeId, spiffeIdOf } from "../runtime/peer-identity.ts";
import { createCredentialsSource, type TlsCredentials, toSecureContext } from "../runtime/tls-credentials.ts";

/** What a client may be told of an endpoint's identity: one for all, or by endpoint. */
type ByEndpoint<T> = T | ((endpoint: Endpoint) => T);

/**
 * How a client proves who it is, whom it trusts, and who a server has to be. All certificates and keys in PEM. What is read from files, and what
 * `credentials` gives, is looked at again before a connection is opened, at most once a second: new connections use it, those that are open go on.
 * New ones that cannot be used are told to `logger`, and the last good ones stay.
 */
export interface ClientTlsOptions {
  /** Certificate authorities to trust instead of the runtime's. */
  readonly ca?: string | readonly string[];
  /** File that holds them, or a folder of such. */
  readonly caFile?: string;
  /** Client certificate chain, together with `key`. */
  readonly cert?: string;
  /** Private key of `cert`. */
  readonly key?: string;
  /** File of the client certificate chain, together with `keyFile`. */
  readonly certFile?: string;
  /** File of its private key. */
  readonly keyFile?: string;
  /** In place of all the above, for those who hold them elsewhere: `{ ca, cert, key }` as they are now. Must not block. */
  readonly credentials?: () => TlsCredentials;
  /**
   * Name to ask for (SNI) and to find in the server's certificate, instead of the endpoint's host; or how to know it by the endpoint. It should
   * come from what the client knows by itself: who can write to Consul could name any server in an endpoint's meta.
   */
  readonly serverName?: string | ((endpoint: Endpoint) => string);
  /**
   * SPIFFE id that the server's certificate has to hold, or one of several, in place of a name; or how to know it by the endpoint. Exact:
   * `spiffe://example.org/ns/default/svc/billing`.
   */
  readonly spiffeId?: string | readonly string[] | ((endpoint: Endpoint) => string | readonly string[]);
}

/** TLS for connections, one by one. */
export interface ClientTls {
  /** What a connection to this endpoint is opened with, as of now: SNI, certificates, and the check of who answers. Throws what the functions of options throw. */
  connectionOptions(endpoint: Endpoint): ConnectionOptions;
}

/** What it is made with. */
export interface ClientTlsParts {
  /** Told of certificates that were replaced. */
  readonly logger?: Logger | undefined;
  readonly clock?: Clock | undefined;
}

/** Checks the options and reads what they name. Throws TypeError for those that would fail every connection, one by one. */
export function createClientTls(
  tls: ClientTlsOptions,
  { logger = silentLogger, clock }: ClientTlsParts = {},
): ClientTls {
  if (typeof tls !== "object" || tls === null) {
    throw new TypeError(
      `Cannot create connector as "tls" must be an object of settings, like { ca }: received ${describeValue(tls)}`,
    );
  }
  const { serverName, spiffeId } = tls;
  if (serverName !== undefined && typeof serverName !== "function") checkName(serverName);
  if (spiffeId !== undefined && typeof spiffeId !== "function") checkSpiffeIds(spiffeId);
  const action = "create connector";
  const source = createCredentialsSource(tls, { action, logger, ...(clock === undefined ? {} : { clock }) });
  return {
    connectionOptions(endpoint) {
      const name = byEndpoint(serverName, endpoint);
      const ids = byEndpoint(spiffeId, endpoint);
      if (name !== undefined) checkName(name);
      if (ids !== undefined) checkSpiffeIds(ids);
      const host = stripBrackets(new URL(endpoint.url).hostname);
      return {
        ...toSecureContext(source.current),
        ...nameOf(host, name),
        checkServerIdentity: (_asked: string, certificate: PeerCertificate) =>
          ids === undefined
            ? checkServerName(endpoint.url, name ?? host, certificate)
            : checkSpiffeId(endpoint.url, [ids].flat(), certificate),
      };
    },
  };
}

function byEndpoint<T>(value: ByEndpoint<T> | undefined, endpoint: Endpoint): T | undefined {
  return typeof value === "function" ? (value as (endpoint: Endpoint) => T)(endpoint) : value;
}

/** SNI has no IP addresses: RFC 6066, section 3. */
function nameOf(host: string, name: string | undefined): { servername?: string } {
  if (name !== undefined) return { servername: name };
  return isIP(host) === 0 ? { servername: host } : {};
}

/**
 * By the runtime's own rules, RFC 6125; in our words, as the runtimes' differ. Not by the subject, in which the runtimes look where no DNS name is
 * (RFC 9525, section 2: it is free text), and not by names that hold what the runtimes' own text parts names by, as Deno's does not quote
 * them (2.9.6).
 */
function checkServerName(url: string, name: string, certificate: PeerCertificate): Error | undefined {
  const { dnsNames, ipAddresses } = namesOf(certificate);
  const names = [
    ...dnsNames.filter((dnsName) => /^[\w.*-]+$/.test(dnsName)).map((dnsName) => `DNS:${dnsName}`),
    ...ipAddresses.map((address) => `IP Address:${address}`),
  ];
  const cause = checkServerIdentity(name, { ...noSubject, subjectaltname: names.join(", ") });
  return cause === undefined ? undefined : mismatch(url, `"${name}"`, certificate, cause);
}

/** https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md#51-path-validation: one URI in it, and no other name counts. */
function checkSpiffeId(url: string, ids: readonly string[], certificate: PeerCertificate): Error | undefined {
  const id = spiffeIdOf(namesOf(certificate));
  if (id !== undefined && ids.includes(id)) return undefined;
  return mismatch(url, ids.map((one) => `"${one}"`).join(" or "), certificate, undefined);
}

function mismatch(url: string, expected: string, certificate: PeerCertificate, cause: unknown): Error {
  const { dnsNames, uris, ipAddresses } = namesOf(certificate);
  const all = [...dnsNames, ...ipAddresses, ...uris];
  const received = all.length === 0 ? "one without names" : all.map((name) => JSON.stringify(name)).join(", ");
  const message = `${url} is not ${expected} by its certificate: received ${received}`;
  return new Error(message, cause === undefined ? undefined : { cause });
}

const noSubject = { subject: {} } as PeerCertificate;
const noNames: CertificateNames = { dnsNames: [], uris: [], ipAddresses: [] };

function namesOf({ raw }: PeerCertificate): CertificateNames {
  try {
    return readCertificateNames(raw);
  } catch {
    return noNames;
  }
}

function checkName(name: unknown): void {
  if (typeof name === "string" && name !== "") return;
  throw new TypeError(
    `Cannot create connector as "tls.serverName" must be a name: received ${name === "" ? '""' : describeValue(name)}`,
  );
}

function checkSpiffeIds(ids: unknown): void {
  const all: readonly unknown[] = [ids].flat();
  const bad = all.length === 0 ? ids : all.find((id) => typeof id !== "string" || !isSpiffeId(id));
  if (bad === undefined) return;
  const rule = "must be like spiffe://example.org/ns/default/svc/billing";
  const received = typeof bad === "string" ? JSON.stringify(describeAddress(bad)) : describeValue(bad);
  throw new TypeError(`Cannot create connector as "tls.spiffeId" ${rule}: received ${received}`);
}
