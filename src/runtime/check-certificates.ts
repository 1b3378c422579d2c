// Looks at certificates and keys before they are used: the runtimes see what is wrong with them at other times each, Deno 2.9.6 not before
// the first handshake, Node never that an authority is none. Opens nothing. Never shows a key, not even a bad one.

import { createPrivateKey, X509Certificate } from "node:crypto";

/** PEM text or bytes. */
export type Pem = string | Uint8Array;

/** Throws TypeError where `key` is not the key of `cert`, the first certificate in it. `action` is what cannot be done then; `names`, what to call them. */
export function checkKeyPair(
  action: string,
  cert: Pem,
  key: Pem,
  names: { readonly cert: string; readonly key: string } = { cert: "tls.cert", key: "tls.key" },
): void {
  const [certificate] = parseAll(action, names.cert, cert);
  const privateKey = parse(action, names.key, "an unencrypted private key", () => createPrivateKey(toNodePem(key)));
  if (!certificate?.checkPrivateKey(privateKey)) {
    throw new TypeError(`Cannot ${action} as "${names.key}" must be the key of "${names.cert}": received another`);
  }
}

/** Throws TypeError where there is no certificate to trust, or one of them is none. `action` is what cannot be done then. */
export function checkAuthorities(action: string, ca: Pem | readonly Pem[], name = "tls.ca"): void {
  const all = [ca].flat();
  for (const one of all.length === 0 ? [""] : all) parseAll(action, name, one);
}

/** One block of PEM, and its label: RFC 7468, section 2. */
const block = /-----BEGIN ([^-\n]*)-----[^-]*-----END \1-----/g;
const begin = "-----BEGIN ";

/**
 * All certificates of a chain or a list of authorities; what else is in the file does not count. Throws where there is none, or one cannot be
 * read. A file that somebody is writing often ends within its last: the runtimes take what came before then, or throw when it is too late.
 */
export function parseCertificates(pem: Pem): readonly X509Certificate[] {
  const text = toNodePem(pem).toString("utf8");
  const blocks = [...text.matchAll(block)].filter(([, label]) => /^((X509|TRUSTED) )?CERTIFICATE$/.test(label ?? ""));
  const rest = text.replaceAll(block, "");
  const lastLine = rest.slice(rest.lastIndexOf("\n") + 1);
  if (rest.includes(begin) || (lastLine !== "" && begin.startsWith(lastLine))) throw new Error("a block has no end");
  if (blocks.length === 0) throw new Error("there is no certificate");
  return blocks.map(([whole]) => new X509Certificate(whole));
}

function parseAll(action: string, option: string, pem: Pem): readonly X509Certificate[] {
  return parse(action, option, "a certificate", () => parseCertificates(pem));
}

function parse<T>(action: string, option: string, what: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new TypeError(`Cannot ${action} as "${option}" must be ${what} in PEM: received something else`, { cause });
  }
}

/** As node:tls and node:crypto take it on every runtime. */
export function toNodePem(pem: Pem): string | Buffer {
  return typeof pem === "string" ? pem : Buffer.from(pem);
}
