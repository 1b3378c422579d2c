// Certificates and keys as options give them: as they are, by the files that hold them, or by a function. What files and functions give may
// change while the program runs. Opens no connection.

import { X509Certificate } from "node:crypto";
import { createSecureContext, type SecureContextOptions } from "node:tls";
import { type Clock, systemClock } from "../core/clock.ts";
import { describeValue } from "../core/describe-value.ts";
import type { Logger } from "../core/logger.ts";
import { checkAuthorities, checkKeyPair, type Pem, toNodePem } from "./check-certificates.ts";
import { watchFiles } from "./watch-files.ts";

/** Who we are, and whom we trust. All in PEM. */
export interface TlsCredentials {
  /** Certificate chain, our own first. Goes with `key`. */
  readonly cert?: Pem;
  /** Private key of `cert`, unencrypted. */
  readonly key?: Pem;
  /** Certificates of the authorities that the peer's may be signed by. */
  readonly ca?: Pem | readonly Pem[];
}

/** The ways to give them. */
export interface TlsCredentialOptions extends TlsCredentials {
  readonly certFile?: string;
  readonly keyFile?: string;
  readonly caFile?: string;
  readonly credentials?: () => TlsCredentials;
}

/** Credentials that were looked at: a key is that of its certificate, and authorities are certificates. */
export interface CredentialsSource {
  /** Whether they stay what they are: they were given as values. */
  readonly isFixed: boolean;
  /** Those to use now: the same object until they are others. Never throws, but blocks where files are read; see `watchFiles`. */
  readonly current: TlsCredentials;
}

/** What a source is made with. */
export interface CredentialsSourceOptions {
  /** What cannot be done with bad ones: `serve`. */
  readonly action: string;
  /** What there has to be, or the runtime would take its own: nobody's certificate, everybody's authorities. Default: nothing. */
  readonly needs?: readonly ("cert" | "ca")[];
  /** Told of new ones at `info`; at `warn` of those that cannot be used, in whose place the last good ones stay. */
  readonly logger: Logger;
  readonly clock?: Clock;
}

/** How long what was read, or asked for, is taken without looking again. */
const lookAgainMs = 1000;

/**
 * Creates the source. Throws TypeError where options contradict each other, where a file cannot be read, and for certificates and keys that
 * no handshake could use.
 */
