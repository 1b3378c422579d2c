// Fields to header blocks: RFC 7541. Decides what the peer's table is to hold. Knows no field's meaning but whose value is secret.

import { DynamicTable, fieldSize } from "./dynamic-table.ts";
import { huffmanEncode, huffmanLength } from "./huffman.ts";
import { staticCount, staticTable } from "./static-table.ts";

/** Values that no table on the way may hold: RFC 7541, section 7.1.3. */
const neverIndexed: ReadonlySet<string> = new Set(["authorization", "cookie", "proxy-authorization", "set-cookie"]);

/** Values that differ from call to call: not worth a place in the table, nor a try. */
const notIndexed: ReadonlySet<string> = new Set(["content-length", "date", "grpc-message", "grpc-timeout"]);

/** The largest table we use, whatever the peer allows: what it costs both sides stays bounded. */
const maxTableBytes = 4096;

/** What goes once only is worth no Huffman code up to this length: it costs both sides more time than the bytes are worth. */
const shortText = 32;

/** Pairs seen once, waiting to be seen again; emptied when so many. */
const maxCandidates = 128;

const staticPairs = new Map<string, number>();
const staticNames = new Map<string, number>();

export class HeaderEncoder {
  /** Changes with the table: encoded bytes hold for one version only. */
  version = 0;
  readonly #table: DynamicTable;
  /** Serial numbers of what is in the table, by pair and by name. */
  readonly #pairs: Map<string, number> = new Map();
  readonly #names: Map<string, number> = new Map();
  readonly #candidates: Set<string> = new Set();
  /** The smallest size since the last block, to be announced before the present one: RFC 7541, section 4.2. */
  #announce: number | undefined;

  constructor() {
    this.#table = new DynamicTable(maxTableBytes, (name, value, serial) => {
      const key = pairKey(name, value);
      if (this.#pairs.get(key) === serial) this.#pairs.delete(key);
      if (this.#names.get(name) === serial) this.#names.delete(name);
    });
    if (staticPairs.size === 0) indexStaticTable();
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. */
  setMaxTableBytes(bytes: number): void {
    const size = Math.min(bytes, maxTableBytes);
    if (size === this.#table.maxSize) return;
    this.#announce = Math.min(this.#announce ?? size, size);
    this.#table.resize(size);
    this.version++;
  }

  /** An upper bound for the bytes that the fields take encoded. */
  static bound(fields: readonly string[]): number {
    let bytes = 16;
    for (const text of fields) bytes += text.length + 6;
    return bytes;
  }

  /** Writes the block of `fields` (names in lower case and values in turn, one character a byte) into `out` at `at`, and returns its end. Needs `bound(fields)` bytes of room. */
  encode(fields: readonly string[], out: Uint8Array, at: number): number {
    let end = this.#announceSize(out, at);
    for (let index = 0; index + 1 < fields.length; index += 2) {
      end = this.#field(fields[index] ?? "", fields[index + 1] ?? "", out, end);
    }
    return end;
  }

  /** As `encode`, leaving the table and the version alone: for what varies, after bytes that were prepared. */
  encodeUnindexed(fields: readonly string[], out: Uint8Array, at: number): number {
    let end = at;
    for (let index = 0; index + 1 < fields.length; index += 2) {
      const name = fields[index] ?? "";
      end = this.#literal(neverIndexed.has(name) ? 0x10 : 0, 4, name, fields[index + 1] ?? "", out, end, shortText);
    }
    return end;
  }

  #field(name: string, value: string, out: Uint8Array, at: number): number {
    if (neverIndexed.has(name)) return this.#literal(0x10, 4, name, value, out, at, 0);
    const key = pairKey(name, value);
    const staticIndex = staticPairs.get(key);
    if (staticIndex !== undefined) return putInteger(0x80, 7, staticIndex, out, at);
    const serial = this.#pairs.get(key);
    if (serial !== undefined) return putInteger(0x80, 7, this.#index(serial), out, at);
    if (!this.#isWorthAdding(name, value, key)) return this.#literal(0, 4, name, value, out, at, 0);
    const end = this.#literal(0x40, 6, name, value, out, at, 0);
    const added = this.#table.nextSerial;
    if (this.#table.add(name, value)) {
      this.#pairs.set(key, added);
      this.#names.set(name, added);
    }
    this.version++;
    return end;
  }

  /** A pair enters the table the second time it is seen, so that what is different every time pushes nothing out. */
  #isWorthAdding(name: string, value: string, key: string): boolean {
    if (notIndexed.has(name) || fieldSize(name, value) > this.#table.maxSize / 2) return false;
    // What every call of a client or a server has comes again for sure.
    if (name.charCodeAt(0) === 58 || name === "content-type" || name === "te" || name === "user-agent") return true;
    if (this.#candidates.delete(key)) return true;
    if (this.#candidates.size >= maxCandidates) this.#candidates.clear();
    this.#candidates.add(key);
    return false;
  }

  /** Texts of up to `plainLength` characters go as they are. */
  #literal(
    kind: number,
    prefixBits: number,
    name: string,
    value: string,
    out: Uint8Array,
    at: number,
    plainLength: number,
  ): number {
    const serial = this.#names.get(name);
    const index = staticNames.get(name) ?? (serial === undefined ? 0 : this.#index(serial));
    let end = putInteger(kind, prefixBits, index, out, at);
    if (index === 0) end = putText(name, out, end, plainLength);
    return putText(value, out, end, plainLength);
  }

  #index(serial: number): number {
    return staticCount + this.#table.nextSerial - serial;
  }

  #announceSize(out: Uint8Array, at: number): number {
    const smallest = this.#announce;
    if (smallest === undefined) return at;
    this.#announce = undefined;
    // For this block only: bytes that were prepared with it must not come again.
    this.version++;
    const end = putInteger(0x20, 5, smallest, out, at);
    return smallest === this.#table.maxSize ? end : putInteger(0x20, 5, this.#table.maxSize, out, end);
  }
}

/** No name holds a line end, so that it separates. */
function pairKey(name: string, value: string): string {
  return `${name}\n${value}`;
}

function indexStaticTable(): void {
  for (let index = staticCount; index > 0; index--) {
    const name = staticTable[(index - 1) * 2] ?? "";
    staticPairs.set(pairKey(name, staticTable[index * 2 - 1] ?? ""), index);
    staticNames.set(name, index);
  }
}

/** RFC 7541, section 5.1. */
function putInteger(kind: number, prefixBits: number, value: number, out: Uint8Array, at: number): number {
  const max = (1 << prefixBits) - 1;
  let end = at;
  if (value < max) {
    out[end++] = kind | value;
    return end;
  }
  out[end++] = kind | max;
  let rest = value - max;
  while (rest >= 0x80) {
    out[end++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  out[end++] = rest;
  return end;
}

/** RFC 7541, section 5.2: in Huffman code where that is shorter, and the text is longer than `plainLength`. */
function putText(text: string, out: Uint8Array, at: number, plainLength: number): number {
  if (text.length > plainLength) {
    const huffmanBytes = huffmanLength(text);
    if (huffmanBytes < text.length) return huffmanEncode(text, out, putInteger(0x80, 7, huffmanBytes, out, at));
  }
  let end = putInteger(0, 7, text.length, out, at);
  for (let index = 0; index < text.length; index++) out[end++] = text.charCodeAt(index);
  return end;
}
