// HPACK's Huffman code: RFC 7541, section 5.2 and appendix B. Texts are bytes, one a character (latin1).

import { latin1 } from "./latin1.ts";

/**
 * Bits of each symbol's code, by symbol; the last one is EOS. The lengths say it all: the code is canonical, so that codes of one length are
 * consecutive numbers in the order of their symbols. RFC 7541, appendix B.
 */
const codeLengths: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
  28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6,
  5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23,
  22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22,
  23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26,
  20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27,
  27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27,
  27, 27, 27, 26, 30,
];
const eos = 256;

interface HuffmanTables {
  /** Code of each symbol, and its bits. */
  readonly codes: Uint32Array;
  readonly lengths: Uint8Array;
  /** By state * 16 + nibble: the next state in bits 0-7, `emits` and the symbol in bits 16-23, or `fails`. */
  readonly steps: Uint32Array;
  /** 1 for states in which a text may end: what is left over is less than a byte of EOS's first bits. */
  readonly mayEnd: Uint8Array;
}

const emits = 1 << 8;
const fails = 1 << 9;

let tables: HuffmanTables | undefined;

/** How many bytes `text` takes encoded. */
export function huffmanLength(text: string): number {
  tables ??= buildTables();
  const { lengths } = tables;
  let bits = 0;
  for (let index = 0; index < text.length; index++) bits += lengths[text.charCodeAt(index) & 0xff] ?? 0;
  return (bits + 7) >>> 3;
}

/** Encodes `text` into `out` at `at`; returns where it ended. There must be room for `huffmanLength(text)` bytes. */
export function huffmanEncode(text: string, out: Uint8Array, at: number): number {
  tables ??= buildTables();
  const { codes, lengths } = tables;
  let end = at;
  // At most 7 bits are left over from the symbol before, and 24 more fit beside them; a code that is longer goes in by parts.
  let held = 0;
  let heldBits = 0;
  for (let index = 0; index < text.length; index++) {
    const symbol = text.charCodeAt(index) & 0xff;
    let code = codes[symbol] ?? 0;
    let bits = lengths[symbol] ?? 0;
    if (bits > 24) {
      held = (held << (bits - 24)) | (code >>> 24);
      heldBits += bits - 24;
      if (heldBits >= 8) {
        heldBits -= 8;
        out[end++] = held >>> heldBits;
        held &= (1 << heldBits) - 1;
      }
      code &= 0xff_ffff;
      bits = 24;
    }
    held = (held << bits) | code;
    heldBits += bits;
    while (heldBits >= 8) {
      heldBits -= 8;
      out[end++] = held >>> heldBits;
    }
    held &= (1 << heldBits) - 1;
  }
  // RFC 7541, section 5.2: padded with the first bits of EOS, all ones.
  if (heldBits > 0) out[end++] = (held << (8 - heldBits)) | ((1 << (8 - heldBits)) - 1);
  return end;
}

/** Where texts are decoded; they have no code shorter than five bits. */
let scratch = new Uint8Array(1024);

/** Decodes `bytes` from `from` to `to`; undefined where they are no Huffman code, or hold EOS, or are padded wrongly. */
export function huffmanDecode(bytes: Uint8Array, from: number, to: number): string | undefined {
  tables ??= buildTables();
  const { steps, mayEnd } = tables;
  const most = Math.floor(((to - from) * 8) / 5);
  if (scratch.length < most) scratch = new Uint8Array(most);
  const out = scratch;
  let length = 0;
  let state = 0;
  for (let at = from; at < to; at++) {
    const byte = bytes[at] ?? 0;
    let step = steps[(state << 4) | (byte >>> 4)] ?? fails;
    if ((step & emits) !== 0) out[length++] = step >>> 16;
    if ((step & fails) !== 0) return undefined;
    step = steps[((step & 0xff) << 4) | (byte & 15)] ?? fails;
    if ((step & emits) !== 0) out[length++] = step >>> 16;
    if ((step & fails) !== 0) return undefined;
    state = step & 0xff;
  }
  return mayEnd[state] === 1 ? latin1(out, 0, length) : undefined;
}

function buildTables(): HuffmanTables {
  const codes = new Uint32Array(codeLengths.length);
  // The inner nodes of the code's tree: for each bit the next inner node, or ~symbol at a leaf. 257 leaves make 256 inner nodes.
  const children = new Int16Array(512);
  const depths = new Uint8Array(256);
  let nodes = 1;
  let code = 0;
  for (let length = 1; length <= 30; length++, code <<= 1) {
    for (let symbol = 0; symbol < codeLengths.length; symbol++) {
      if (codeLengths[symbol] !== length) continue;
      codes[symbol] = code;
      let node = 0;
      for (let bit = length - 1; bit > 0; bit--) {
        const slot = node * 2 + ((code >>> bit) & 1);
        if (children[slot] === 0) {
          depths[nodes] = (depths[node] ?? 0) + 1;
          children[slot] = nodes++;
        }
        node = children[slot] ?? 0;
      }
      children[node * 2 + (code & 1)] = ~symbol;
      code++;
    }
  }
  const steps = new Uint32Array(256 * 16);
  for (let state = 0; state < 256; state++) {
    for (let nibble = 0; nibble < 16; nibble++) steps[(state << 4) | nibble] = stepOver(children, state, nibble);
  }
  // The path of ones from the root: as deep as padding may be, 7 bits.
  const mayEnd = new Uint8Array(256);
  for (let node = 0, depth = 0; depth <= 7; depth++, node = children[node * 2 + 1] ?? 0) mayEnd[node] = 1;
  return { codes, lengths: Uint8Array.from(codeLengths), steps, mayEnd };
}

/** Where four bits lead from a state. No code is shorter than five bits, so that they end at most one symbol. */
function stepOver(children: Int16Array, state: number, nibble: number): number {
  let node = state;
  let emitted = 0;
  for (let bit = 3; bit >= 0; bit--) {
    const next = children[node * 2 + ((nibble >>> bit) & 1)] ?? 0;
    if (next >= 0) {
      node = next;
      continue;
    }
    if (~next === eos) return fails;
    emitted = emits | (~next << 16);
    node = 0;
  }
  return emitted | node;
}