export function createCredentialsSource(
  options: TlsCredentialOptions,
  { action, needs = [], logger, clock = systemClock }: CredentialsSourceOptions,
): CredentialsSource {
  refuseContradictions(action, options);
  const onChange = (credentials: TlsCredentials): void => {
    logger.info("TLS certificates replaced", { ...describe(credentials) });
  };
  const onTrouble = (error: unknown): void => {
    logger.warn("New TLS certificates cannot be used: the last good ones stay", { error });
  };
  const { credentials, certFile, keyFile, caFile } = options;
  if (credentials !== undefined) {
    let needed = needs;
    const ask = (): TlsCredentials => {
      const asked = checked(action, needed, credentials(), optionNames);
      if (asked.cert === undefined && asked.ca === undefined) {
        throw new TypeError(
          `Cannot ${action} as "tls.credentials" must return { cert, key, ca }: received none of them`,
        );
      }
      // What was there stays needed: without it, too, the runtime would take its own.
      needed = (["cert", "ca"] as const).filter((name) => needed.includes(name) || asked[name] !== undefined);
      return asked;
    };
    return askFor(ask, { onChange, onTrouble, clock });
  }
  const paths: Readonly<Record<string, string>> = {
    ...optional("certFile", certFile),
    ...optional("keyFile", keyFile),
    ...optional("caFile", caFile),
  };
  if (Object.keys(paths).length === 0) return { isFixed: true, current: checked(action, needs, options, optionNames) };
  const parse = (texts: FileTexts): TlsCredentials =>
    checked(action, needs, fromFiles(options, texts), fileNames(options));
  try {
    const files = watchFiles(paths, parse, { everyMs: lookAgainMs, onChange, onTrouble, clock });
    return {
      isFixed: false,
      get current() {
        return files.current;
      },
    };
  } catch (error) {
    if (error instanceof TypeError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new TypeError(`Cannot ${action} as a file of "tls" cannot be read: ${reason}`, { cause: error });
  }
}

/** As `watchFiles`, of what a function gives. */
function askFor(
  ask: () => TlsCredentials,
  options: {
    readonly onChange: (value: TlsCredentials) => void;
    readonly onTrouble: (error: unknown) => void;
    readonly clock: Clock;
  },
): CredentialsSource {
  const { onChange, onTrouble, clock } = options;
  let current = ask();
  let askedAtMs = clock.now();
  let trouble: string | undefined;
  return {
    isFixed: false,
    get current() {
      const nowMs = clock.now();
      if (nowMs - askedAtMs < lookAgainMs) return current;
      askedAtMs = nowMs;
      try {
        const asked = ask();
        trouble = undefined;
        if (isSame(asked, current)) return current;
        current = asked;
        onChange(current);
      } catch (error) {
        // Not with every connection again.
        if (trouble !== String(error)) onTrouble(error);
        trouble = String(error);
      }
      return current;
    },
  };
}

/** What the options are called in messages. */
interface CredentialNames {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

const optionNames: CredentialNames = { cert: "tls.cert", key: "tls.key", ca: "tls.ca" };

function fileNames({ cert, key, certFile, keyFile, caFile }: TlsCredentialOptions): CredentialNames {
  // One that is missing is wanted in the way of the other.
  const isCertFile = certFile !== undefined || (keyFile !== undefined && cert === undefined);
  const isKeyFile = keyFile !== undefined || (certFile !== undefined && key === undefined);
  return {
    cert: isCertFile ? "tls.certFile" : optionNames.cert,
    key: isKeyFile ? "tls.keyFile" : optionNames.key,
    ca: caFile === undefined ? optionNames.ca : "tls.caFile",
  };
}

/** What the files hold that are named. */
interface FileTexts {
  readonly certFile?: string;
  readonly keyFile?: string;
  readonly caFile?: string;
}

function fromFiles({ cert, key, ca }: TlsCredentials, texts: FileTexts): TlsCredentials {
  return {
    ...optional("cert", texts.certFile ?? cert),
    ...optional("key", texts.keyFile ?? key),
    ...optional("ca", texts.caFile ?? ca),
  };
}

function optional<K extends string, V>(name: K, value: V | undefined): { readonly [name in K]?: V } {
  return (value === undefined ? {} : { [name]: value }) as { readonly [name in K]?: V };
}

function checked(
  action: string,
  needs: readonly ("cert" | "ca")[],
  given: TlsCredentials,
  names: CredentialNames,
): TlsCredentials {
  if (typeof given !== "object" || given === null) {
    const received = describeValue(given);
    throw new TypeError(`Cannot ${action} as "tls.credentials" must return { cert, key, ca }: received ${received}`);
  }
  const { cert, key, ca } = given;
  const missing = needs.find((name) => given[name] === undefined);
  if (missing !== undefined)
    throw new TypeError(`Cannot ${action} as "${names[missing]}" must be there: received none`);
  if (cert !== undefined && key !== undefined) checkKeyPair(action, cert, key, names);
  else if ((cert === undefined) !== (key === undefined)) {
    const received = "received only one of them";
    throw new TypeError(`Cannot ${action} as "${names.cert}" and "${names.key}" go together: ${received}`);
  }
  if (ca !== undefined) checkAuthorities(action, ca, names.ca);
  // Of what there is only: options have more, and what a function gives may change under us.
  const credentials = { ...optional("cert", cert), ...optional("key", key), ...optional("ca", ca) };
  try {
    createSecureContext(toSecureContext(credentials));
  } catch (cause) {
    // Keys that are too short, signatures that are too weak.
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new TypeError(`Cannot ${action} as "tls" must hold what TLS can use: received what it refuses, ${reason}`, {
      cause,
    });
  }
  return credentials;
}

/** As node:tls takes them on every runtime. */
export function toSecureContext({ cert, key, ca }: TlsCredentials): Pick<SecureContextOptions, "ca" | "cert" | "key"> {
  return {
    ...(cert === undefined ? {} : { cert: toNodePem(cert) }),
    ...(key === undefined ? {} : { key: toNodePem(key) }),
    ...(ca === undefined ? {} : { ca: [ca].flat().map((one) => toNodePem(one)) }),
  };
}

function refuseContradictions(action: string, options: TlsCredentialOptions): void {
  const { credentials } = options;
  for (const name of ["cert", "key", "ca"] as const) {
    const file = options[`${name}File`];
    if (file !== undefined && (typeof file !== "string" || file === "")) {
      const received = describeValue(file);
      throw new TypeError(`Cannot ${action} as "tls.${name}File" must be the path of a file: received ${received}`);
    }
    if (file !== undefined && options[name] !== undefined) {
      throw new TypeError(`Cannot ${action} as "tls.${name}" and "tls.${name}File" say the same: received both`);
    }
    if (credentials !== undefined && (file ?? options[name]) !== undefined) {
      const other = file === undefined ? name : `${name}File`;
      throw new TypeError(
        `Cannot ${action} as "tls.credentials" gives all there is: received "tls.${other}" beside it`,
      );
    }
  }
  if (credentials !== undefined && typeof credentials !== "function") {
    const received = describeValue(credentials);
    throw new TypeError(`Cannot ${action} as "tls.credentials" must be a function: received ${received}`);
  }
}

function isSame(one: TlsCredentials, other: TlsCredentials): boolean {
  return isSamePem(one.cert, other.cert) && isSamePem(one.key, other.key) && isSamePem(one.ca, other.ca);
}

function isSamePem(one: TlsCredentials["ca"], other: TlsCredentials["ca"]): boolean {
  return textOf(one) === textOf(other);
}

function textOf(pem: TlsCredentials["ca"]): string {
  return pem === undefined
    ? ""
    : [pem]
        .flat()
        .map((one) => toNodePem(one).toString())
        .join("\n");
}

/** What may be logged of them. */
function describe({ cert }: TlsCredentials): { readonly fingerprint256?: string; readonly validTo?: string } {
  if (cert === undefined) return {};
  const { fingerprint256, validTo } = new X509Certificate(toNodePem(cert));
  return { fingerprint256, validTo };
}
