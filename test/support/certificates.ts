// Makes a certificate authority, a server's and a client's certificate with the openssl command, for tests of TLS.
// Once per process, in a temporary folder that is gone before this returns; valid for two days.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A certificate and its private key, both PEM. */
export interface CertificatePair {
  readonly cert: string;
  readonly key: string;
}

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

let made: Certificates | undefined;

/** Makes the certificates, or returns those that this process made before. Throws where there is no openssl. */
export function makeCertificates(): Certificates {
  made ??= make();
  return made;
}

function make(): Certificates {
  const folder = mkdtempSync(join(tmpdir(), "lictor-certificates-"));
  try {
    const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: folder, stdio: "pipe" });
    const read = (name: string) => readFileSync(join(folder, name), "utf8");
    const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

    const authority = (name: string) =>
      openssl(
        "req",
        "-x509",
        ...newKey,
        "-keyout",
        `${name}.key`,
        "-out",
        `${name}.pem`,
        "-days",
        "2",
        "-subj",
        `/CN=lictor test ${name}`,
      );
    const signed = (name: string, ca: string, extensions: string): CertificatePair => {
      writeFileSync(join(folder, `${name}.ext`), extensions);
      openssl("req", ...newKey, "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${name}`);
      openssl(
        "x509",
        "-req",
        "-in",
        `${name}.csr`,
        "-CA",
        `${ca}.pem`,
        "-CAkey",
        `${ca}.key`,
        "-CAcreateserial",
        "-out",
        `${name}.pem`,
        "-days",
        "2",
        "-extfile",
        `${name}.ext`,
      );
      return { cert: read(`${name}.pem`), key: read(`${name}.key`) };
    };

    authority("ca");
    authority("other-ca");
    return {
      ca: read("ca.pem"),
      server: signed("server", "ca", "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1\nextendedKeyUsage=serverAuth\n"),
      client: signed("client", "ca", "extendedKeyUsage=clientAuth\n"),
      stranger: signed("stranger", "other-ca", "extendedKeyUsage=clientAuth\n"),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
