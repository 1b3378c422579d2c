// Bytes as texts, one character a byte.

/** Shorter texts are quicker put together than made by a call of many arguments. */
const fewBytes = 12;
/** Arguments have a limit. */
const manyBytes = 1024;

/** Of ASCII, which UTF-8 and Latin-1 have in common: several times as fast where there is much of it. */
const ascii: TextDecoder = new TextDecoder();

/** The bytes from `from` to `to` as a text. */
export function latin1(bytes: Uint8Array, from: number, to: number): string {
  const length = to - from;
  let text = "";
  if (length <= fewBytes) {
    for (let at = from; at < to; at++) text += String.fromCharCode(bytes[at] ?? 0);
    return text;
  }
  if (length <= manyBytes) return String.fromCharCode.apply(null, bytes.subarray(from, to) as unknown as number[]);
  if (isAscii(bytes, from, to)) return ascii.decode(bytes.subarray(from, to));
  for (let at = from; at < to; at += manyBytes) text += latin1(bytes, at, Math.min(at + manyBytes, to));
  return text;
}

function isAscii(bytes: Uint8Array, from: number, to: number): boolean {
  let all = 0;
  for (let at = from; at < to; at++) all |= bytes[at] ?? 0;
  return all < 0x80;
}
