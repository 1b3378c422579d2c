// Header blocks to fields: RFC 7541. Remembers whole blocks, as callers repeat themselves. Knows no field's meaning.

import { DynamicTable, fieldSize } from "./dynamic-table.ts";
import { huffmanDecode } from "./huffman.ts";
import { latin1 } from "./latin1.ts";
import { staticCount, staticTable } from "./static-table.ts";

/** A decoded block. Shared by all who sent the same bytes, so never changed, but for `derived`. */
export interface HeaderBlock {
  /** Names and values in turn, in their order; one character a byte. Empty where `tooLarge`. */
  readonly fields: readonly string[];
  /** The fields took more than the list may have, and were dropped. The table is up to date all the same. */
  readonly tooLarge: boolean;
  /** Size of the whole list, as SETTINGS_MAX_HEADER_LIST_SIZE counts it; at least so much where `tooLarge`. */
  readonly listBytes: number;
  /** What the layer above worked out from these fields; it alone writes and reads it. */
  derived: unknown;
  /** The same for the rules of HTTP: field-rules.ts alone writes and reads it. */
  judged: unknown;
}

/** The bytes are no header block: the connection must end with COMPRESSION_ERROR (RFC 9113, section 4.3). */
export class HpackError extends Error {
  override readonly name = "HpackError";
}

/** The bytes are a header block that nobody means well with: few bytes that name large fields many times. */
export class HpackBombError extends Error {
  override readonly name = "HpackBombError";
}

/** A list so many times too large is read no further. */
const bombFactor = 16;

/** Blocks longer than this are not remembered, nor more than this many; both bound what a peer can make us keep. */
const maxRememberedBytes = 512;
const memorySlots = 64;

interface RememberedBlock {
  readonly bytes: Uint8Array;
  readonly version: number;
  readonly block: HeaderBlock;
}

/** What a decoder may be made to hold. */
export interface HeaderDecoderLimits {
  /** Our SETTINGS_HEADER_TABLE_SIZE, in bytes. */
  readonly maxTableBytes: number;
  /** Our SETTINGS_MAX_HEADER_LIST_SIZE, in bytes as RFC 9113, section 6.5.2, counts them. */
  readonly maxListBytes: number;
}

export class HeaderDecoder {
  readonly #table: DynamicTable;
  readonly #limits: HeaderDecoderLimits;
  #memory: (RememberedBlock | undefined)[] = [];
  /** Hashes of the blocks seen last, by slot: one is remembered the second time, as those that differ every time never come again. */
  readonly #seen: Int32Array = new Int32Array(memorySlots);
  /** Changes with the table. */
  #version = 0;
  /** The part being read. */
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;
  #to = 0;

  constructor(limits: HeaderDecoderLimits) {
    this.#limits = limits;
    this.#table = new DynamicTable(limits.maxTableBytes);
  }

