// gRPC's spelling of error texts in `grpc-message`: UTF-8, of which only what must be is percent-encoded. Never throws.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#responses

/** A percent sign, what is not visible ASCII, and spaces at the ends, which a header does not keep. */
const needsEncoding = /[^\x20-\x24\x26-\x7e]|^ | $/;
const needsDecoding = /[%\x80-\xff]/;

/** Spells a text as `grpc-message` has it. Lone surrogates become U+FFFD. */
export function encodeStatusText(text: string): string {
  if (!needsEncoding.test(text)) return text;
  const bytes = new TextEncoder().encode(text);
  let first = 0;
  while (bytes[first] === 0x20) first++;
  let last = bytes.length - 1;
  while (last > first && bytes[last] === 0x20) last--;
  let spelled = "";
  for (const [at, byte] of bytes.entries()) {
    const standsForItself = byte >= 0x20 && byte <= 0x7e && byte !== 0x25 && at >= first && at <= last;
    spelled += standsForItself ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return spelled;
}

/** Reads such a text. What is not percent-encoded as it should be stands for itself, as gRPC demands. */
export function decodeStatusText(spelled: string): string {
  if (!needsDecoding.test(spelled)) return spelled;
  const bytes = new Uint8Array(spelled.length);
  let length = 0;
  for (let at = 0; at < spelled.length; at++) {
    const code = spelled.charCodeAt(at);
    const hex = code === 0x25 ? spelled.slice(at + 1, at + 3) : "";
    if (/^[0-9a-fA-F]{2}$/.test(hex)) {
      bytes[length++] = Number.parseInt(hex, 16);
      at += 2;
    } else {
      bytes[length++] = code;
    }
  }
  return new TextDecoder().decode(bytes.subarray(0, length));
}
