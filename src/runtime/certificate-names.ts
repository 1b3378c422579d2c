// The names that a certificate was issued for, read from its bytes: RFC 5280, sections 4.1 and 4.2.1.6. The texts that the runtimes make of them
// join all names by commas, and a name may hold a comma. Verifies nothing: the runtime has, or nobody should ask.

/** Subject alternative names, each as it is in the certificate. */
export interface CertificateNames {
  readonly dnsNames: readonly string[];
  /** SPIFFE ids are here. */
  readonly uris: readonly string[];
  /** Textual, IPv6 in eight groups without zeros in front. */
  readonly ipAddresses: readonly string[];
}

/** A value of DER: ITU-T X.690, section 8.1. */
interface Value {
  readonly tag: number;
  /** The whole of it. */
  readonly end: number;
  /** Of its contents. */
  readonly from: number;
}

const sequenceTag = 0x30;
const octetsTag = 0x04;
const identifierTag = 0x06;
/** `[3] EXPLICIT` of TBSCertificate. */
const extensionsTag = 0xa3;
/** GeneralName's choices. */
const dnsTag = 0x82;
const uriTag = 0x86;
const ipTag = 0x87;
/** 2.5.29.17, subjectAltName. */
const alternativeNames: readonly number[] = [0x55, 0x1d, 0x11];

/** Reads a certificate in DER. Throws RangeError where it is none. */
export function readCertificateNames(der: Uint8Array): CertificateNames {
  const dnsNames: string[] = [];
  const uris: string[] = [];
  const ipAddresses: string[] = [];
  const names = findAlternativeNames(der);
  for (const { tag, from, end } of names) {
    const bytes = der.subarray(from, end);
    // IA5String: ASCII. A byte beyond it stands for itself, so that no two names become alike.
    if (tag === dnsTag) dnsNames.push(String.fromCharCode(...bytes));
    else if (tag === uriTag) uris.push(String.fromCharCode(...bytes));
    else if (tag === ipTag) ipAddresses.push(formatIp(bytes));
  }
  return { dnsNames, uris, ipAddresses };
}

function findAlternativeNames(der: Uint8Array): readonly Value[] {
  const certificate = valueAt(der, 0, der.length);
  const toBeSigned = valueAt(der, certificate.from, certificate.end);
  const extensions = childrenOf(der, toBeSigned).find(({ tag }) => tag === extensionsTag);
  if (extensions === undefined) return [];
  for (const extension of childrenOf(der, valueAt(der, extensions.from, extensions.end))) {
    const parts = childrenOf(der, extension);
    const id = parts[0];
    const octets = parts.at(-1);
    if (id?.tag !== identifierTag || octets?.tag !== octetsTag) continue;
    if (!isAlternativeNames(der.subarray(id.from, id.end))) continue;
    const list = valueAt(der, octets.from, octets.end);
    if (list.tag !== sequenceTag) throw new RangeError("Cannot read certificate as its names are no list");
    return childrenOf(der, list);
  }
  return [];
}

function isAlternativeNames(id: Uint8Array): boolean {
  return id.length === alternativeNames.length && alternativeNames.every((byte, index) => id[index] === byte);
}

function childrenOf(der: Uint8Array, { from, end }: Value): readonly Value[] {
  const children: Value[] = [];
  for (let at = from; at < end; ) {
    const child = valueAt(der, at, end);
    children.push(child);
    at = child.end;
  }
  return children;
}

/** The value that begins at `at` and ends before `limit`. */
function valueAt(der: Uint8Array, at: number, limit: number): Value {
  const tag = der[at] ?? 0;
  const first = der[at + 1] ?? 0xff;
  let from = at + 2;
  let length = first;
  if (first >= 0x80) {
    // Certificates of more than 16 MiB are none, and DER has no length of unknown size.
    const lengthBytes = first - 0x80;
    if (lengthBytes === 0 || lengthBytes > 3) throw new RangeError("Cannot read certificate as it is not DER");
    length = 0;
    for (let index = 0; index < lengthBytes; index++) length = length * 256 + (der[from + index] ?? 0);
    from += lengthBytes;
  }
  const end = from + length;
  if (from > limit || end > limit) throw new RangeError("Cannot read certificate as it is cut off");
  return { tag, from, end };
}

function formatIp(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  const groups: string[] = [];
  for (let index = 0; index + 1 < bytes.length; index += 2) {
    groups.push((((bytes[index] ?? 0) << 8) | (bytes[index + 1] ?? 0)).toString(16));
  }
  return groups.join(":");
}
