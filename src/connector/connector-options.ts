// What every connector is told, and the checks of it. Opens nothing.

import type { Clock } from "../core/clock.ts";
import { describeValue } from "../core/describe-value.ts";
import { isCompression } from "../grpc/compression.ts";

/** How a connection finds out that its server is gone without a word (gRFC A8). Times in milliseconds. */
export interface KeepaliveOptions {
  /**
   * Silence after which the server is asked, and up to a quarter more; at least 10000, as gRPC's servers end connections that ask more
   * often. It is doubled for servers that still complain of too many.
   */
  readonly timeMs: number;
  /** How long the answer may take before the connection is closed and its calls fail with `unavailable`. Default 20000. */
  readonly timeoutMs?: number;
  /** Whether to ask while there are no calls; many servers end connections that do. Default false. */
  readonly permitWithoutCalls?: boolean;
}

/** Towards servers that say that they are lictor's: they take it. */
export const lictorKeepalive: KeepaliveOptions = { timeMs: 10_000, timeoutMs: 5000 };

/** How connections are made, whatever they are made of. */
export interface ConnectorOptions {
  /** Milliseconds until an attempt to connect is given up. Default 20000, as in gRPC. */
  readonly connectTimeoutMs?: number;
  /** Largest message taken from a server, in bytes after decompression. Larger ones fail with `resource_exhausted`. Default 4 MiB, as in gRPC. */
  readonly maxReceiveBytes?: number;
  /**
   * How servers that are gone without a word are found; `false`: by deadlines only. Default: towards servers whose Meta in Consul says that they are
   * lictor's, a PING after 10 s of silence with calls under way, which may take 5 s; by deadlines only towards others, as many of them end
   * connections that ask them unbidden (gRFC A8).
   */
  readonly keepalive?: KeepaliveOptions | false;
  readonly clock?: Clock;
}

/** The shortest `timeMs` that gRFC A8 lets a client have. */
const minKeepaliveMs = 10_000;
const maxMessageBytes = 0xffff_ffff;

/** Throws RangeError for times and sizes outside their range, TypeError for compressions that are none. */
export function checkConnectorOptions(options: {
  readonly connectTimeoutMs: number;
  readonly maxReceiveBytes: number;
  readonly maxSendBytes?: number;
  readonly compressMinBytes?: number;
  readonly keepalive?: KeepaliveOptions | false | undefined;
  readonly maxCalls?: number;
  readonly maxPendingCalls?: number;
  readonly acceptCompression?: unknown;
  readonly sendCompression?: unknown;
}): void {
  const { connectTimeoutMs, maxReceiveBytes, maxSendBytes = 1, compressMinBytes = 0, keepalive } = options;
  check("connectTimeoutMs", connectTimeoutMs > 0, "> 0", connectTimeoutMs);
  for (const [name, value] of Object.entries({ maxReceiveBytes, maxSendBytes })) {
    const isSize = Number.isInteger(value) && value > 0 && value <= maxMessageBytes;
    check(name, isSize, `an integer from 1 to ${maxMessageBytes}`, value);
  }
  const { maxCalls = 1, maxPendingCalls = 0 } = options;
  const isCount = (value: number, least: number) => Number.isInteger(value) && value >= least && value <= 0x7fff_ffff;
  check("maxConcurrentCallsPerEndpoint", isCount(maxCalls, 1), "an integer from 1 to 2147483647", maxCalls);
  const mayPend = isCount(maxPendingCalls, 0) || maxPendingCalls === Number.POSITIVE_INFINITY;
  check("maxPendingCallsPerEndpoint", mayPend, "an integer >= 0", maxPendingCalls);
  check("compressMinBytes", compressMinBytes >= 0, ">= 0", compressMinBytes);
  checkCompressions(options.acceptCompression, options.sendCompression);
  if (keepalive === undefined || keepalive === false) return;
  const { timeMs, timeoutMs = 1 } = keepalive;
  check("keepalive.timeMs", timeMs >= minKeepaliveMs, `>= ${minKeepaliveMs}`, timeMs);
  check("keepalive.timeoutMs", timeoutMs > 0, "> 0", timeoutMs);
}

function checkCompressions(accept: unknown, send: unknown): void {
  if (accept !== undefined && !(Array.isArray(accept) && accept.every(isCompression))) {
    throw badCompression("acceptCompression", "a list of compressions, like [gzip]", accept);
  }
  if (send !== undefined && !isCompression(send)) {
    throw badCompression("sendCompression", "a compression, like gzip of lictor", send);
  }
}

function badCompression(name: string, rule: string, value: unknown): TypeError {
  return new TypeError(`Cannot create connector as "${name}" must be ${rule}: received ${describeValue(value)}`);
}

function check(name: string, isGood: boolean, rule: string, value: unknown): void {
  if (!isGood) throw new RangeError(`Cannot create connector as "${name}" must be ${rule}: received ${String(value)}`);
}
