// What a server allows the connections made to it: how many, how long, and how it finds those that are gone. Does no I/O.

import { maxTimerMs } from "../core/clock.ts";
import type { ConnectionLifeLimits } from "../grpc/server/connection-life.ts";
import { defaultTimeouts } from "../http2/session-watch.ts";
import { refuseOption } from "./refuse-option.ts";

/** How a server finds clients that are gone without a word: gRFC A8. Only with `http2: "lictor"`. */
export interface ServerKeepaliveOptions {
  /** Silence after which a client is sent a PING, and up to a quarter more, in milliseconds, at least 1000; Infinity: never. Default 7200000 (2 h), as gRPC has it. */
  readonly timeMs?: number;
  /** How long it may take to answer, in milliseconds, at least 1; then its connection is closed. Default 20000. */
  readonly timeoutMs?: number;
  /**
   * Least time between a client's own PINGs, in milliseconds, at least 0. A client that asks more often, while it is sent no data, is
   * closed at its third PING too many: ENHANCE_YOUR_CALM, "too_many_pings". Default 0: any. gRPC's own default of five minutes cuts
   * off honest clients that were set up for another server, while a PING costs less than a call, and floods are stopped anyway.
   */
  readonly minTimeMs?: number;
}

/** What a server allows the connections made to it. */
export interface ServerConnectionOptions {
  /** Calls and other requests at a time on an HTTP/2 connection, 1 to 2147483647; clients keep more to themselves. Default 1000. */
  readonly maxConcurrentStreams?: number;
  /**
   * Connections at a time, of whatever protocol, at least 1; more are closed as soon as they come. Default: no limit but the
   * system's own (open files), as any number would be an outage for somebody.
   */
  readonly maxConnections?: number;
  /** The same for each address that connections come from. Default: no limit, as everybody behind a proxy has one address. */
  readonly maxConnectionsPerPeer?: number;
  /** How clients that are gone without a word are found. Default: a PING after 2 h of silence. Only with `http2: "lictor"`. */
  readonly keepalive?: ServerKeepaliveOptions;
  /**
   * Age at which a client is asked to connect anew, in milliseconds, at least 1, give or take a tenth, so that load spreads over servers
   * that came later: gRFC A9. Its calls go on. Default Infinity. Only with `http2: "lictor"`.
   */
  readonly maxConnectionAgeMs?: number;
  /** How long the calls of a client that was asked so may go on, in milliseconds, at least 0. Default Infinity. Only with `http2: "lictor"`. */
  readonly maxConnectionAgeGraceMs?: number;
  /** Time without a call after which a client is asked to leave, in milliseconds, at least 1. Default Infinity. Only with `http2: "lictor"`. */
  readonly maxConnectionIdleMs?: number;
  /**
   * How long a client may read nothing of an answer that waits for it, its flow-control window shut, in milliseconds, at least 1000, and up
   * to a quarter more; less than 1 KiB in that time counts as nothing. The stream is reset then, and the connection closed where its own
   * window is shut; `logger` is told at `debug`. Until then the answer is held in memory. Default 300000: readers may pause. Infinity: as
   * long as they like. Only with `http2: "lictor"`.
   */
  readonly maxReaderPauseMs?: number;
}

/** Options with every default in its place. */
export interface ResolvedConnectionOptions {
  readonly maxConcurrentStreams: number;
  readonly maxConnections: number;
  readonly maxConnectionsPerPeer: number;
  readonly life: ConnectionLifeLimits;
  readonly maxReaderPauseMs: number;
}

const forever = Number.POSITIVE_INFINITY;

/** What node:http2 has no means for. */
const lictorOnly = [
  "keepalive",
  "maxConnectionAgeMs",
  "maxConnectionAgeGraceMs",
  "maxConnectionIdleMs",
  "maxReaderPauseMs",
] as const;

/** Fills in the defaults. Throws TypeError or RangeError that names the option, the rule and the value. */
export function resolveConnectionOptions(
  options: ServerConnectionOptions,
  http2: "lictor" | "node",
): ResolvedConnectionOptions {
  const { maxConcurrentStreams = 1000, maxConnections = forever, maxConnectionsPerPeer = forever } = options;
  const { keepalive = {} } = options;
  if (typeof keepalive !== "object" || keepalive === null) refuseOption("keepalive", "must be an object", keepalive);
  if (http2 !== "lictor") {
    for (const name of lictorOnly) {
      if (options[name] !== undefined) refuseOption(name, 'is used only with "http2" lictor', options[name]);
    }
  }
  checkCount("maxConcurrentStreams", maxConcurrentStreams, 0x7fff_ffff);
  if (maxConnections !== forever) checkCount("maxConnections", maxConnections, Number.MAX_SAFE_INTEGER);
  if (maxConnectionsPerPeer !== forever) {
    checkCount("maxConnectionsPerPeer", maxConnectionsPerPeer, Number.MAX_SAFE_INTEGER);
  }
  return {
    maxConcurrentStreams,
    maxConnections,
    maxConnectionsPerPeer,
    life: {
      keepaliveTimeMs: milliseconds("keepalive.timeMs", keepalive.timeMs, 7_200_000, 1000),
      keepaliveTimeoutMs: milliseconds("keepalive.timeoutMs", keepalive.timeoutMs, 20_000, 1),
      minPingMs: milliseconds("keepalive.minTimeMs", keepalive.minTimeMs, 0, 0),
      maxAgeMs: milliseconds("maxConnectionAgeMs", options.maxConnectionAgeMs, forever, 1),
      maxAgeGraceMs: milliseconds("maxConnectionAgeGraceMs", options.maxConnectionAgeGraceMs, forever, 0),
      maxIdleMs: milliseconds("maxConnectionIdleMs", options.maxConnectionIdleMs, forever, 1),
    },
    maxReaderPauseMs: milliseconds("maxReaderPauseMs", options.maxReaderPauseMs, defaultTimeouts.windowStallMs, 1000),
  };
}

function checkCount(option: string, value: number, most: number): void {
  if (Number.isInteger(value) && value >= 1 && value <= most) return;
  const rule = most === Number.MAX_SAFE_INTEGER ? "of at least 1" : `from 1 to ${most}`;
  refuseOption(option, `must be an integer ${rule}`, value, RangeError);
}

/** A time that a timer can wait, or none. */
function milliseconds(option: string, value: number | undefined, preset: number, least: number): number {
  const ms = value ?? preset;
  if (typeof ms === "number" && ms >= least && (ms <= maxTimerMs || ms === forever)) return ms;
  refuseOption(option, `must be milliseconds, ${least} to ${maxTimerMs} or Infinity`, ms, RangeError);
}
