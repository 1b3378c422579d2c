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

const facts = new WeakMap<HeaderBlock, BlockFacts>();

/** Judges a block as a whole; the caller knows which kind may stand where. */
export function judgeBlock(block: HeaderBlock): BlockFacts {
  let known = facts.get(block);
  if (known === undefined) {
    known = judge(block.fields);
    facts.set(block, known);
  }
  return known;
}

const malformed: BlockFacts = { kind: "malformed", contentLength: -1 };

/** Fields of HTTP/1.1 connections: section 8.2.2. */
const connectionFields: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
]);

function judge(fields: readonly string[]): BlockFacts {
  const pseudo = new Map<string, string>();
  let regular = 0;
  let contentLength = -1;
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const name = fields[index] ?? "";
    const value = fields[index + 1] ?? "";
    if (!isFieldValue(value)) return malformed;
    if (name.startsWith(":")) {
      // Section 8.3: before all others, and once each.
      if (regular > 0 || pseudo.has(name)) return malformed;
      pseudo.set(name, value);
      continue;
    }
    regular++;
    if (!isFieldName(name) || connectionFields.has(name) || (name === "te" && value !== "trailers")) return malformed;
    if (name === "content-length") {
      if (!/^\d{1,15}$/.test(value) || (contentLength !== -1 && contentLength !== Number(value))) return malformed;
      contentLength = Number(value);
    }
  }
  const kind = kindOf(pseudo);
  return kind === "malformed" ? malformed : { kind, contentLength };
}

function kindOf(pseudo: ReadonlyMap<string, string>): BlockKind {
  if (pseudo.size === 0) return "trailers";
  const status = pseudo.get(":status");
  if (status !== undefined) {
    // RFC 9110, section 15: one above 599 is invalid, and to be read as a server error.
    if (pseudo.size > 1 || !/^[1-9]\d\d$/.test(status) || status === "101") return "malformed";
    return status.startsWith("1") ? "informational" : "response";
  }
  return isRequest(pseudo) ? "request" : "malformed";
}

/** Section 8.3.1. */
function isRequest(pseudo: ReadonlyMap<string, string>): boolean {
  for (const name of pseudo.keys()) {
    if (name !== ":method" && name !== ":scheme" && name !== ":path" && name !== ":authority") return false;
  }
  const method = pseudo.get(":method");
  if (method === undefined || !isToken(method)) return false;
  // Section 8.5.
  if (method === "CONNECT") return !pseudo.has(":scheme") && !pseudo.has(":path") && pseudo.has(":authority");
  const path = pseudo.get(":path") ?? "";
  return pseudo.has(":scheme") && (path.startsWith("/") || (path === "*" && method === "OPTIONS"));
}

/** Section 8.2.1: a token in lower case. */
function isFieldName(name: string): boolean {
  return /^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name);
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