  /** Decodes a whole block. Throws HpackError and HpackBombError; the decoder is of no use then. */
  decode(bytes: Uint8Array, from: number, to: number): HeaderBlock {
    const length = to - from;
    if (length > maxRememberedBytes) return this.#decode(bytes, from, to);
    // FNV-1a: the slot is all it decides, the bytes themselves are compared.
    let hash = 0x811c9dc5;
    for (let at = from; at < to; at++) hash = Math.imul(hash ^ (bytes[at] ?? 0), 0x01000193);
    const slot = (hash ^ (hash >>> 16)) & (memorySlots - 1);
    const remembered = this.#memory[slot];
    if (remembered !== undefined && remembered.version === this.#version && remembered.bytes.length === length) {
      const known = remembered.bytes;
      let same = 0;
      while (same < length && known[same] === bytes[from + same]) same++;
      if (same === length) return remembered.block;
    }
    const version = this.#version;
    const block = this.#decode(bytes, from, to);
    // A block that changed the table means something else the next time.
    if (version !== this.#version) return block;
    if (this.#seen[slot] === hash) {
      // A copy: `slice` of a node Buffer would keep the whole of what came with it.
      this.#memory[slot] = { bytes: new Uint8Array(bytes.subarray(from, to)), version, block };
    }
    this.#seen[slot] = hash;
    return block;
  }

  #decode(bytes: Uint8Array, from: number, to: number): HeaderBlock {
    this.#bytes = bytes;
    this.#at = from;
    this.#to = to;
    let fields: string[] = [];
    let listBytes = 0;
    let tooLarge = false;
    let sizeUpdates = 0;
    while (this.#at < to) {
      const first = bytes[this.#at] ?? 0;
      let name: string;
      let value: string;
      if (first >= 0x80) {
        // Section 6.1: indexed field.
        const index = this.#integer(7);
        name = this.#nameAt(index);
        value = this.#valueAt(index);
      } else if (first >= 0x40) {
        // Section 6.2.1: literal, to be added to the table.
        name = this.#literalName(this.#integer(6));
        value = this.#text();
        this.#table.add(name, value);
        this.#version++;
      } else if (first >= 0x20) {
        // Sections 4.2 and 6.3: at the start of a block only, and twice at most.
        if (listBytes > 0 || ++sizeUpdates > 2) throw new HpackError("a table size update stands amid a header block");
        const maxSize = this.#integer(5);
        if (maxSize > this.#limits.maxTableBytes) {
          throw new HpackError(`a table size update to ${maxSize} exceeds ${this.#limits.maxTableBytes}`);
        }
        this.#table.resize(maxSize);
        this.#version++;
        continue;
      } else {
        // Sections 6.2.2 and 6.2.3: literal, not to be added.
        name = this.#literalName(this.#integer(4));
        value = this.#text();
      }
      listBytes += fieldSize(name, value);
      if (listBytes > this.#limits.maxListBytes) {
        // Read on for the table's sake, keeping nothing.
        if (listBytes > this.#limits.maxListBytes * bombFactor) {
          throw new HpackBombError(`a header list exceeds ${this.#limits.maxListBytes} bytes by far`);
        }
        tooLarge = true;
        fields = [];
      } else {
        fields.push(name, value);
      }
    }
    return { fields, tooLarge, listBytes, derived: undefined, judged: undefined };
  }

  #literalName(index: number): string {
    return index === 0 ? this.#text() : this.#nameAt(index);
  }

  #nameAt(index: number): string {
    const name = index <= staticCount ? staticTable[(index - 1) * 2] : this.#table.name(index - staticCount - 1);
    if (name === undefined) throw new HpackError(`no table has an entry ${index}`);
    return name;
  }

  #valueAt(index: number): string {
    const value = index <= staticCount ? staticTable[index * 2 - 1] : this.#table.value(index - staticCount - 1);
    if (value === undefined) throw new HpackError(`no table has an entry ${index}`);
    return value;
  }

  /** Section 5.1, from the low `prefixBits` of the next byte on. */
  #integer(prefixBits: number): number {
    const mask = (1 << prefixBits) - 1;
    const prefix = this.#byte() & mask;
    if (prefix < mask) return prefix;
    let value = prefix;
    for (let shift = 0; ; shift += 7) {
      const byte = this.#byte();
      // Four bytes reach 2^28, far beyond any size that we take.
      if (shift > 21) throw new HpackError("an integer is too large");
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  }

  /** Section 5.2. */
  #text(): string {
    if (this.#at >= this.#to) throw new HpackError("the header block ends within a field");
    const isHuffman = (this.#bytes[this.#at] ?? 0) >= 0x80;
    const length = this.#integer(7);
    const from = this.#at;
    const to = from + length;
    if (to > this.#to) throw new HpackError("the header block ends within a text");
    this.#at = to;
    if (!isHuffman) return latin1(this.#bytes, from, to);
    const text = huffmanDecode(this.#bytes, from, to);
    if (text === undefined) throw new HpackError("a text is not in Huffman code");
    return text;
  }

  #byte(): number {
    if (this.#at >= this.#to) throw new HpackError("the header block ends within a field");
    return this.#bytes[this.#at++] ?? 0;
  }
}
