// HTTP/2's bytes by hand, for peers that break rules: frames, header blocks without tables, and a reader of what comes back. None of it
// is the engine's own code.

import { clientPreface } from "../../src/http2/frame.ts";
import { joinBytes } from "./h2-echo.ts";

/** The client's preface and an empty SETTINGS. */
export function preface(settings: Uint8Array = new Uint8Array(0)): Uint8Array {
  return joinBytes([Uint8Array.from(clientPreface, (char) => char.charCodeAt(0)), frame(4, 0, 0, settings)]);
}

/** One frame: RFC 9113, section 4.1. */
export function frame(
  type: number,
  flags: number,
  streamId: number,
  payload: Uint8Array | readonly number[] = [],
): Uint8Array {
  const bytes = new Uint8Array(9 + payload.length);
  bytes.set([payload.length >>> 16, payload.length >>> 8, payload.length, type, flags]);
  bytes.set(uint32(streamId), 5);
  bytes.set(payload, 9);
  return bytes;
}

/** Four bytes, most significant first. */
export function uint32(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}

/** A SETTINGS payload of pairs. */
export function settingsPayload(...pairs: readonly (readonly [id: number, value: number])[]): Uint8Array {
  return joinBytes(pairs.map(([id, value]) => joinBytes([Uint8Array.of(id >>> 8, id), uint32(value)])));
}

/** A header block of literals that no table keeps: RFC 7541, section 6.2.2. */
export function literals(fields: readonly string[]): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let index = 0; index < fields.length; index += 2) {
    parts.push(Uint8Array.of(0), literalText(fields[index] ?? ""), literalText(fields[index + 1] ?? ""));
  }
  return joinBytes(parts);
}

function literalText(text: string): Uint8Array {
  const bytes = Uint8Array.from(text, (char) => char.charCodeAt(0));
  if (bytes.length < 127) return joinBytes([Uint8Array.of(bytes.length), bytes]);
  const head = [127];
  let rest = bytes.length - 127;
  for (; rest >= 128; rest >>>= 7) head.push((rest & 127) | 128);
  return joinBytes([Uint8Array.from([...head, rest]), bytes]);
}

/** HEADERS of a request, with more fields where given. */
export function request(streamId: number, path: string, end = true, more: readonly string[] = []): Uint8Array {
  const block = literals([":method", "POST", ":scheme", "http", ":path", path, ":authority", "test", ...more]);
  return frame(1, 4 | (end ? 1 : 0), streamId, block);
}

/** A frame that came. */
export interface HeardFrame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Uint8Array;
}

/** Cuts what comes into frames. */
export class FrameLog {
  readonly frames: HeardFrame[] = [];
  #rest: Uint8Array = new Uint8Array(0);

  add(bytes: Uint8Array): void {
    this.#rest = joinBytes([this.#rest, bytes.slice()]);
    for (;;) {
      const rest = this.#rest;
      if (rest.length < 9) return;
      const view = new DataView(rest.buffer, rest.byteOffset);
      const length = view.getUint32(0) >>> 8;
      if (rest.length < 9 + length) return;
      const streamId = view.getUint32(5);
      const payload = rest.slice(9, 9 + length);
      this.frames.push({ type: rest[3] ?? 0, flags: rest[4] ?? 0, streamId, payload });
      this.#rest = rest.slice(9 + length);
    }
  }

  ofType(type: number): HeardFrame[] {
    return this.frames.filter((heard) => heard.type === type);
  }

  /** Error code and text of the last GOAWAY; undefined before there is one. */
  get goaway(): { readonly code: number; readonly text: string } | undefined {
    const payload = this.ofType(7).at(-1)?.payload;
    if (payload === undefined) return undefined;
    return { code: new DataView(payload.buffer).getUint32(4), text: String.fromCharCode(...payload.subarray(8)) };
  }
}
