// A certificate authority for tests of TLS, over the openssl command. Each certificate is made in a temporary folder that is gone before it is
// returned; valid for two days.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A certificate and its private key, both PEM. */
export interface CertificatePair {
  readonly cert: string;
  readonly key: string;
}

/** What a certificate is issued for. */
export interface CertificateRequest {
  /** Common name. */
  readonly name: string;
  /** As openssl writes them: `DNS:localhost`, `IP:127.0.0.1`, `URI:spiffe://example.test/a`. */
  readonly altNames?: readonly string[];
  readonly usage?: "serverAuth" | "clientAuth";
}

/** Signs certificates. */
export interface Authority {
  /** Its own certificate, PEM. */
  readonly ca: string;
  /** The key of that. */
  readonly key: string;
  issue(request: CertificateRequest): CertificatePair;
  /** An authority below this one. */
  issueAuthority(name: string): Authority;
}

const newKey: readonly string[] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

/** Makes an authority, with a key as openssl's `-newkey` names it, or a good one. Throws where there is no openssl. */
export function createAuthority(name: string, keyKind?: string): Authority {
  return authorityOf(
    inFolder((folder) => {
      const files = ["-keyout", "key", "-out", "cert"];
      const made = keyKind === undefined ? newKey : ["-newkey", keyKind, "-nodes"];
      openssl(folder, "req", "-x509", ...made, ...files, "-days", "2", "-subj", `/CN=${name}`);
      return readPair(folder);
    }),
  );
}

function authorityOf(own: CertificatePair): Authority {
  return {
    ca: own.cert,
    key: own.key,
    issue: ({ name, altNames = [], usage }) =>
      sign(own, name, [
        ...(altNames.length === 0 ? [] : ["subjectAltName=@names"]),
        ...(usage === undefined ? [] : [`extendedKeyUsage=${usage}`]),
        // openssl wants a section that is not empty.
        "basicConstraints=CA:FALSE",
        // Of their own, as openssl would part a name at its commas.
        "[names]",
        ...altNames.map((altName, index) => altName.replace(":", `.${index}=`)),
      ]),
    issueAuthority: (name) => authorityOf(sign(own, name, ["basicConstraints=CA:TRUE", "keyUsage=keyCertSign"])),
  };
}

function sign(own: CertificatePair, name: string, extensions: readonly string[]): CertificatePair {
  return inFolder((folder) => {
    writeFileSync(join(folder, "ca.pem"), own.cert);
    writeFileSync(join(folder, "ca.key"), own.key);
    writeFileSync(join(folder, "ext"), `${extensions.join("\n")}\n`);
    openssl(folder, "req", ...newKey, "-keyout", "key", "-out", "csr", "-subj", `/CN=${name}`);
    const signer = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"];
    openssl(folder, "x509", "-req", "-in", "csr", ...signer, "-out", "cert", "-days", "2", "-extfile", "ext");
    return readPair(folder);
  });
}

function openssl(cwd: string, ...args: readonly string[]): void {
  execFileSync("openssl", args, { cwd, stdio: "pipe" });
}

function readPair(folder: string): CertificatePair {
  return { cert: readFileSync(join(folder, "cert"), "utf8"), key: readFileSync(join(folder, "key"), "utf8") };
}

function inFolder<T>(run: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), "lictor-certificates-"));
  try {
    return run(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
