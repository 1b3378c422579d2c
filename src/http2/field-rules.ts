// Which fields a message may have: RFC 9113, sections 8.1 to 8.3. Worked out once for each remembered block.

import type { HeaderBlock } from "./hpack/header-decoder.ts";

/** What a block can be. `malformed` is a stream error of type PROTOCOL_ERROR: RFC 9113, section 8.1.1. */
export type BlockKind = "request" | "response" | "informational" | "trailers" | "malformed";

/** What the rules say of a block. */
export interface BlockFacts {
  readonly kind: BlockKind;
  /** Of content-length; -1 without one. */
  readonly contentLength: number;
}

/** Judges a block as a whole; the caller knows which kind may stand where. */
export function judgeBlock(block: HeaderBlock): BlockFacts {
  let known = block.judged as BlockFacts | undefined;
  if (known === undefined) {
    known = judge(block.fields);
    block.judged = known;
  }
  return known;
}

const malformed: BlockFacts = { kind: "malformed", contentLength: -1 };

/** Fields of HTTP/1.1 connections, in lower case: section 8.2.2. */
export const connectionFields: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
]);

/** The pseudo-fields of a block. */
interface PseudoFields {
  method: string | undefined;
  scheme: string | undefined;
  path: string | undefined;
  authority: string | undefined;
  status: string | undefined;
}

const plainRequest: BlockFacts = { kind: "request", contentLength: -1 };
const plainTrailers: BlockFacts = { kind: "trailers", contentLength: -1 };

function judge(fields: readonly string[]): BlockFacts {
  const pseudo: PseudoFields = {
    method: undefined,
    scheme: undefined,
    path: undefined,
    authority: undefined,
    status: undefined,
  };
  let index = 0;
  for (; index + 1 < fields.length; index += 2) {
    const name = fields[index] ?? "";
    const value = fields[index + 1] ?? "";
    if (name.charCodeAt(0) !== 58) break;
    if (!isFieldValue(value) || !setPseudo(pseudo, name, value)) return malformed;
  }
  const kind = index === 0 ? "trailers" : kindOf(pseudo);
  if (kind === "malformed") return malformed;
  let contentLength = -1;
  for (; index + 1 < fields.length; index += 2) {
    const name = fields[index] ?? "";
    const value = fields[index + 1] ?? "";
    // Section 8.3: pseudo-fields come before all others. Their colon is no part of a name.
    if (!isFieldName(name) || !isFieldValue(value) || connectionFields.has(name)) return malformed;
    if (name === "te" && value !== "trailers") return malformed;
    if (name === "content-length") {
      if (!/^\d{1,15}$/.test(value) || (contentLength !== -1 && contentLength !== Number(value))) return malformed;
      contentLength = Number(value);
    }
  }
  if (contentLength === -1 && kind === "request") return plainRequest;
  if (contentLength === -1 && kind === "trailers") return plainTrailers;
  return { kind, contentLength };
}

/** False for one that does not exist, or is there already: section 8.3. */
function setPseudo(pseudo: PseudoFields, name: string, value: string): boolean {
  switch (name) {
    case ":method":
      if (pseudo.method !== undefined) return false;
      pseudo.method = value;
      return true;
    case ":scheme":
      if (pseudo.scheme !== undefined) return false;
      pseudo.scheme = value;
      return true;
    case ":path":
      if (pseudo.path !== undefined) return false;
      pseudo.path = value;
      return true;
    case ":authority":
      if (pseudo.authority !== undefined) return false;
      pseudo.authority = value;
      return true;
    case ":status":
      if (pseudo.status !== undefined) return false;
      pseudo.status = value;
      return true;
    default:
      return false;
  }
}

function kindOf(pseudo: PseudoFields): BlockKind {
  const { method, scheme, path, authority, status } = pseudo;
  if (status !== undefined) {
    const isAlone = method === undefined && scheme === undefined && path === undefined && authority === undefined;
    // RFC 9110, section 15: one above 599 is invalid, and to be read as a server error.
    if (!isAlone || !/^[1-9]\d\d$/.test(status) || status === "101") return "malformed";
    return status.startsWith("1") ? "informational" : "response";
  }
  return isRequest(pseudo) ? "request" : "malformed";
}

/** Section 8.3.1. */
function isRequest({ method, scheme, path, authority }: PseudoFields): boolean {
  if (method === undefined || (method !== "POST" && !isToken(method))) return false;
  // Section 8.5.
  if (method === "CONNECT") return scheme === undefined && path === undefined && authority !== undefined;
  if (scheme === undefined || path === undefined) return false;
  return path.charCodeAt(0) === 47 || (path === "*" && method === "OPTIONS");
}

/** Section 8.2.1: a token in lower case. */
function isFieldName(name: string): boolean {
  for (let at = 0; at < name.length; at++) {
    const code = name.charCodeAt(at);
    if ((code >= 97 && code <= 122) || code === 45 || (code >= 48 && code <= 57)) continue;
    return /^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name);
  }
  return name.length > 0;
}

function isToken(text: string): boolean {
  return /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(text);
}

/** Section 8.2.1: no NUL, no line end, no space at either end. */
function isFieldValue(value: string): boolean {
  for (let index = 0; index < value.length; index++) {
    const code = value.charCodeAt(index);
    if (code === 0 || code === 10 || code === 13) return false;
  }
  const first = value.charCodeAt(0);
  const last = value.charCodeAt(value.length - 1);
  return !(first === 32 || first === 9 || last === 32 || last === 9);
}
