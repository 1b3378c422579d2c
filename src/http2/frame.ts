// Frame types, flags and limits: RFC 9113, sections 4 and 6.

import { putUint32 } from "../core/uint32.ts";

/** RFC 9113, section 6. */
export const FrameType = {
  data: 0x0,
  headers: 0x1,
  priority: 0x2,
  rstStream: 0x3,
  settings: 0x4,
  pushPromise: 0x5,
  ping: 0x6,
  goaway: 0x7,
  windowUpdate: 0x8,
  continuation: 0x9,
} as const;

export const Flag = {
  ack: 0x1,
  endStream: 0x1,
  endHeaders: 0x4,
  padded: 0x8,
  priority: 0x20,
} as const;

/** Bytes before every frame's payload: section 4.1. */
export const frameHeadBytes = 9;
/** SETTINGS_MAX_FRAME_SIZE before any SETTINGS, and the least there is: section 6.5.2. */
export const defaultMaxFrameBytes = 16_384;
export const largestMaxFrameBytes = 16_777_215;
/** Initial window of streams and connection before any SETTINGS: section 6.9.2. */
export const defaultWindowBytes = 65_535;
/** Largest window and largest stream id. */
export const maxInt31 = 0x7fff_ffff;

/** What a client sends first: section 3.4. */
export const clientPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/** Writes a frame's head; returns where the payload begins. */
export function putFrameHead(
  out: Uint8Array,
  at: number,
  length: number,
  type: number,
  flags: number,
  streamId: number,
): number {
  out[at] = length >>> 16;
  out[at + 1] = length >>> 8;
  out[at + 2] = length;
  out[at + 3] = type;
  out[at + 4] = flags;
  return putUint32(out, at + 5, streamId);
}
