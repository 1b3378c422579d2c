// What a connection allows its peer, with defaults. Checked here, once.

import { defaultMaxFrameBytes, defaultWindowBytes, largestMaxFrameBytes, maxInt31 } from "./frame.ts";

/** What a connection allows its peer; sizes in bytes. */
export interface ConnectionLimits {
  /** Streams of the peer's at a time; more are refused (REFUSED_STREAM). Default 1000. */
  readonly maxConcurrentStreams: number;
  /** Streams of ours at a time, where the peer allows more; above, a client's `canOpen` is false. Default 2^31-1. */
  readonly maxOwnStreams: number;
  /** Receive window of a stream at first, 65535 to 2^31-1. Default 256 KiB. */
  readonly initialWindowBytes: number;
  /** How far a stream's window grows while what comes is read at once. Default 4 MiB. */
  readonly maxWindowBytes: number;
  /** Receive window of the connection. It opens again as data comes, as long as less than `maxHeldBytes` waits to be consumed. Default 4 MiB. */
  readonly connectionWindowBytes: number;
  /** Data received and not consumed, on all streams, above which the connection's window stays shut. Default 16 MiB. */
  readonly maxHeldBytes: number;
  /** Largest frame we take, 16384 to 2^24-1. Default 16384. */
  readonly maxFrameBytes: number;
  /** Largest header list we take, as RFC 9113, section 6.5.2, counts it. Larger ones are handed on without their fields. Default 64 KiB. */
  readonly maxHeaderListBytes: number;
  /** Request headers of all open streams together (servers only); above, new streams are refused. Default 8 MiB: 8 KiB each of 1000. */
  readonly maxHeldHeaderBytes: number;
  /**
   * Data that may wait for the peer to take it, on all streams. Above, `hasRoom` and a client's `canOpen` are false. One message more is
   * taken, however large; a server resets streams whose data would then bring it above twice as much. Default 16 MiB.
   */
  readonly maxPendingBytes: number;
}

export const defaultLimits: ConnectionLimits = {
  maxConcurrentStreams: 1000,
  maxOwnStreams: maxInt31,
  initialWindowBytes: 256 * 1024,
  maxWindowBytes: 4 * 1024 * 1024,
  connectionWindowBytes: 4 * 1024 * 1024,
  maxHeldBytes: 16 * 1024 * 1024,
  maxFrameBytes: 16_384,
  maxHeaderListBytes: 64 * 1024,
  maxHeldHeaderBytes: 8 * 1024 * 1024,
  maxPendingBytes: 16 * 1024 * 1024,
};

const leastAndMost: Readonly<Record<keyof ConnectionLimits, readonly [least: number, most: number]>> = {
  maxConcurrentStreams: [0, maxInt31],
  maxOwnStreams: [1, maxInt31],
  initialWindowBytes: [defaultWindowBytes, maxInt31],
  maxWindowBytes: [defaultWindowBytes, maxInt31],
  connectionWindowBytes: [defaultWindowBytes, maxInt31],
  maxHeldBytes: [0, Number.MAX_SAFE_INTEGER],
  maxFrameBytes: [defaultMaxFrameBytes, largestMaxFrameBytes],
  maxHeaderListBytes: [256, 16 * 1024 * 1024],
  maxHeldHeaderBytes: [256, Number.MAX_SAFE_INTEGER],
  maxPendingBytes: [0, Number.MAX_SAFE_INTEGER],
};

/** Completes `limits` with the defaults. Throws RangeError for one that cannot be. */
export function resolveLimits(limits: Partial<ConnectionLimits> = {}): ConnectionLimits {
  const resolved = { ...defaultLimits, ...limits };
  for (const [name, [least, most]] of Object.entries(leastAndMost)) {
    const value = resolved[name as keyof ConnectionLimits];
    if (!Number.isInteger(value) || value < least || value > most) {
      throw new RangeError(`Cannot speak HTTP/2 as "${name}" must be ${least} to ${most}: received ${value}`);
    }
  }
  return resolved;
}
